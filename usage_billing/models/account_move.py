from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.usage_connector_base.guard import is_unlocked


class AccountMove(models.Model):
    _inherit = "account.move"

    usage_statement_id = fields.Many2one(
        "usage.statement",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The statement that this invoice was made from.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        """Let only the statement's own button say that an invoice is a statement's."""
        if not is_unlocked(self.env):
            vals_list = [{k: v for k, v in vals.items() if k != "usage_statement_id"} for vals in vals_list]
        return super().create(vals_list)

    def write(self, vals):
        """Hold back usage that nobody approved, and tell statements what became of their invoice.

        Every way to post an invoice ends in this write: the buttons, the scheduled posting, RPC.
        """
        if "usage_statement_id" in vals and not is_unlocked(self.env):
            raise UserError(self.env._("The statement of an invoice is set by 'Create Invoice' of the statement."))
        if vals.get("state") == "posted":
            self._check_usage_approved()
        res = super().write(vals)
        if "state" in vals:
            self._tell_usage_statements()
        return res

    def _post(self, soft=True):
        """Refuse unapproved usage before anything else is done to the invoices."""
        self._check_usage_approved()
        return super()._post(soft)

    def unlink(self):
        """Release the statements of draft invoices that are deleted."""
        for move in self:
            move._usage_statements()._release_invoice()
        return super().unlink()

    def _usage_statements(self):
        """Return the statements that this invoice bills now."""
        # sudo: an accountant need not be a billing user for the statement to follow its invoice
        return self.env["usage.statement"].sudo().search([("move_id", "in", self.ids)])

    def _check_usage_approved(self):
        """Raise when a customer invoice bills usage that is not approved, altered, or billed elsewhere."""
        billing = ("out_invoice", "out_receipt", "entry")
        for move in self.filtered(lambda move: move.move_type in billing or move.usage_statement_id):
            # sudo: an accountant need not be a billing user; the check asks who they are, not their rights
            charges = move.sudo().line_ids.usage_charge_id
            for statement in charges.statement_id | move.sudo().usage_statement_id:
                statement._check_may_post(move)

    def _tell_usage_statements(self):
        for move in self:
            for statement in move._usage_statements():
                statement._follow_invoice(move)
        self.sudo().line_ids.usage_charge_id.statement_id._reconcile_later()  # sudo: as above

    def action_view_usage_statement(self):
        """The statement that this invoice was made from."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "usage.statement",
            "view_mode": "form",
            "res_id": self.usage_statement_id.id,
        }
