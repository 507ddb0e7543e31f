"""Statements: usage that credit in units of a meter covers before its price is applied."""

from dataclasses import replace
from decimal import Decimal

from odoo import models
from odoo.exceptions import UserError

from .. import rating
from .usage_statement import RATEABLE
from .usage_statement_credit import BILLED, by_part
from .usage_statement_rating import Blocked

MORE_THAN_ENOUGH = "1000000000000000000000000"


class UnitPool:
    """Units of customers' credit, as statements take them one after the other.

    A statement may take what is left after those of older periods, and after those that were
    submitted: their charges stay as they are.

    :param grants: active ``usage.credit.grant`` records in units, in the order of their use
    :param dict taken: {statement: {grant id: Decimal}} of what charges of unbilled statements cover
    """

    def __init__(self, grants, taken):
        self._of_meter = grants.grouped(lambda grant: (grant.commercial_partner_id, grant.company_id, grant.meter_id))
        self._units = grants._units_left() if grants else {}
        self._taken = taken

    def trial(self):
        """Return a pool from which something may be taken for trial."""
        other = UnitPool.__new__(UnitPool)
        other._of_meter, other._units, other._taken = self._of_meter, self._units, dict(self._taken)
        return other

    def give_back(self, units):
        """Add units, {grant id: Decimal}, to those that statements may take."""
        self._units = _added((self._units, units))

    @property
    def left(self):
        """{grant id: Decimal} of what no statement takes."""
        return {key: units - self._others(key, self._taken) for key, units in self._units.items()}

    def cover(self, statement, items, calculated=None):
        """Take units for a statement.

        :param items: list of (Billed, Window, quantity, records)
        :param dict calculated: values of the charges by statement, of earlier ones in this run
        :return: {Billed: {grant id: Decimal}} of the units that are covered
        """
        if not self._units:
            return {}
        left = self._left_for(statement)
        covered = {}
        for item, prior in statement._with_prior(items):
            billed = item[0]
            key = statement.commercial_partner_id, statement.company_id, billed.price.meter_id
            grants = [left[grant.id] for grant in self._of_meter.get(key, ())]
            used = rating.burned(grants, statement._units_by_part(item, prior, grants, calculated)) if grants else {}
            for grant_id, units in used.items():
                left[grant_id] = replace(left[grant_id], amount=left[grant_id].amount - units)
            if used:
                covered[billed] = used
        self._taken[statement] = _added(covered.values())
        return covered

    def _left_for(self, statement):
        """{grant id: ``rating.Grant`` of what the statement may take}."""
        before = [other for other in self._taken if other != statement and _comes_before(other, statement)]
        return {
            grant.id: grant._as_core(max(self._units[grant.id] - self._others(grant.id, before), Decimal(0)))
            for grants in self._of_meter.values()
            for grant in grants
        }

    def _others(self, grant_id, statements):
        return sum((self._taken[other].get(grant_id, Decimal(0)) for other in statements), Decimal(0))


def _comes_before(other, statement):
    return other.state not in RATEABLE or other._order_key() < statement._order_key()


