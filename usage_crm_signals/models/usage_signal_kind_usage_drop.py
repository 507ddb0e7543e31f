"""A customer uses much less than in the weeks before."""

from datetime import timedelta
from itertools import pairwise

from odoo import models
from odoo.tools import SQL

from odoo.addons.usage_billing.numbers import exact, exact_text
from odoo.addons.usage_billing.rating.periods import local_date, local_midnight
from odoo.addons.usage_connector_base.aggregations import AGGREGATIONS, Window

WEEK = timedelta(days=7)


def week_bounds(at, weeks, tz="UTC"):
    """Return the limits of the last 7 full days and of the weeks before them.

    A week is seven days of the wall clock, so that a week with a change to summer time
    has 167 hours and its limits are still midnights.

    >>> from datetime import datetime
    >>> [str(moment) for moment in week_bounds(datetime(2025, 7, 16, 9, 30), 1)]
    ['2025-07-02 00:00:00', '2025-07-09 00:00:00', '2025-07-16 00:00:00']
    >>> [str(moment) for moment in week_bounds(datetime(2025, 4, 1), 1, "Europe/Paris")]
    ['2025-03-17 23:00:00', '2025-03-24 23:00:00', '2025-03-31 22:00:00']

    :param datetime at: naive UTC; the day it falls on is not over and left out
    :param int weeks: number of weeks to compare with
    :param str tz: time zone that says when a day begins
    :return: ``weeks + 2`` naive UTC datetimes, oldest first; the last two enclose the
        7 days, half-open
    """
    today = local_date(at, tz)
    return [local_midnight(today - WEEK * back, tz) for back in range(weeks + 1, -1, -1)]


