"""Contract conflicts: usage that a contract should cover and none does, or that two claim.

Such usage is not billed. It is told in an exception for each account and meter, which is settled by
the next check once the contracts cover the usage, each part of it once.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL

from odoo.addons.usage_connector_base.models.usage_exception import exception_digest

REASON = "contract_conflict"
HOUR = timedelta(hours=1)
MESSAGES = {
    "outside": "%(meter)s was used outside of the contract of %(customer)s, first at %(first)s UTC: it is not billed.",
    "contested": "%(meter)s of %(customer)s is claimed by several subscriptions, first at %(first)s UTC: it is held.",
    "archived": "%(customer)s is archived, and %(meter)s was used, first at %(first)s UTC: it is held.",
}


class Stretch(NamedTuple):
    """A time in which usage of an account on a meter would be in conflict, naive UTC."""

    account_id: int
    meter_id: int
    kind: str
    start: datetime
    end: datetime


class UsageException(models.Model):
    _inherit = "usage.exception"

    reason = fields.Selection(
        selection_add=[(REASON, "Usage in conflict with contracts")], ondelete={REASON: "cascade"}
    )

    @api.model
    def _with_category(self, row):
        """What contracts say is settled by the business."""
        return {**row, "category": "business"} if row["reason"] == REASON else super()._with_category(row)


class UsageSubscription(models.Model):
    _inherit = "usage.subscription"

    @api.constrains("date_start", "date_end")
    def _check_lines_billed_once(self):
        """Refuse days that another subscription bills already."""
        self.line_ids._check_billed_once()

    def action_check_contracts(self):
        """Look for usage that no contract covers, or that two claim, and show the exceptions."""
        self._sync_contract_conflicts()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_exception")
        return {**action, "domain": [("reason", "=", REASON)], "context": {"search_default_open": 1}}

    @api.model
    def _cron_check_contracts(self):
        """Check all contracts, and settle what is no conflict any more."""
        found = self.search([("state", "!=", "draft")])._sync_contract_conflicts()
        # sudo: exceptions follow from usage and contracts; nobody decides them here
        stale = self.env["usage.exception"].sudo().search([("reason", "=", REASON), ("state", "=", "open")])
        self._settle_conflicts(stale, found)

    def _sync_contract_conflicts(self):
        """Have exactly those exceptions open that are conflicts of the customers of these subscriptions.

        :return: set of digests of the conflicts
        """
        family = self.search(
            [("state", "!=", "draft"), ("commercial_partner_id", "in", self.commercial_partner_id.ids)]
        )
        owned = self.env["usage.account"]._customer_spans(self.commercial_partner_id, "production")
        conflicts = family._used(family._stretches(owned))
        accounts = [span.account_id for spans in owned.values() for span in spans]
        # sudo: as in the job
        exceptions = self.env["usage.exception"].sudo()
        known = exceptions.search(
            [("reason", "=", REASON), ("account_id", "in", accounts), ("state", "!=", "resolved")]
        )
        self._settle_conflicts(known.filtered(lambda x: x.state == "open"), set(conflicts))
        told = set(known.mapped("digest"))
        exceptions._record([row for digest, row in conflicts.items() if digest not in told])
        return set(conflicts)

    def _settle_conflicts(self, exceptions, conflicts):
        settled = exceptions.filtered(lambda x: x.digest not in conflicts)
        settled._settle("resolved", self.env._("The contract covers the usage"))

    def _stretches(self, owned):
        """Return the :class:`Stretch` of all times that are not covered exactly once.

        :param dict owned: spans of the customers' accounts, as ``usage.account._customer_spans`` has them
        """
        claims, meters = self._claims()
        stretches = []
        for customer, spans in owned.items():
            for span in spans:
                for meter_id in meters.get(customer, ()):
                    parts = claims.get((customer, span.account_id, meter_id), [])
                    stretches += _conflicts(span, meter_id, parts)
        return stretches

    def _claims(self):
        """Return {(customer, account id, meter id): [(start, end, whether archived)]}, and each customer's meters."""
        spans = self._spans()
        claims, meters = {}, {}
        for subscription in self:
            customer = subscription.commercial_partner_id.id, subscription.company_id.id
            archived = not subscription.partner_id.active
            for line in subscription.line_ids.filtered("meter_id"):
                meters.setdefault(customer, set()).add(line.meter_id.id)
                window = line._window(datetime.min, datetime.max)
                for span in spans[subscription] if window else ():
                    start, end = max(span.start, window[0]), min(span.end, window[1])
                    if start < end:
                        key = (customer, span.account_id, line.meter_id.id)
                        claims.setdefault(key, []).append((start, end, archived))
        return claims, meters

    def _used(self, stretches):
        """Return {digest: values of an exception} of the stretches in which something was used."""
        if not stretches:
            return {}
        self.env["usage.aggregate"].flush_model()
        query = SQL(
            """
            SELECT s.account_id, s.meter_id, s.kind, min(used.hour), max(p.name)
            FROM unnest(%s::int[], %s::int[], %s::text[], %s::timestamp[], %s::timestamp[])
                AS s(account_id, meter_id, kind, first, last)
            JOIN usage_aggregate used ON used.account_id = s.account_id AND used.meter_id = s.meter_id
                AND used.hour >= s.first AND used.hour < s.last
            JOIN usage_account a ON a.id = s.account_id
            LEFT JOIN usage_account_assignment o ON o.account_id = coalesce(a.payer_id, a.id)
                AND tsrange(o.date_from, o.date_to) @> used.hour
            LEFT JOIN res_partner p ON p.id = o.commercial_partner_id
            GROUP BY 1, 2, 3
            """,
            *map(list, zip(*stretches, strict=True)),
        )
        return dict(map(self._conflict, self.env.execute_query(query)))

    def _conflict(self, row):
        account_id, meter_id, kind, first, customer = row
        account = self.env["usage.account"].browse(account_id)
        meter = self.env["usage.meter"].browse(meter_id)
        digest = exception_digest(account_id, meter_id, kind)
        return digest, {
            "source_id": account.source_id.id,
            "company_id": account.company_id.id,
            "reason": REASON,
            "digest": digest,
            "account_id": account_id,
            "event_type": meter.event_type,
            "message": MESSAGES[kind] % {"meter": meter.name, "customer": customer, "first": first},
        }


def _conflicts(span, meter_id, claims):
    """Yield the stretches of a span that are claimed not at all, more than once, or for an archived customer."""
    at = span.start
    for start, end, archived in sorted(claims):
        if start > at:
            yield from _stretch(span, meter_id, "outside", at, start)
        elif start < at and at > span.start:
            yield from _stretch(span, meter_id, "contested", start, min(at, end))
        if archived:
            yield from _stretch(span, meter_id, "archived", start, end)
        at = max(at, end)
    if at < span.end:
        yield from _stretch(span, meter_id, "outside", at, span.end)


def _stretch(span, meter_id, kind, start, end):
    """Yield the whole hours of a stretch; what belongs to both sides of an hour is not told apart here."""
    first = start if start == start.replace(minute=0, second=0) else start.replace(minute=0, second=0) + HOUR
    last = end.replace(minute=0, second=0, microsecond=0)
    if first < last:
        yield Stretch(span.account_id, meter_id, kind, first, last)
