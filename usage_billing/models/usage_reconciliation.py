from odoo import fields, models

from ..fields import Exact


class UsageReconciliation(models.Model):
    """Usage and money of one billed line and period, side by side: events to posted entries.

    Derived figures: made anew by ``usage.statement._reconcile``, never entered.
    """

    _name = "usage.reconciliation"
    _description = "Usage Reconciliation"
    _inherit = ["usage.guarded.mixin"]
    _order = "period_start desc, statement_id desc, id"
    _rec_name = "statement_id"

    statement_id = fields.Many2one("usage.statement", readonly=True, required=True, index=True, ondelete="cascade")
    statement_state = fields.Selection(related="statement_id.state", string="Statement Status", store=True)
    charge_id = fields.Many2one("usage.charge", readonly=True, index=True, ondelete="cascade")
    partner_id = fields.Many2one(
        "res.partner", string="Customer", readonly=True, required=True, index=True, ondelete="restrict"
    )
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    currency_id = fields.Many2one("res.currency", readonly=True, required=True)
    meter_id = fields.Many2one("usage.meter", readonly=True, index=True, ondelete="restrict")
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    product_id = fields.Many2one("product.product", readonly=True, required=True, index=True, ondelete="restrict")
    period_start = fields.Datetime(readonly=True, required=True, help="First instant of the charged usage (UTC).")
    period_end = fields.Datetime(
        readonly=True, required=True, help="Instant at which the charged usage ends, not included (UTC)."
    )
    date_from = fields.Date(
        related="statement_id.date_from", string="Period", store=True, help="First day of the period."
    )
    quantity_events = Exact(
        string="Events", readonly=True, help="Quantity added up again from the stored events, in units of the meter."
    )
    quantity_aggregates = Exact(
        string="Hourly", readonly=True, help="Quantity of the hourly usage, in units of the meter."
    )
    quantity_charged = Exact(string="Billed", readonly=True, help="Quantity that was charged.")
    difference_quantity = Exact(
        string="Late Usage",
        readonly=True,
        help="Events less charged quantity: usage that arrived, or was moved, after the calculation.",
    )
    amount_charged = fields.Monetary(string="Charged", readonly=True, help="Amount of the charge, before tax.")
    amount_invoiced = fields.Monetary(
        string="Invoiced",
        readonly=True,
        help="Invoice lines of the charge less their credit notes, drafts included, before tax.",
    )
    amount_posted = fields.Monetary(
        string="Posted", readonly=True, help="Ledger entries of the charge less their credits, before tax."
    )
    difference_amount = fields.Monetary(
        string="Difference",
        readonly=True,
        help="Charged less posted, or less invoiced while the invoice is a draft; 0 before there is one.",
    )
    state = fields.Selection(
        [("matched", "Matched"), ("different", "Different")],
        readonly=True,
        required=True,
        index=True,
        help="Matched: events, hourly usage and charge have the same quantity, and the money is the same "
        "as far as the statement has come. Usage that comes late to an interim statement is charged by the next one.",
    )
    date = fields.Datetime(
        string="Compared On", readonly=True, required=True, help="When the figures were compared (UTC)."
    )

    _charge_uniq = models.Constraint("UNIQUE(charge_id)", "A charge is reconciled in one row.")

    def action_view_statement(self):
        """The statement of this row."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "usage.statement",
            "view_mode": "form",
            "res_id": self.statement_id.id,
        }
