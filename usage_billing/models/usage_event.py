from odoo import fields, models
from odoo.tools import SQL


class UsageEvent(models.Model):
    """From an event to what was charged for it, and to the invoice."""

    _inherit = "usage.event"

    charge_count = fields.Integer(
        string="Charges", compute="_compute_charge_count", help="Charges whose quantity this event is part of."
    )

    def _compute_charge_count(self):
        for event in self:
            event.charge_count = len(event._charges())

    def _charges(self):
        """The charges of the time, the account and a meter that counted the event."""
        self.ensure_one()
        charges = self.env["usage.charge"]
        if not charges.has_access("read"):
            return charges
        meters = self._hours().meter_id
        query = SQL(
            "SELECT id FROM usage_charge WHERE source_accounts @> %s::jsonb AND meter_id = ANY(%s) "
            "AND usage_start <= %s AND usage_end > %s",
            f"[{self.account_id.id}]",
            meters.ids,
            self.time,
            self.time,
        )
        charges.flush_model()
        return charges.search([("id", "in", [row[0] for row in self.env.execute_query(query)])])

    def action_view_charges(self):
        """The charges that this event is billed with; each leads on to its invoice line."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_charge")
        return {**action, "domain": [("id", "in", self._charges().ids)], "context": {}}
