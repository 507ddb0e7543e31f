"""Statements: from quantities to charges."""

import logging
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from psycopg2 import OperationalError

from odoo import fields, models
from odoo.exceptions import AccessError, UserError

from odoo.addons.usage_connector_base.aggregations import Window
from odoo.addons.usage_connector_base.guard import unlocked

from .. import rating
from ..rating.decimals import CONTEXT
from ..rating.periods import local_date
from ..remember import remembering
from .usage_statement import PREPARER, RATEABLE

_logger = logging.getLogger(__name__)


class Blocked(Exception):
    """A statement cannot be rated; the message tells people why and what to do."""


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    def action_rate(self):
        """Calculate the charges of periods that have ended (billing preparers).

        Doing it again with the same usage and prices changes nothing. A statement that cannot be
        calculated becomes ``blocked``. Raises ``UserError`` for a period that still runs.
        """
        self._check_group(PREPARER)
        self._check_state(*RATEABLE)
        running = self.filtered(lambda statement: not statement.period_ended)
        if running:
            raise UserError(
                self.env._("%s still runs: its figures are live, and final once the period is over.", running[0].name)
            )
        self._rate(fields.Datetime.now())

    def action_refresh(self):
        """Bring the live figures of running periods up to date (billing preparers)."""
        self._check_group(PREPARER)
        self._check_state("open", "blocked")
        self._rate(fields.Datetime.now())

    def _rate(self, at):
        """Calculate the charges of statements, all quantities in one query.

        Periods that have ended at ``at`` (naive UTC) become ``rated``, the others stay ``open``
        with live figures. Rated ones are brought up to date as long as nobody submitted them.
        Whatever goes wrong with one statement becomes its state and message, and the rest goes
        on. Statements that another transaction holds are left to it.
        """
        statements = self.try_lock_for_update().filtered(lambda statement: statement.state in RATEABLE)
        with remembering(self.env):
            calculated, projected = statements._calculated(at)
        self._store_charges(calculated, at)
        self._set_projected(projected)

    def _calculated(self, at):
        """Return what statements come to: {statement: values of its charges}, {running one: what is expected of it}.

        Those that cannot be rated are blocked, and in neither.
        """
        calculated, projected, contested = {}, {}, self._contested()
        pool, measured = self._unit_pool(), self._measured()
        # In the order of time: later ones look at what earlier ones charged, and take what credit they leave.
        for statement in self.sorted(lambda statement: statement._order_key()):
            items = measured[statement]
            with statement._blocking():
                statement._check_contract(contested)
                calculated[statement] = statement._all_charge_vals(items, pool, calculated)
                if statement.period_end > at and not statement.interim_of_id:
                    projected[statement] = statement._project(items, calculated[statement], pool, calculated, at)
        return calculated, projected

    def _measured(self, until=datetime.max):
        """Return {statement: [(billed line, Window, quantity, records)]} of what was used.

        :param datetime until: naive UTC; what was used from then on is left out
        """
        windows = self._windows(until)
        keys = [(statement, billed) for statement, some in windows.items() for billed in some]
        all_windows = [windows[statement][billed] for statement, billed in keys]
        quantities = self.env["usage.aggregate"]._quantities(all_windows)
        readings = [billed.terms.reading(window) for (_, billed), window in zip(keys, all_windows, strict=True)]
        records = self.env["usage.reading"]._records(readings)
        measured = {statement: [] for statement in windows}
        for (statement, billed), *found in zip(keys, all_windows, quantities, records, strict=True):
            measured[statement].append((billed, *found))
        return measured

    def _blocking(self):
        """Make what goes wrong inside the reason why this statement is blocked, and go on; see :meth:`_telling`."""
        return self._telling(self._block)

    @contextmanager
    def _telling(self, tell):
        """Tell why this statement cannot be rated, if something goes wrong inside, and go on.

        Errors of the database's concurrency are raised, because the transaction is lost, and so
        is the lack of a right, which is no matter of the statement.

        :param tell: called with the reason, a text for people
        """
        reason = None
        try:
            yield
        except (OperationalError, AccessError):
            raise
        except (Blocked, UserError, rating.RatingError) as error:
            reason = str(error)
        except Exception as error:
            known_as = self.name or "in memory"
            _logger.exception("Statement %s of customer %s cannot be rated", known_as, self.partner_id.id)
            reason = self.env._("Unexpected error, see the server's log: %s", repr(error))
        if reason:
            tell(reason)

    def _windows(self, until=datetime.max):
        """Return {statement: {Billed: Window}} of what is to be added up, up to an instant."""
        spans = self.subscription_id._spans()
        result = {}
        for statement in self:
            billed = [item for line in statement.subscription_id.line_ids for item in statement._billed(line)]
            windows = {item: item.terms.window(spans[statement.subscription_id]) for item in billed}
            result[statement] = {
                item: Window.within(window.meter, window.spans, datetime.min, until) for item, window in windows.items()
            }
        return result

    def _billed(self, line):
        """Return what a line bills in the period: one :class:`Billed` for each version of its price."""
        return line._billed(self.period_start, self.period_end)

    def _all_charge_vals(self, items, pool, calculated=None):
        """Return the values of the charges of one statement; units of earlier versions fill tiers.

        :param items: list of (Billed, Window, quantity, records), versions in their order
        :param pool: ``UnitPool`` of credit in units
        :param dict calculated: values of the charges by statement, of earlier periods in this run
        """
        covered = pool.cover(self, items, calculated or {})
        return [
            self._charge_vals(billed, window, quantity, records, before, covered.get(billed), calculated)
            for (billed, window, quantity, records), before in self._with_prior(items)
        ]

    def _with_prior(self, items):
        """Return [(item, units used in the period under earlier versions of its price)]."""
        prior, found = {}, []
        for item in items:
            before = prior.get(item[0].line, Decimal(0))
            found.append((item, before))
            prior[item[0].line] = CONTEXT.add(before, item[2])
        return found

    def _charge_vals(self, billed, window, quantity, records=(), prior=0, units=None, calculated=None):
        """Return the values of the charge for what one line used under one version of its price.

        :param Decimal quantity: what the meter counted
        :param records: the same in pieces, where the price looks below the total
        :param prior: units used in the period under earlier versions
        :param dict units: units that credit covers, by the id of the grant
        :param calculated: as of :meth:`_all_charge_vals`
        """
        line, price, terms = billed
        self._check_billed(price)
        definition = self._core_definition(billed)
        covered = self._units_covered(billed, quantity, units, calculated or {})
        if covered or self._has_covered(billed, calculated or {}):
            definition["credit_quantity"] = rating.text(covered)
        usage = terms.usage(line._units(quantity), records, prior)
        charge = self._charge(billed, rating.parse_price(definition), usage, calculated or {})
        return {
            "statement_id": self.id,
            "subscription_line_id": line.id,
            "price_id": price.id,
            "meter_id": price.meter_id.id,
            "product_id": price.product_id.id,
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "usage_start": terms.start,
            "usage_end": terms.end,
            "source_accounts": window.account_ids(),
            "definition": definition,
            "quantity": usage.quantity if not price.meter_id else quantity,
            "metered": rating.text(quantity),
            "amount_unrounded": charge.unrounded,
            "amount": float(charge.amount),
            "result": charge.as_dict(),
            "fingerprint": charge.fingerprint(),
            "credit_units": {str(key): rating.text(value) for key, value in units.items()} if units else None,
        }

    def _units_covered(self, billed, quantity, units, calculated):
        """Return how many units of what is billed are covered by credit, as a Decimal.

        :param Decimal quantity: what the meter counted
        :param dict units: those that credit covers now, by the id of the grant
        """
        return CONTEXT.create_decimal(sum((units or {}).values()))

    def _core_definition(self, billed):
        """Return the price of what is billed as the rating core reads it, as promised when its allowance began."""
        line, day = billed.line, None
        if line.commitment_ids:
            day = local_date(line._counting_period(self.period_start)[0], self.tz)
        return line._definition(billed.price, day)

    def _charge(self, billed, price, usage, calculated):
        """Return the ``rating.Charge`` of a usage, a fee in advance for the periods that are due."""
        currency = self.currency_id._rating_currency(billed.price.rounding_mode)
        if billed.line.counted_over != "period":
            return self._charge_counted(billed, price, usage, calculated, currency)
        if billed.price.model == "recurring" and billed.price.timing == "advance":
            fees, paid = self._advance_fees(billed, price, usage, calculated)
            return rating.rate_together(price, fees, currency, paid)
        return rating.rate(price, usage, currency)

    def _contested(self):
        """Return {statement: a line of another subscription that bills the same usage}, with one query.

        Subscriptions refuse that; contacts that come to belong to one company make it so later.
        """
        lines = self.subscription_id.line_ids.filtered("meter_id")
        active = lines._active_on_same_usage()
        if all(len(found) == 1 for found in (lines | active).grouped(lambda line: line._usage_key()).values()):
            return {}  # as it should be: each usage has one line
        rivals = active.grouped(lambda line: line._usage_key())
        contested = {}
        for statement in self:
            period = statement.period_start, statement.period_end
            for line in statement.subscription_id.line_ids.filtered("meter_id"):
                others = rivals.get(line._usage_key(), line.browse()) - line
                found = others.filtered(lambda other, line=line, period=period: line._shares(other, period))
                if found:
                    contested[statement] = found[0]
        return contested

    def _check_contract(self, contested):
        """Raise ``Blocked`` for a customer that is archived and for usage that two subscriptions claim."""
        if not self.partner_id.active:
            raise Blocked(
                self.env._(
                    "%s is archived: restore the customer, or close the subscription, then rate again.",
                    self.partner_id.name,
                )
            )
        if self in contested:
            line = contested[self]
            raise Blocked(
                self.env._(
                    "%(meter)s is billed by %(other)s, too: end one of the two lines, or restrict the subscriptions to "
                    "different accounts, then rate again.",
                    meter=line.meter_id.name,
                    other=line.subscription_id.name,
                )
            )

    def _check_billed(self, price):
        """Raise ``Blocked`` for a price without approval and for quantities that are not complete.

        A statement in memory is a simulation's, of prices that may be drafts.
        """
        if self.id and price.state != "approved":
            raise Blocked(
                self.env._(
                    "The price of %s is not approved: have a second administrator approve it, then rate again.",
                    price._subject(),
                )
            )
        if price.meter_id.recount_pending:
            raise Blocked(
                self.env._(
                    "%s is new or was changed and its events are still being counted: rate again in a moment.",
                    price.meter_id.name,
                )
            )

    def _store_charges(self, calculated, at):
        """Store calculated charges: of all statements at once, or one by one where that fails.

        :param dict calculated: values of the charges by statement
        """
        try:
            with self.env.cr.savepoint():
                self._apply_charges(calculated, at)
        except (OperationalError, AccessError):
            raise
        except Exception:
            _logger.warning("Charges are stored one statement at a time", exc_info=True)
            for statement, vals_list in calculated.items():
                with statement._blocking(), self.env.cr.savepoint():
                    self._apply_charges({statement: vals_list}, at)

    def _apply_charges(self, calculated, at):
        """Replace charges that came out differently, and move the statements on.

        Charges that came out the same are left as they are. Who rated a statement is only news
        when its figures or its state are.
        """
        outdated, new, rated, live = self.env["usage.charge"], [], self.browse(), self.browse()
        for statement, vals_list in calculated.items():
            changed_from, changed_to = statement._changes(vals_list)
            outdated |= changed_from
            new += changed_to
            if statement.period_end > at and statement.state != "rated":
                live |= statement
            elif changed_from or changed_to or statement.state != "rated":
                rated |= statement
        unlocked(outdated).unlink()
        unlocked(self.env["usage.charge"]).create(new)
        live._set_calculated("open")
        rated._set_calculated("rated", prepared_by_id=self.env.uid)
        rated._log("rated")

    def _changes(self, vals_list):
        """Return the charges that are not what was calculated, and the values of those to make."""
        unchanged = self.charge_ids.filtered(lambda charge: charge._matches(vals_list))
        kept = {charge._key() for charge in unchanged}
        missing = [vals for vals in vals_list if (vals["subscription_line_id"], vals["price_id"]) not in kept]
        return self.charge_ids - unchanged, missing

    def _set_calculated(self, state, **vals):
        # Not tracked in the chatter: the approval log tells of it, and live figures change all day.
        silent = unlocked(self).with_context(tracking_disable=True)
        silent.write({"state": state, "rated_date": fields.Datetime.now(), "blocked_reason": False, **vals})

    def _block(self, reason):
        """Keep the reason where people see it, without figures; tell of it when it is news."""
        if (self.state, self.blocked_reason) == ("blocked", reason):
            return
        unlocked(self.charge_ids).unlink()
        unlocked(self).write({"state": "blocked", "blocked_reason": reason})
        self.message_post(body=self.env._("Blocked: %s", reason))
