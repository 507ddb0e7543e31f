"""A customer has used most of what its price includes, before the period (or contract year) is over."""

from datetime import datetime, timedelta
from decimal import Decimal

from odoo import fields, models
from odoo.fields import Domain

from odoo.addons.usage_billing import rating
from odoo.addons.usage_billing.numbers import exact, exact_text, format_number
from odoo.addons.usage_billing.rating.periods import local_date
from odoo.addons.usage_connector_base.aggregations import Window


class UsageSignalKindIncludedThreshold(models.AbstractModel):
    """Usage against the included quantity of the line, over what that is for: a period, a contract year, a contract."""

    _name = "usage.signal.kind.included_threshold"
    _inherit = "usage.signal.kind"
    _description = "Usage Signal: Included Quantity"

    _default_percentage = 80.0

    def _detect(self, rule, at):
        """Find subscription lines that used the rule's percentage of what is included.

        The period is the one that the line counts over and that contains ``at``: a billing
        period, a contract year, or the contract. A line is found once in it, from the moment
        the percentage is reached exactly.
        """
        lines = self._lines(rule)
        periods = {line: self._period(line, at) for line in lines}
        windows = {line: line._window(*periods[line]) for line in lines}
        running = lines.filtered(lambda line: windows[line] and windows[line][0] <= at < windows[line][1])
        used = self._used(running.sorted("id"), windows, at)
        percentage = exact(rule.percentage)
        return [
            self._facts(rule, line, periods[line], windows[line], str(quantity))
            for line, quantity in used.items()
            if quantity * 100 >= exact(line.included_quantity) * percentage
        ]

    def _period(self, line, at):
        """Return [start, end), naive UTC, that the line counts over and that contains ``at``.

        A contract without an end is looked at until the end of the running billing period.
        """
        start, end = line._counting_period(at)
        if end == datetime.max:
            subscription = line.subscription_id
            end = subscription._period(subscription._period_index(at))[1]
        return start, end

    def _lines(self, rule):
        """Return the lines of active subscriptions that include a quantity."""
        domain = Domain("subscription_id.state", "=", "active")
        domain &= Domain("company_id", "=", self.env.company.id)
        domain &= Domain("included_quantity", ">", 0)
        if rule.meter_id:
            domain &= Domain("meter_id", "=", rule.meter_id.id)
        return self.env["usage.subscription.line"].search(domain)

    def _used(self, lines, windows, at):
        """Return {line: what it bills of the usage before ``at``, as a Decimal}.

        :param dict windows: half-open window of billed usage, naive UTC, by line
        """
        spans = lines.subscription_id._spans()
        used = [Window.within(line.meter_id, spans[line.subscription_id], windows[line][0], at) for line in lines]
        return dict(zip(lines, self.env["usage.aggregate"]._quantities(used), strict=True))

    def _facts(self, rule, line, period, window, used):
        """Return the values of the signal for one line over the percentage.

        :param period: start and end of what the line counts over, as of :meth:`_period`
        :param window: start and end of the part of it that the line bills, naive UTC
        :param str used: quantity since the start of the window
        """
        subscription = line.subscription_id
        included = exact(line.included_quantity)
        return {
            "partner_id": subscription.partner_id.commercial_partner_id.id,
            "subscription_id": subscription.id,
            "subscription_line_id": line.id,
            "meter_id": line.meter_id.id,
            "period_start": period[0],
            "period_end": period[1],
            "value": Decimal(used),
            "reference_value": included,
            "evidence": {
                "meter": line.meter_id.name,
                "unit": line.meter_id.unit_name or "",
                "subscription": subscription.display_name,
                "tz": subscription.tz,
                "billed_from": fields.Datetime.to_string(window[0]),
                "billed_until": fields.Datetime.to_string(window[1]),
                "quantity": used,
                "included_quantity": exact_text(line.included_quantity),
                "percentage": str(Decimal(used) / included * 100),
                "threshold": exact_text(rule.percentage),
                **({"counted_over": line.counted_over} if line.counted_over != "period" else {}),
            },
        }

    def _enrich(self, rule, at, vals):
        """Add what the period will cost over the included quantity if it goes on so."""
        line = self.env["usage.subscription.line"].browse(vals["subscription_line_id"])
        projected = self._projected(vals["evidence"], at)
        overage = self._overage(line, projected)
        currency = line.subscription_id.currency_id
        forecast = {
            "projected_quantity": str(projected),
            "projected_overage": str(overage),
            "currency": currency.name,
        }
        return {
            **vals,
            "expected_revenue": self._in_company_currency(overage, currency, at),
            "evidence": {**vals["evidence"], **forecast},
        }

    def _projected(self, evidence, at):
        """Return the quantity at the end of the period if usage goes on as it did.

        Whole units. In the first hours of a period there is no pace to speak of: at least
        a day is taken to have passed.
        """
        start = fields.Datetime.to_datetime(evidence["billed_from"])
        length = fields.Datetime.to_datetime(evidence["billed_until"]) - start
        passed = max(at - start, min(timedelta(days=1), length))
        return round(Decimal(evidence["quantity"]) * int(length.total_seconds()) / int(passed.total_seconds()))

    def _overage(self, line, projected):
        """Return what ``projected`` would cost over the included quantity (Decimal).

        In the subscription's currency, rounded by it, before tax; zero where the price looks below
        the total, which nobody can project.
        """
        price = rating.parse_price(line._definition())
        money = line.subscription_id.currency_id
        currency = rating.Currency(code=money.name, rounding=exact(money.rounding))
        included = rating.Usage(quantity=exact_text(line.included_quantity))
        try:
            above = rating.rate(price, rating.Usage(quantity=str(projected)), currency).amount
            return above - rating.rate(price, included, currency).amount
        except rating.UsageError:
            return Decimal(0)

    def _in_company_currency(self, amount, currency, at):
        """Return an amount in the currency of ``self.env.company``, at the rate of the day."""
        company = self.env.company
        return currency._convert(float(amount), company.currency_id, company, at.date())

    def _summary(self, evidence):
        """Say how much of the included quantity is used."""
        return self.env._(
            "%(meter)s: %(percentage)s of the included quantity used",
            meter=evidence["meter"],
            percentage=self._format_percentage(evidence["percentage"]),
        )

    def _evidence_lines(self, evidence):
        """Show period, quantities and what the period would cost at this pace."""
        unit = evidence["unit"]
        return [
            (self.env._("Subscription"), evidence["subscription"]),
            (self.env._("Meter"), evidence["meter"]),
            (self._period_label(evidence.get("counted_over")), self._billed_days(evidence)),
            (self.env._("Used so far"), self._format_quantity(evidence["quantity"], unit)),
            (self.env._("Included"), self._format_quantity(evidence["included_quantity"], unit)),
            (self.env._("Used of included"), self._format_percentage(evidence["percentage"])),
            (self.env._("Reported from"), self._format_percentage(evidence["threshold"])),
            (
                self.env._("At this pace, by the end"),
                self._format_quantity(evidence["projected_quantity"], unit),
            ),
            (
                self.env._("Price of the part over it"),
                self._format_amount(evidence["projected_overage"], evidence["currency"]),
            ),
        ]

    def _period_label(self, counted_over):
        """Return what the included quantity is for; ``counted_over`` None is a billing period."""
        if counted_over == "year":
            return self.env._("Contract year")
        return self.env._("Contract") if counted_over else self.env._("Billing period")

    def _billed_days(self, evidence):
        """Return the days that the line bills, in the time zone of its subscription."""
        start, end = (fields.Datetime.to_datetime(evidence[key]) for key in ("billed_from", "billed_until"))
        first, after = local_date(start, evidence["tz"]), local_date(end, evidence["tz"])
        return self._format_days(first, after - timedelta(days=1))

    def _format_amount(self, text, currency_name):
        """Return an amount with the decimals it was rounded to and its currency's code."""
        decimals = max(0, -Decimal(text).as_tuple().exponent)
        return f"{format_number(self.env, text, decimals)} {currency_name}"