def _added(shares):
    """Add up dicts of Decimals, key by key."""
    added = {}
    for share in shares:
        for key, value in share.items():
            added[key] = added.get(key, Decimal(0)) + Decimal(value)
    return added


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    # -- expecting --------------------------------------------------------------------------

    def _unit_pool(self):
        """Return the :class:`UnitPool` of the customers of these statements."""
        # sudo: who may see a statement sees what covers its usage
        grants, customers = self.env["usage.credit.grant"].sudo(), self._customers()
        found = grants.search([*customers, ("kind", "=", "units"), ("state", "=", "active"), ("units", ">", 0)])
        if not found:
            return UnitPool(found, {})
        unbilled = self.sudo().search([*customers, ("state", "not in", BILLED)])
        return UnitPool(found, {statement: statement._covered_units() for statement in unbilled})

    def _unit_pool_anew(self, replaced):
        """Return the pool for statements in memory, as if those that they replace had taken nothing of it.

        What has expired since is there again: credit covers what was used while it was valid.
        """
        # sudo: as in _unit_pool
        grants, customers = self.env["usage.credit.grant"].sudo(), self._customers()
        found = grants.search([*customers, ("kind", "=", "units"), ("state", "!=", "draft")])
        if not found:
            return UnitPool(found, {})
        unbilled = self.sudo().search([*customers, ("state", "not in", BILLED)]) - replaced
        pool = UnitPool(found, {statement: statement._covered_units() for statement in unbilled})
        pool.give_back(found.entry_ids._units_of(replaced))
        return pool

    def _customers(self):
        """Return the domain of what belongs to the customers of these statements."""
        return [
            ("commercial_partner_id", "in", self.commercial_partner_id.ids),
            ("company_id", "in", self.company_id.ids),
        ]

    def _live_pool(self):
        """Return the pool with what open statements take of it at this moment, the oldest first."""
        pool = self._unit_pool()
        for statement in self.sudo().filtered(lambda statement: statement.state == "open"):  # sudo: as above
            try:
                pool.cover(statement, statement._measured()[statement])
            except (Blocked, UserError, rating.RatingError):
                continue  # what cannot be rated takes what its charges say; its state tells the reason
        return pool

    def _covered_units(self):
        """Return {grant id: Decimal} of the units that the charges take."""
        shares = _added(charge.credit_units or {} for charge in self.charge_ids)
        return {int(key): units for key, units in shares.items()}

    def _units_by_part(self, item, prior, grants, calculated):
        """Return [(instant, units)] that a price would charge, cut where a grant begins or expires.

        Units that credit covered on earlier statements of the period are left out.
        """
        billed = item[0]
        start, end = billed.terms.start, billed.terms.end
        edges = {at for grant in grants for at in (grant.effective_at, grant.expires_at) if at}
        cuts = sorted(at for at in edges if start < at < end)
        before = self._units_before(billed, item[2], calculated or {})
        done = self._units_done(billed, item[2], calculated or {})
        reached = []
        for at in cuts:
            clipped = [part for part in self._measured(at)[self] if part[0] == billed]
            for _billed, _window, quantity, records in clipped:
                reached.append(self._billable(billed, max(quantity, done), records, prior, calculated) - before)
        whole = self._billable(billed, item[2], item[3], prior, calculated)
        return by_part([start, *cuts], [*reached, whole - before])

    def _billable(self, billed, quantity, records, prior, calculated):
        """Return how many units a price would charge without credit: those that are left after what it includes."""
        line, _price, terms = billed
        definition = {**self._core_definition(billed), "credit_quantity": MORE_THAN_ENOUGH}
        try:
            core = rating.parse_price(definition)
        except rating.PriceError:
            return Decimal(0)  # a price that charges no units, as that of payments
        charge = self._charge(billed, core, terms.usage(line._units(quantity), records, prior), calculated or {})
        return sum((Decimal(step["used"]) for step in charge.steps("credit")), Decimal(0))

    # -- using ------------------------------------------------------------------------------

    def _invoice_vals(self):
        """Take the units that cover usage when the rest is invoiced."""
        self._use_units()
        return super()._invoice_vals()

    def _close_without_invoice(self):
        """Take the units that cover all there was."""
        for statement in self:
            statement._use_units()
        return super()._close_without_invoice()

    def _use_units(self):
        """Take from credit the units that the charges say it covers; raise ``UserError`` if they are gone."""
        # sudo: as in _unit_pool
        covered = self.sudo()._covered_units()
        grants = self.env["usage.credit.grant"].sudo().browse(covered)
        left = grants._units_left()
        for grant in grants:
            if grant.state != "active" or left[grant.id] < covered[grant.id]:
                raise UserError(
                    self.env._(
                        "%(credit)s no longer has the units that %(statement)s was approved with: reject the "
                        "statement, rate it again, and have it approved again.",
                        credit=grant.name,
                        statement=self.name,
                    )
                )
            grant._enter("used", 0, -covered[grant.id], statement_id=self.id)
