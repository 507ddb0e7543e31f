from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.usage_connector_base.guard import is_unlocked


class AccountMove(models.Model):
    _inherit = "account.move"

    usage_credit_grant_ids = fields.One2many("usage.credit.grant", "move_id", string="Credit Sold")

    def write(self, vals):
        """Tell prepaid credit what became of the invoice that sells it, or gives it back."""
        res = super().write(vals)
        if "state" in vals:
            self._tell_usage_credits()
            self.filtered(lambda move: move.state == "cancel")._release_refunds()
            self.filtered(lambda move: move.state == "posted")._ask_about_credit()
        return res

    def _invoice_paid_hook(self):
        """Make credit available that waited to be paid."""
        res = super()._invoice_paid_hook()
        self._tell_usage_credits()
        return res

    def unlink(self):
        """Let credit be sold, or given back, by another draft."""
        # sudo: whoever deletes an invoice need not be a billing user
        self.sudo().usage_credit_grant_ids._forget_invoice()
        self._release_refunds()
        return super().unlink()

    def _tell_usage_credits(self):
        # sudo: an accountant need not be a billing user for credit to follow its invoice
        self.sudo().usage_credit_grant_ids._follow_invoice()

    def _ask_about_credit(self):
        """Ask the responsible person whether a credit note of an invoice that credit paid is to give it back."""
        for move in self.filtered(lambda move: move.move_type == "out_refund" and move.reversed_entry_id):
            statement = move.reversed_entry_id.sudo().usage_statement_id  # sudo: as above
            for grant in statement._standing_entries().grant_id:
                grant.activity_schedule(
                    "mail.mail_activity_data_todo",
                    summary=self.env._("%s credits usage that this paid", move.name),
                    note=self.env._(
                        "What it paid of %s stays used. Grant it again, if the customer is to have it back.",
                        statement.name,
                    ),
                    user_id=grant._responsible().id,
                )

    def _release_refunds(self):
        """Give credit back to the customer whose credit note will not be."""
        entries = self.sudo().line_ids.usage_credit_entry_id  # sudo: as above
        entries.filtered(lambda entry: entry.kind == "refunded")._release()


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    usage_credit_entry_id = fields.Many2one(
        "usage.credit.entry",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The movement of prepaid credit that this line books.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        """Let only billing's own buttons say that a line books a movement of credit."""
        if not is_unlocked(self.env):
            vals_list = [{k: v for k, v in vals.items() if k != "usage_credit_entry_id"} for vals in vals_list]
        return super().create(vals_list)

    def write(self, vals):
        """Refuse to book another movement of credit than the line was made for."""
        if "usage_credit_entry_id" in vals and not is_unlocked(self.env):
            raise UserError(self.env._("The prepaid credit that an invoice line books stays as it was made."))
        return super().write(vals)
