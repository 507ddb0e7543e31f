import time
from decimal import Decimal
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import ormcache

from odoo.addons.usage_connector_base.aggregations import Window

from ..rating.decimals import text

SET_UP_SECONDS = 30  # after which a changed subscription is seen; usage is always read anew


class Entitled(NamedTuple):
    """What a subscription entitles an account to use of a meter in the running period."""

    meter_id: int
    meter: str  # its code
    unit: str
    included: Decimal
    stops: bool  # at the end of what is included
    spans: tuple  # of the accounts that share it
    resets_at: str  # RFC 3339


class UsageEntitlement(models.AbstractModel):
    """What a product asks before it serves a request: may this account use more, and at whose cost.

    How things are set up is remembered for half a minute, so that an answer takes one query: the
    quantities of the running period from the hourly usage.
    """

    _name = "usage.entitlement"
    _description = "Entitlements"

    @api.model
    def _entitlements(self, sender, external_id):
        """What an account may use of each meter that its customer subscribes to.

        :param sender: :class:`~odoo.addons.usage_connector_base.models.usage_source.Sender`
        :param str external_id: the account, as the source names it
        :return: dict of the answer, None when the source has no such account
        """
        entitled = self._entitled(sender.source_id, external_id, int(time.time() / SET_UP_SECONDS))
        if entitled is None:
            return None
        meters = self.env["usage.meter"]
        windows = [Window(meters.browse(item.meter_id), item.spans) for item in entitled]
        quantities = self.env["usage.aggregate"]._quantities(windows)
        return {
            "account": external_id,
            "entitlements": [self._entitlement(*pair) for pair in zip(entitled, quantities, strict=True)],
        }

    def _entitlement(self, item, used):
        remaining = max(item.included - used, Decimal(0))
        return {
            "meter": item.meter,
            "unit": item.unit,
            "allowed": not item.stops or remaining > 0,
            "used": text(used),
            "included": text(item.included),
            "remaining": text(remaining),
            "overage": "stopped" if item.stops else "billed",
            "resets_at": item.resets_at,
        }

    @api.model
    @ormcache("source_id", "external_id", "slot")
    def _entitled(self, source_id, external_id, slot):
        """Tuple of :class:`Entitled`, None when the source has no such account."""
        # sudo: the API user reads no accounts and subscriptions; it is told of its own accounts alone
        account = self._account(source_id, external_id).sudo()
        if not account:
            return None
        now = fields.Datetime.now()
        subscriptions = self._subscriptions(account).filtered(lambda subscription: subscription._billed_at(now))
        return tuple(item for subscription in subscriptions for item in self._items(subscription, account, now))

    def _account(self, source_id, external_id):
        named = [("source_id", "=", source_id), ("external_id", "=", external_id)]
        # sudo: as in _entitled; usage that is sent under an alias is the other account's, as in ingestion
        alias = self.env["usage.account.alias"].sudo().search(named, limit=1)
        return alias.account_id or self.env["usage.account"].sudo().search(named, limit=1)

    def _subscriptions(self, account):
        return (
            self.env["usage.subscription"]
            .sudo()
            .search(  # sudo: as in _entitled
                [
                    ("commercial_partner_id", "=", account.commercial_partner_id.id),
                    ("commercial_partner_id", "!=", False),
                    ("company_id", "=", account.company_id.id),
                    ("state", "!=", "draft"),  # whether it bills today its dates say
                ],
                order="id",
            )
        )

    def _items(self, subscription, account, now):
        spans = subscription._spans()[subscription]
        if not any(span.account_id == account.id and span.start <= now < span.end for span in spans):
            return
        start, end = subscription._period(subscription._period_index(now))
        for line in subscription.line_ids.filtered("meter_id"):
            for billed in line._billed(start, end):
                if billed.terms.start <= now < billed.terms.end:
                    yield self._item(billed, spans, end)

    def _item(self, billed, spans, resets_at):
        line, meter = billed.line, billed.price.meter_id
        included = line._definition(billed.price).get("included_quantity", 0)
        return Entitled(
            meter.id,
            meter.code,
            meter.unit_name,
            Decimal(included),
            line.at_included_end == "stop",
            billed.terms.window(spans).spans,
            f"{resets_at.isoformat()}Z",
        )

    # -- balances ---------------------------------------------------------------------------

    @api.model
    def _balances(self, sender, external_id):
        """Prepaid credit of the customer of an account, by currency.

        :return: dict of the answer, None when the source has no such account
        """
        account = self._account(sender.source_id, external_id)
        if not account:
            return None
        # sudo: as in _entitled
        grants = (
            self.env["usage.credit.grant"]
            .sudo()
            .search(
                [
                    ("commercial_partner_id", "=", account.commercial_partner_id.id),
                    ("commercial_partner_id", "!=", False),
                    ("company_id", "=", account.company_id.id),
                    ("state", "=", "active"),
                ]
            )
        )
        return {
            "account": external_id,
            "balances": [self._balance(currency, of) for currency, of in grants.grouped("currency_id").items()],
        }

    def _balance(self, currency, grants):
        live = grants._live_balances()
        left = {grant: live.get(grant, grant.balance) for grant in grants}
        return {
            "currency": currency.name,
            "balance": self._amount(currency, sum(grants.mapped("balance"))),
            "live_balance": self._amount(currency, sum(left.values())),
            "grants": [
                {
                    "id": grant.name,
                    "granted": self._amount(currency, grant.amount),
                    "balance": self._amount(currency, grant.balance),
                    "live_balance": self._amount(currency, left[grant]),
                    "effective_at": f"{grant.effective_at.isoformat()}Z",
                    "expires_at": grant.expires_at and f"{grant.expires_at.isoformat()}Z" or None,
                }
                for grant in grants
            ],
        }

    def _amount(self, currency, amount):
        return f"{currency.round(amount):.{currency.decimal_places}f}"
