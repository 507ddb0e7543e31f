"""Contract conflicts: usage that a contract should cover and none does, or that two claim.

Such usage is not billed. It is told in an exception for each account and meter, which is settled by
the next check once the contracts cover the usage, each part of it once.
"""

from datetime import datetime
from typing import NamedTuple

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL, groupby

from odoo.addons.usage_connector_base.aggregations import AGGREGATIONS, Span
from odoo.addons.usage_connector_base.models.usage_aggregate_quantities import Piece
from odoo.addons.usage_connector_base.models.usage_exception import exception_digest

REASON = "contract_conflict"
MESSAGES = {
    "outside": "%(meter)s was used outside of the contract of %(customer)s, first at %(first)s UTC: it is not billed.",
    "contested": "%(meter)s of %(customer)s is claimed by several subscriptions, first at %(first)s UTC: it is held.",
    "archived": "%(customer)s is archived, and %(meter)s was used, first at %(first)s UTC: it is held.",
}


class Stretch(NamedTuple):
    """A time in which usage of a customer's account on a meter would be in conflict."""

    customer_id: int
    meter_id: int
    kind: str
    span: Span

    @property
    def key(self):
        """What one exception is about: account, meter and kind."""
        return self.span.account_id, self.meter_id, self.kind


class UsageException(models.Model):
    _inherit = "usage.exception"

    reason = fields.Selection(
        selection_add=[(REASON, "Usage in conflict with contracts")], ondelete={REASON: "cascade"}
    )

    @api.model
    def _with_category(self, row):
        """What contracts say is settled by the business."""
        return {**row, "category": "business"} if row["reason"] == REASON else super()._with_category(row)

    def _compute_held_event_count(self):
        """Also count what no contract bills as it is."""
        res = super()._compute_held_event_count()
        for exception in self.filtered(lambda x: x.reason == REASON):
            stretches = exception._contract_stretches()
            used = self.env["usage.subscription"].sudo()._counted(stretches)  # sudo: as in _contract_stretches
            exception.held_event_count = sum(events for _first, events in used.values())
        return res

    def _contract_stretches(self):
        """Return each :class:`Stretch` of time that a contract conflict is about."""
        # sudo: who settles exceptions need not read contracts; it is told how many events they hold
        account = self.account_id.sudo()
        customers = (account.payer_id or account).assignment_ids.commercial_partner_id
        owned = self.env["usage.account"].sudo()._customer_spans(customers, "production")
        stretches = self.env["usage.subscription"].sudo()._of_customers(customers)._stretches(owned)
        return [each for each in stretches if exception_digest(*each.key) == self.digest]

    def action_view_events(self):
        """Also the events that contracts hold."""
        action = super().action_view_events()
        if self.reason != REASON:
            return action
        times = [Domain(_time_domain(each.span)) for each in self._contract_stretches()]
        domain = Domain("account_id", "=", self.account_id.id) & Domain("type", "=", self.event_type)
        return {**action, "domain": list(domain & Domain.OR(times))}


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
        family = self._of_customers(self.commercial_partner_id)
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

    @api.model
    def _of_customers(self, customers):
        """Return all subscriptions of customers that bill, or did."""
        return self.search([("state", "!=", "draft"), ("commercial_partner_id", "in", customers.ids)])

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
                    stretches += [Stretch(customer[0], meter_id, kind, part) for kind, part in _conflicts(span, parts)]
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
        counted, conflicts = self._counted(stretches), {}
        for position in sorted(counted, key=lambda position: counted[position][0]):
            digest, values = self._conflict(stretches[position], counted[position][0])
            conflicts.setdefault(digest, values)
        return conflicts

    def _counted(self, stretches):
        """Return {position: (when first, how many events)} of the stretches in which something was used.

        Whole hours are read from the hourly usage, what cuts hours from the events.
        """
        aggregate = self.env["usage.aggregate"]
        aggregate.flush_model()
        hours, parts = [], []
        meters = {each.meter_id: self.env["usage.meter"].browse(each.meter_id) for each in stretches}
        definitions = {meter_id: meter._definitions() for meter_id, meter in meters.items()}
        for position, (_customer_id, meter_id, _kind, span) in enumerate(stretches):
            if whole := span.hours():
                hours.append((Piece(position, meters[meter_id], span), *whole))
            cuts = [cut for cut in span.parts() if cut[1] < datetime.max]  # nothing was used at the end of time
            parts += [
                (Piece(position, definition, span), *part)
                for cut in cuts
                for definition, *part in aggregate._parts_by_definition(definitions[meter_id], *cut)
            ]
        selects = [aggregate._sql_hours(hours)] if hours else []
        for aggregation, rows in groupby(parts, key=lambda row: AGGREGATIONS[row[0].definition.aggregation]):
            selects += aggregate._sql_events(aggregation, rows, aggregate._sql_is_counted())
        if not selects:
            return {}
        query = SQL(
            "SELECT key, min(at), sum(event_count)::bigint FROM (%s) used GROUP BY key",
            SQL(" UNION ALL ").join(SQL("SELECT key, at, event_count FROM (%s) rows", each) for each in selects),
        )
        return {position: (first, events) for position, first, events in self.env.execute_query(query)}

    def _conflict(self, stretch, first):
        account = self.env["usage.account"].browse(stretch.span.account_id)
        meter = self.env["usage.meter"].browse(stretch.meter_id)
        customer = self.env["res.partner"].browse(stretch.customer_id).name
        digest = exception_digest(*stretch.key)
        return digest, {
            "source_id": account.source_id.id,
            "company_id": account.company_id.id,
            "reason": REASON,
            "digest": digest,
            "account_id": account.id,
            "event_type": meter.event_type,
            "message": MESSAGES[stretch.kind] % {"meter": meter.name, "customer": customer, "first": first},
        }


def _conflicts(span, claims):
    """Yield (kind, span) of the parts of a span that are claimed not at all, more than once, or for an archived
    customer."""
    at = span.start
    for start, end, archived in sorted(claims):
        if start > at:
            yield "outside", span._replace(start=at, end=start)
        elif start < at and at > span.start:
            yield "contested", span._replace(start=start, end=min(at, end))
        if archived:
            yield "archived", span._replace(start=start, end=end)
        at = max(at, end)
    if at < span.end:
        yield "outside", span._replace(start=at)


def _time_domain(span):
    """Return the domain of events within a span; open ends are ``datetime.min`` and ``datetime.max``."""
    bounds = (("time", ">=", span.start), span.start > datetime.min), (("time", "<", span.end), span.end < datetime.max)
    return [condition for condition, is_bound in bounds if is_bound]
