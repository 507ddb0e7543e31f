import time
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import ormcache

from odoo.addons.usage_connector_base.aggregations import Window

from ..numbers import exact_text
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
    customer: tuple  # ids of its commercial partner, company and currency
    stops_without_credit: bool
    is_free: bool  # while a trial lasts
    has_units: bool  # credit in units of the meter was there when the set-up was read


class UsagePrice(models.Model):
    _inherit = "usage.price"

    @api.constrains("included_per", "group_by", "bucket_interval")
    def _check_included_for_stop(self):
        """Refuse a version of which no total tells when what is included is used up, where that stops a customer."""
        apart = self.filtered(lambda price: price._includes_apart())
        # sudo: who writes prices may not see subscriptions
        lines = self.env["usage.subscription.line"].sudo()
        for price in apart:
            lines.search([("price_id", "in", price._all_versions().ids)])._check_stop_at_total()

    def _includes_apart(self):
        """Say whether groups, hours or days have included units of their own."""
        return self.included_per == "part" and bool(self.group_by or self.bucket_interval)


class UsageSubscriptionLine(models.Model):
    _inherit = "usage.subscription.line"

    @api.constrains("at_included_end", "price_id")
    def _check_stop_at_total(self):
        """Refuse to stop at the end of what is included where a group, hour or day may have some of it left."""
        for line in self.filtered(lambda line: line.at_included_end == "stop"):
            if any(price._includes_apart() for price in line.price_id._all_versions()):
                raise ValidationError(
                    self.env._(
                        "After That: every group, hour or day of %(meter)s on %(subscription)s has included units of "
                        "its own, so that no total tells when they are used up. Choose 'Bill more' on the "
                        "subscription, or 'Shared' as 'Included in Groups, Hours, Days' of the price.",
                        meter=line.price_id._subject(),
                        subscription=line.subscription_id.name,
                    )
                )


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
        found = self._entitled(sender.source_id, external_id, int(time.time() / SET_UP_SECONDS))
        if found is None:
            return None
        entitled, query = found
        # sudo: as in _entitled
        quantities = self.env["usage.aggregate"].sudo()._read_query(query, len(entitled))
        return {
            "account": external_id,
            "entitlements": [self._entitlement(*pair) for pair in zip(entitled, quantities, strict=True)],
        }

    def _entitlement(self, item, used):
        remaining = max(item.included - used, Decimal(0))
        credit = self._units_of(item) if item.has_units else Decimal(0)
        reason = self._refusal(item, remaining, credit)
        return {
            "meter": item.meter,
            "unit": item.unit,
            "allowed": not reason,
            "reason": reason,
            "used": text(used),
            "included": text(item.included),
            "remaining": text(remaining),
            "credit": text(credit),
            "overage": "stopped" if item.stops or item.stops_without_credit else "billed",
            "resets_at": item.resets_at,
        }

    def _refusal(self, item, remaining, credit):
        """Return why no more may be used, None when it may: included units, prepaid units and money in turn."""
        if item.is_free or remaining > 0 or credit > 0:
            return None
        if item.stops:
            return "included_used_up"
        if item.stops_without_credit and self._money_of(item) <= 0:
            return "credit_used_up"
        return None

    def _units_of(self, item):
        """Return the prepaid units that are left, usage so far taken off."""
        partner_id, company_id, _currency_id = item.customer
        meter = self.env["usage.meter"].browse(item.meter_id)
        partner, company = self.env["res.partner"].browse(partner_id), self.env["res.company"].browse(company_id)
        grants = self._unit_grants(partner, company, meter)._usable()
        return sum(grants._live_units().values(), Decimal(0))

    def _money_of(self, item):
        """Return the prepaid credit in money that is left, usage so far taken off."""
        models = ("res.partner", "res.company", "res.currency")
        # sudo: as in _entitled
        customer = [self.env[model].sudo().browse(key) for model, key in zip(models, item.customer, strict=True)]
        live = self.env["usage.credit.grant"].sudo()._live_balances_of(*customer)
        usable = self.env["usage.credit.grant"].concat(*live)._usable()
        return sum(live[grant] for grant in usable)

    @api.model
    @ormcache("source_id", "external_id", "slot")
    def _entitled(self, source_id, external_id, slot):
        """(:class:`Entitled` of each meter, the query of what was used), None when the source has no such account."""
        # sudo: the API user reads no accounts and subscriptions; it is told of its own accounts alone
        account = self._account(source_id, external_id).sudo()
        if not account:
            return None
        now = fields.Datetime.now()
        subscriptions = self._subscriptions(account).filtered(lambda subscription: subscription._billed_at(now))
        entitled = [item for subscription in subscriptions for item in self._items(subscription, account, now)]
        meters = self.env["usage.meter"]
        windows = [Window(meters.browse(item.meter_id), item.spans) for item in entitled]
        return tuple(entitled), self.env["usage.aggregate"]._sql_quantities(windows)

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
        for line in subscription.line_ids.filtered("meter_id"):
            start, end = line._counting_period(now)
            for billed in line._billed(start, end):
                if billed.terms.start <= now < billed.terms.end:
                    yield self._item(billed, spans, (start, end), now)

    def _item(self, billed, spans, period, now):
        line, meter = billed.line, billed.price.meter_id
        subscription = line.subscription_id
        customer = subscription.commercial_partner_id
        window, trial_end = billed.terms.window(spans), billed.terms.trial_end()
        is_free = bool(trial_end) and now < trial_end
        if trial_end and not is_free:  # what was used in the trial takes nothing of what is included
            window = Window.within(meter, window.spans, trial_end, datetime.max)
        return Entitled(
            meter.id,
            meter.code,
            meter.unit_name,
            line._included(billed, period),
            line.at_included_end == "stop",
            window.spans,
            f"{period[1].isoformat()}Z",
            (customer.id, subscription.company_id.id, subscription.currency_id.id),
            subscription.at_credit_end == "stop",
            is_free,
            bool(self._unit_grants(customer, subscription.company_id, meter)),
        )

    def _unit_grants(self, customer, company, meter):
        # sudo: as in _entitled
        grants = self.env["usage.credit.grant"].sudo()
        return grants.search(
            [
                ("commercial_partner_id", "=", customer.id),
                ("company_id", "=", company.id),
                ("meter_id", "=", meter.id),
                ("state", "=", "active"),
                ("units", ">", 0),
            ]
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
        money = grants.filtered(lambda grant: grant.kind == "money")
        return {
            "account": external_id,
            "balances": [self._balance(currency, of) for currency, of in money.grouped("currency_id").items()],
            "units": [self._unit_balance(meter, of) for meter, of in (grants - money).grouped("meter_id").items()],
        }

    def _unit_balance(self, meter, grants):
        left, live = grants._units_left(), grants._live_units()
        return {
            "meter": meter.code,
            "unit": meter.unit_name,
            "balance": text(sum(left.values(), Decimal(0))),
            "live_balance": text(sum(live.values(), Decimal(0))),
            "grants": [
                {
                    "id": grant.name,
                    "granted": exact_text(grant.quantity),
                    "balance": text(left[grant.id]),
                    "live_balance": text(live[grant]),
                    **self._validity(grant),
                }
                for grant in grants
            ],
        }

    def _validity(self, grant):
        return {
            "effective_at": f"{grant.effective_at.isoformat()}Z",
            "expires_at": f"{grant.expires_at.isoformat()}Z" if grant.expires_at else None,
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
                    **self._validity(grant),
                }
                for grant in grants
            ],
        }

    def _amount(self, currency, amount):
        return f"{currency.round(amount):.{currency.decimal_places}f}"
