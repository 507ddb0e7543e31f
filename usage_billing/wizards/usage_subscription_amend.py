from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..fields import Exact
from ..models.usage_subscription_amendment import KINDS
from ..rating.periods import local_date

DAY = timedelta(days=1)


class UsageSubscriptionAmend(models.TransientModel):
    """What a person enters to amend a contract; it becomes a ``usage.subscription.amendment``."""

    _name = "usage.subscription.amend"
    _description = "Amend a Usage Subscription"

    subscription_id = fields.Many2one("usage.subscription", required=True, ondelete="cascade")
    company_id = fields.Many2one(related="subscription_id.company_id")
    currency_id = fields.Many2one(related="subscription_id.currency_id")
    commercial_partner_id = fields.Many2one(related="subscription_id.commercial_partner_id")
    plan_of_prices_id = fields.Many2one(related="subscription_id.plan_id", string="Present Plan")
    kind = fields.Selection(KINDS, string="Change", required=True, default="add_line", help="What is to be changed.")
    date = fields.Date(
        string="From",
        default=lambda self: fields.Date.context_today(self),
        help="First day on which the change applies. A line that is removed is billed until the day before.",
    )
    line_id = fields.Many2one(
        "usage.subscription.line",
        domain="[('subscription_id', '=', subscription_id)]",
        help="The line that is changed.",
    )
    price_id = fields.Many2one(
        "usage.price",
        string="New Price",
        domain="[('plan_id', '=', plan_of_prices_id), ('parent_id', '=', False), ('supersedes_id', '=', False), "
        "('state', '=', 'approved'), ('currency_id', '=', currency_id), "
        "('partner_id', 'in', [False, commercial_partner_id])]",
        help="Price of the plan that applies from then on.",
    )
    plan_id = fields.Many2one(
        "usage.plan",
        string="New Plan",
        domain="[('company_id', '=', company_id), ('id', '!=', plan_of_prices_id)]",
        help="The plan whose prices take the place of all present lines.",
    )
    quantity = Exact(default=1.0, help="Units, such as seats, whose recurring fee is charged.")
    meter_id = fields.Many2one(related="price_id.meter_id")
    included_quantity = Exact(
        compute="_compute_agreed",
        store=True,
        readonly=False,
        help="Units of each period that are not charged: those of the price, or what was agreed on for the line.",
    )
    at_included_end = fields.Selection(
        lambda self: self._choices("at_included_end"),
        string="After That",
        compute="_compute_agreed",
        store=True,
        readonly=False,
        help="What the product is told once the included units are used up.",
    )
    counted_over = fields.Selection(
        lambda self: self._choices("counted_over"),
        compute="_compute_agreed",
        store=True,
        readonly=False,
        help="What included quantity, tiers, commitment, minimum and fee of the price are for.",
    )
    until = fields.Date(help="Last day of the pause; empty: until it is resumed.")
    when = fields.Selection(
        [("now", "Now: today is the last day"), ("period", "At the end of the period"), ("day", "On a day")],
        string="Ends",
        default="period",
        help="Which day is the last one that is billed.",
    )
    end = fields.Date(string="Last Day", help="Last day whose usage is billed; empty: the contract has no end.")
    note = fields.Char(string="Reason", help="Why the contract is amended; it is kept with the amendment.")

    @api.onchange("line_id")
    def _onchange_line_id(self):
        if self.line_id:
            self.quantity = self.line_id.quantity

    def _choices(self, name):
        """Return the choices that a line has in a field."""
        return self.env["usage.subscription.line"]._fields[name]._description_selection(self.env)

    @api.depends("kind", "line_id", "price_id")
    def _compute_agreed(self):
        """Propose what the line keeps at the new price, or what a new line has."""
        for change in self:
            line = change.line_id if change.kind == "change_price" else change.line_id.browse()
            kept = line.copy_data()[0] if line else {}
            values = line._repriced(kept, change.price_id) if change.price_id else kept
            change.included_quantity = values.get("included_quantity", 0)
            change.at_included_end = values.get("at_included_end", "bill")
            change.counted_over = values.get("counted_over", "period")

    def action_apply(self):
        """Record the amendment and make it."""
        self.ensure_one()
        date, values = getattr(self, f"_values_{self.kind}")()
        self.subscription_id._amend(self.kind, date, self.note, **values)
        return {"type": "ir.actions.act_window_close"}

    def _entered(self, name):
        """Return what a field holds; raises ``UserError`` where it is empty."""
        if not self[name]:
            label = self.fields_get([name], ["string"])[name]["string"]
            raise UserError(self.env._("%s: this change takes one. Fill it in.", label))
        return self[name]

    def _agreed(self):
        """Return what was entered about a line besides its price."""
        return {name: self[name] for name in ("included_quantity", "at_included_end", "counted_over")}

    def _values_add_line(self):
        return self._entered("date"), {"price": self._entered("price_id"), "quantity": self.quantity, **self._agreed()}

    def _values_end_line(self):
        return self._entered("date"), {"line": self._entered("line_id")}

    def _values_change_price(self):
        line, price = self._entered("line_id"), self._entered("price_id")
        return self._entered("date"), {"line": line, "price": price, **self._agreed()}

    def _values_change_quantity(self):
        return self._entered("date"), {"line": self._entered("line_id"), "quantity": self.quantity}

    def _values_change_plan(self):
        return self._entered("date"), {"plan": self._entered("plan_id")}

    def _values_pause(self):
        return self._entered("date"), {"until": self.until}

    def _values_resume(self):
        return self._entered("date"), {}

    def _values_cancel(self):
        subscription = self.subscription_id
        if self.when == "now":
            return subscription._today() + DAY, {}
        if self.when == "period":
            now = fields.Datetime.now()
            _start, end = subscription._period(subscription._period_index(max(now, subscription._start())))
            return local_date(end, subscription.tz), {}
        return self._entered("end") + DAY, {}

    def _values_renew(self):
        end = self.subscription_id.date_end
        if not end:
            raise UserError(self.env._("End: the contract has none, so there is nothing to renew."))
        return end + DAY, {}

    def _values_change_end(self):
        ends = [day for day in (self.subscription_id.date_end, self.end) if day]
        if not ends:
            raise UserError(self.env._("Last Day: the contract has no end already. Enter a day."))
        return min(ends) + DAY, {"end": self.end}