class UsageSignalKindUsageDrop(models.AbstractModel):
    """The last 7 full days against the weekly average of the weeks before."""

    _name = "usage.signal.kind.usage_drop"
    _inherit = "usage.signal.kind"
    _description = "Usage Signal: Usage Drop"

    _default_percentage = 50.0

    def _detect(self, rule, at):
        """Find customers whose usage of a meter fell by the rule's percentage or more.

        One customer is one commercial partner, with all its accounts. Every one of the
        earlier weeks must have usage, and their average must reach the rule's minimum.
        A fall keeps being found while the weeks it is compared with last, so none is
        reported again before they have passed.
        """
        tz = self.env.company.usage_tz or "UTC"
        bounds = week_bounds(at, rule.weeks, tz)
        return [
            self._facts(rule, bounds, tz, meter, partner_id, weekly)
            for (partner_id, meter), weekly in self._used(rule, bounds).items()
            if self._is_drop(rule, weekly)
        ]

    def _is_drop(self, rule, weekly):
        """Say whether the last of these quantities of weeks fell as far as the rule asks."""
        *earlier, recent = weekly
        before = sum(earlier)
        return (
            all(quantity > 0 for quantity in earlier)
            and before >= exact(rule.minimum_quantity) * rule.weeks
            and recent * rule.weeks * 100 <= (100 - exact(rule.percentage)) * before
        )

    def _used(self, rule, bounds):
        """Return {(partner id, meter): quantities of the weeks, oldest first, as Decimals}."""
        customers = self.env.execute_query(self._query_customers(rule, bounds))
        meters = self.env["usage.meter"].browse({meter_id for _partner_id, meter_id in customers}).grouped("id")
        partners = self.env["res.partner"].browse({partner_id for partner_id, _meter_id in customers})
        spans = self.env["usage.account"]._customer_spans(partners, "production")
        windows = [
            Window.within(meters[meter_id], spans[partner_id, self.env.company.id], *week)
            for partner_id, meter_id in customers
            for week in pairwise(bounds)
        ]
        quantities = iter(self.env["usage.aggregate"]._quantities(windows))
        return {
            (partner_id, meters[meter_id]): [next(quantities) for _week in pairwise(bounds)]
            for partner_id, meter_id in customers
        }

    def _query_customers(self, rule, bounds):
        """Return the query of (partner, meter) that may have a fall in these weeks to report."""
        self.env["usage.signal"].flush_model()
        self.env["usage.aggregate"].flush_model()
        self.env["usage.account"].flush_model(["payer_id", "environment"])
        self.env["usage.account.assignment"].flush_model()
        self.env["usage.meter"].flush_model(["active", "recount_pending", "aggregation"])
        self.env["res.partner"].flush_model(["active"])
        lasting = [key for key, aggregation in AGGREGATIONS.items() if aggregation.carries]
        return SQL(
            """
            SELECT customer.id, hourly.meter_id
              FROM usage_aggregate AS hourly
              JOIN usage_account AS account ON account.id = hourly.account_id
              JOIN usage_account_assignment AS assignment
                ON assignment.account_id = COALESCE(account.payer_id, account.id)
              JOIN res_partner AS customer ON customer.id = assignment.commercial_partner_id
              JOIN usage_meter AS meter ON meter.id = hourly.meter_id
             WHERE hourly.company_id = %(company)s
               AND account.environment = 'production' AND customer.active
               AND meter.active AND NOT meter.recount_pending
               AND (hourly.hour >= %(start)s - INTERVAL '1 hour' OR meter.aggregation = ANY(%(lasting)s))
               AND hourly.hour < %(end)s %(meter)s
          GROUP BY customer.id, hourly.meter_id
            HAVING NOT EXISTS (%(reported)s)
          ORDER BY customer.id, hourly.meter_id
            """,
            company=self.env.company.id,
            lasting=lasting,
            start=bounds[0],
            end=bounds[-1],
            meter=SQL("AND hourly.meter_id = %s", rule.meter_id.id) if rule.meter_id else SQL(),
            reported=self._query_reported(rule, bounds),
        )

    def _query_reported(self, rule, bounds):
        """Return the query that tells whether a fall in these weeks was reported before."""
        return SQL(
            """
            SELECT FROM usage_signal AS signal
             WHERE signal.rule_id = %(rule)s
               AND signal.company_id = %(company)s
               AND signal.partner_id = customer.id
               AND signal.meter_id = hourly.meter_id
               AND signal.period_end > %(since)s
               AND signal.period_end <= %(until)s
            """,
            rule=rule.id,
            company=self.env.company.id,
            since=bounds[-1] - WEEK * rule.weeks,
            until=bounds[-1],
        )

    def _facts(self, rule, bounds, tz, meter, partner_id, weekly):
        """Return the values of the signal for the quantities of the weeks of one customer."""
        *earlier, recent = weekly
        average = sum(earlier) / len(earlier)
        change = (recent / average - 1) * 100
        days = [local_date(moment, tz) for moment in bounds]
        return {
            "partner_id": partner_id,
            "meter_id": meter.id,
            "period_start": bounds[-2],
            "period_end": bounds[-1],
            "value": recent,
            "reference_value": average,
            "evidence": {
                "meter": meter.name,
                "unit": meter.unit_name or "",
                "recent_quantity": str(recent),
                "recent_from": days[-2].isoformat(),
                "recent_to": (days[-1] - timedelta(days=1)).isoformat(),
                "weekly_quantities": [str(quantity) for quantity in earlier],
                "weekly_from": days[0].isoformat(),
                "weekly_average": str(average),
                "change": str(change),
                "threshold": exact_text(rule.percentage),
            },
        }

    def _summary(self, evidence):
        """Say how far usage fell and against what."""
        return self.env._(
            "%(meter)s: usage fell by %(change)s against the previous %(weeks)s weeks",
            meter=evidence["meter"],
            change=self._format_percentage(evidence["change"].lstrip("-")),
            weeks=len(evidence["weekly_quantities"]),
        )

    def _evidence_lines(self, evidence):
        """Show the seven days, each week before and their average."""
        unit = evidence["unit"]
        weeks = [self._format_quantity(text) for text in evidence["weekly_quantities"]]
        days = self._format_days(evidence["recent_from"], evidence["recent_to"])
        return [
            (self.env._("Meter"), evidence["meter"]),
            (self.env._("Last 7 full days"), days),
            (self.env._("Used"), self._format_quantity(evidence["recent_quantity"], unit)),
            (self.env._("Weeks before, oldest first"), " · ".join(weeks)),
            (self.env._("Their average"), self._format_quantity(evidence["weekly_average"], unit)),
            (self.env._("Change"), self._format_percentage(evidence["change"])),
            (self.env._("Reported from"), f"-{self._format_percentage(evidence['threshold'])}"),
        ]
