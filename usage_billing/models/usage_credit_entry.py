from decimal import Decimal

from odoo import fields, models
from odoo.tools import SQL

from odoo.addons.usage_connector_base.guard import unlocked

from ..fields import Exact


class UsageCreditEntry(models.Model):
    """One movement of a credit: appended, never changed."""

    _name = "usage.credit.entry"
    _description = "Credit Entry"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"
    _rec_name = "kind"

    grant_id = fields.Many2one("usage.credit.grant", required=True, readonly=True, index=True, ondelete="restrict")
    partner_id = fields.Many2one(related="grant_id.partner_id", store=True, index=True, string="Customer")
    company_id = fields.Many2one(related="grant_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="grant_id.currency_id", store=True)
    kind = fields.Selection(
        [
            ("granted", "Granted"),
            ("used", "Used"),
            ("released", "Released"),
            ("rolled_over", "Rolled Over"),
            ("expired", "Expired"),
            ("voided", "Withdrawn"),
            ("refunded", "Refunded"),
        ],
        required=True,
        readonly=True,
        help="Used: an invoice took it. Released: that invoice was cancelled or deleted.",
    )
    amount = fields.Monetary(required=True, readonly=True, help="Below zero when credit goes.")
    balance = fields.Monetary(string="Left", required=True, readonly=True, help="What was left after this entry.")
    meter_id = fields.Many2one(related="grant_id.meter_id", store=True, index="btree_not_null")
    units = Exact(readonly=True, help="Of credit in units: below zero when credit goes.")
    units_left = Exact(readonly=True, help="Units that were left after this entry.")
    date = fields.Datetime(required=True, readonly=True, default=fields.Datetime.now, help="When it was entered (UTC).")
    user_id = fields.Many2one(
        "res.users", string="By", readonly=True, required=True, default=lambda self: self.env.uid, ondelete="restrict"
    )
    statement_id = fields.Many2one(
        "usage.statement", readonly=True, index="btree_not_null", ondelete="restrict", help="Whose charges it paid."
    )
    released_id = fields.Many2one(
        "usage.credit.entry", string="Releases", readonly=True, index="btree_not_null", ondelete="restrict"
    )

    def _release(self):
        """Take entries back, each once: the credit can be used again."""
        for entry in self - self._released():
            units = entry._exact_units()
            values = {"statement_id": entry.statement_id.id, "released_id": entry.id}
            entry.grant_id._enter("released", -entry.amount, -units, **values)
            unlocked(entry.grant_id).write({"state": "active"})

    def _exact_units(self):
        """Return the units of one entry as a Decimal."""
        [[units]] = self.env.execute_query(
            SQL("SELECT coalesce(units, 0)::text FROM usage_credit_entry WHERE id = %s", self.id)
        )
        return Decimal(units)

    def _units_of(self, statements):
        """Return {grant id: Decimal} of the units of these entries that statements took, or that expired."""
        entries = self.filtered(lambda entry: entry.kind == "expired" or entry.statement_id in statements)
        self.flush_model(["units"])
        query = SQL(
            "SELECT grant_id, (-sum(coalesce(units, 0)))::text FROM usage_credit_entry WHERE id = ANY(%s) GROUP BY 1",
            entries.ids,
        )
        return {grant_id: Decimal(units) for grant_id, units in self.env.execute_query(query)}

    def _released(self):
        return self.search([("released_id", "in", self.ids)]).released_id
