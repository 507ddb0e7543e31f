from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.usage_connector_base.guard import is_unlocked


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    # Copied to credit notes and duplicates on purpose: reconciliation counts the former, and the
    # latter cannot be posted.
    usage_charge_id = fields.Many2one(
        "usage.charge",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="The charge that this line bills or credits.",
    )

    def write(self, vals):
        """Refuse to say that a line bills another charge than it was made for."""
        if "usage_charge_id" in vals and not is_unlocked(self.env):
            raise UserError(self.env._("The usage charge of an invoice line stays as it was made."))
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billing_usage(self):
        # sudo: whoever deletes the line need not be a billing user to be stopped
        billing = self.sudo().filtered(lambda line: line.usage_charge_id.move_line_id == line)
        if billing:
            raise UserError(
                self.env._(
                    "'%s' bills approved usage: cancel the whole invoice instead of deleting the line.",
                    billing[0].name,
                )
            )

    def action_view_usage_charge(self):
        """The charge that this line bills, with its explanation."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "usage.charge",
            "view_mode": "form",
            "res_id": self.usage_charge_id.id,
        }
