"""Statements: from quantities to charges."""

import logging
from psycopg2 import OperationalError

from odoo import fields, models
from odoo.exceptions import UserError

from .. import rating
from ..guard import unlocked
from ..numbers import exact
from .usage_aggregate import Window
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
                self.env._(
                    "%s still runs: its figures are live, and final once the period is over.", running[0].name
                )
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
        for statement, lines in windows.items():
            usage = [(line, window, quantities[statement, line]) for line, window in lines.items()]
            statement._rate_safely(usage, at)

    def _windows(self):
        """Return {statement: {subscription line: Window}} of what is to be added up."""
        accounts = self.subscription_id._accounts()
        result = {}
        for statement in self:
            lines = {
                line: line._window(statement.period_start, statement.period_end)
                for line in statement.subscription_id.line_ids
            }
            result[statement] = {
                line: Window(line.meter_id, accounts[statement.subscription_id], *bounds)
                for line, bounds in lines.items()
                if bounds
            }
        return result

    def _rate_safely(self, usage, at):
        """Rate one statement inside a savepoint; expected and unexpected errors block it.

        Errors of the database's concurrency are raised: the transaction cannot go on.
        """
        try:
            with self.env.cr.savepoint():
                changed = self._replace_charges([self._charge_vals(*line_usage) for line_usage in usage])
                self._set_rated(at, changed)
        except OperationalError:
            raise
        except (Blocked, UserError, rating.RatingError) as error:
            self._block(str(error))
        except Exception as error:
            _logger.exception("Statement %s cannot be rated", self.name)
            self._block(self.env._("Unexpected error, see the server's log: %r", error))

    def _charge_vals(self, line, window, quantity):
        """Return the values of the charge for ``quantity`` (Decimal) of one line."""
        self._check_line(line)
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
            "usage_start": window.start,
            "usage_end": window.end,
            "source_accounts": sorted(window.accounts.ids),
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

    def _replace_charges(self, vals_list):
        """Store what was calculated; charges that came out the same are left as they are.

        :return: whether anything changed
        """
        unchanged = self.charge_ids.filtered(lambda charge: charge._matches(vals_list))
        outdated = self.charge_ids - unchanged
        kept = unchanged.subscription_line_id.ids
        new = [vals for vals in vals_list if vals["subscription_line_id"] not in kept]
        unlocked(outdated).unlink()
        unlocked(self.env["usage.charge"]).create(new)
        self.invalidate_recordset(["charge_ids"])
        return bool(outdated or new)

    def _set_rated(self, at, changed):
        """Move on to ``rated`` when the period has ended, to ``open`` when not.

        Who rated is only news when the figures or the state are.
        """
        state = "rated" if self.period_end <= at or self.state == "rated" else "open"
        vals = {"state": state, "rated_date": fields.Datetime.now(), "blocked_reason": False}
        if state == "open":
            unlocked(self).write(vals)
        elif changed or self.state != state:
            unlocked(self).write({**vals, "prepared_by_id": self.env.uid})
            self._log("rated")

    def _block(self, reason):
        """Keep the reason where people see it, without figures; say it in the log when it is news."""
        if (self.state, self.blocked_reason) == ("blocked", reason):
            return
        unlocked(self.charge_ids).unlink()
        unlocked(self).write({"state": "blocked", "blocked_reason": reason})
        self.message_post(body=self.env._("Blocked: %s", reason))
