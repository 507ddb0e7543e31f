from odoo import api, fields, models


class UsageSimulationLine(models.Model):
    """What one subscription pays for one period, and would have paid."""

    _name = "usage.simulation.line"
    _description = "Result of a Price Simulation"
    _order = "simulation_id desc, difference desc, id"

    simulation_id = fields.Many2one("usage.simulation", required=True, readonly=True, index=True, ondelete="cascade")
    subscription_id = fields.Many2one(
        "usage.subscription", required=True, readonly=True, index=True, ondelete="cascade"
    )
    partner_id = fields.Many2one(
        "res.partner", string="Customer", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    currency_id = fields.Many2one("res.currency", required=True, readonly=True)
    month = fields.Date(string="Period", required=True, readonly=True, help="First day of the billing period.")
    amount_current = fields.Monetary(string="Current", readonly=True, help="What the usage costs at today's prices.")
    amount_simulated = fields.Monetary(
        string="Simulated", readonly=True, help="What the same usage costs at the simulated prices."
    )
    difference = fields.Monetary(readonly=True, help="Simulated less current: what the customer would pay more.")
    note = fields.Text(string="Cannot Be Calculated", readonly=True, help="What could not be rated, and why.")

    @api.depends("partner_id", "month")
    def _compute_display_name(self):
        for line in self:
            line.display_name = f"{line.partner_id.name} · {line.month}"
