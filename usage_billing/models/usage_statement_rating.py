"""Statements: from quantities to charges."""

import logging
from contextlib import contextmanager

from psycopg2 import OperationalError

from odoo import fields, models
from odoo.exceptions import AccessError, UserError

from odoo.addons.usage_connector_base.aggregations import Window
from odoo.addons.usage_connector_base.guard import unlocked

from .. import rating
from ..numbers import exact
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
        windows = statements._windows()
        keys = [(statement, line) for statement, lines in windows.items() for line in lines]
        all_windows = [windows[statement][line] for statement, line in keys]
        quantities = dict(zip(keys, self.env["usage.aggregate"]._quantities(all_windows), strict=True))
        calculated = {}
        for statement, lines in windows.items():
            with statement._blocking():
                vals_list = [statement._charge_vals(*item, quantities[statement, item[0]]) for item in lines.items()]
                calculated[statement] = vals_list
        self._store_charges(calculated, at)

    @contextmanager
    def _blocking(self):
        """Make what goes wrong inside the reason why this statement is blocked, and go on.

        Errors of the database's concurrency are raised, because the transaction is lost, and so
        is the lack of a right, which is no matter of the statement.
        """
        reason = None
        try:
            yield
        except (OperationalError, AccessError):
            raise
        except (Blocked, UserError, rating.RatingError) as error:
            reason = str(error)
        except Exception as error:
            _logger.exception("Statement %s cannot be rated", self.name)
            reason = self.env._("Unexpected error, see the server's log: %s", repr(error))
        if reason:
            self._block(reason)

    def _windows(self):
        """Return {statement: {subscription line: Window}} of what is to be added up."""
        spans = self.subscription_id._spans()
        result = {}
        for statement in self:
            lines = {
                line: line._window(statement.period_start, statement.period_end)
                for line in statement.subscription_id.line_ids
            }
            result[statement] = {
                line: Window.within(line.meter_id, spans[statement.subscription_id], *bounds)
                for line, bounds in lines.items()
                if bounds
            }
        return result

    def _charge_vals(self, line, window, quantity):
        """Return the values of the charge for ``quantity`` (Decimal) of one line."""
        self._check_line(line)
        start, end = line._window(self.period_start, self.period_end)
        definition = line._definition()
        price = rating.parse_price(definition)
        charge = rating.rate(price, rating.Usage(quantity=quantity), self._rating_currency())
        return {
            "statement_id": self.id,
            "subscription_line_id": line.id,
            "price_id": line.price_id.id,
            "meter_id": line.meter_id.id,
            "product_id": line.product_id.id,
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "usage_start": start,
            "usage_end": end,
            "source_accounts": window.account_ids(),
            "definition": definition,
            "quantity": charge.quantity,
            "amount_unrounded": charge.unrounded,
            "amount": float(charge.amount),
            "result": charge.as_dict(),
            "fingerprint": charge.fingerprint(),
        }

    def _check_line(self, line):
        """Raise ``Blocked`` for a price without approval and for quantities that are not complete."""
        if line.price_id.state != "approved":
            raise Blocked(
                self.env._(
                    "The price of %s is not approved: have a second administrator approve it, then rate again.",
                    line.meter_id.name,
                )
            )
        if line.meter_id.recount_pending:
            raise Blocked(
                self.env._(
                    "%s is new or was changed and its events are still being counted: rate again in a moment.",
                    line.meter_id.name,
                )
            )

    def _rating_currency(self):
        currency = self.currency_id
        return rating.Currency(currency.name, exact(currency.rounding).normalize())

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
        kept = unchanged.subscription_line_id.ids
        return self.charge_ids - unchanged, [vals for vals in vals_list if vals["subscription_line_id"] not in kept]

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
