"""Statements: interim ones, which charge a part of a period that runs once it has cost a threshold.

An interim statement covers the period from its start until a full hour. Its charges are those of the
usage until then, less what interim statements before it charged; the statement of the period itself
charges the rest. Tiers and included quantities therefore count on, usage that comes late is charged by
the next statement, and all of them together amount to what one statement would. Prices that begin anew
on every statement are the exception: each one prices the usage since the one before, and earlier usage
only where some of it was taken back. What belongs to the period as a whole (fees, minimums, commitments
that lack) stands on the last one.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from odoo.addons.usage_connector_base.aggregations import Window

from .. import rating
from ..numbers import exact, format_amount
from ..rating.decimals import CONTEXT
from ..rating.periods import local_date
from .usage_statement import RATEABLE
from .usage_subscription_commitment import covered_by, discount_of


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    interim_of_id = fields.Many2one(
        "usage.statement",
        string="Interim Statement Of",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The statement of the period that this one charges a part of; empty: it is the period's own.",
    )
    interim_ids = fields.One2many("usage.statement", "interim_of_id", string="Interim Statements")
    interim_count = fields.Integer(compute="_compute_interim")
    amount_interim = fields.Monetary(
        string="Charged Before",
        compute="_compute_interim",
        help="What earlier interim statements of the period charged, before tax: it is taken off this one.",
    )

    @api.depends("interim_ids.amount_untaxed", "interim_of_id.interim_ids.amount_untaxed")
    def _compute_interim(self):
        for statement in self:
            statement.interim_count = len(statement.interim_ids)
            statement.amount_interim = sum(statement._earlier_interims().mapped("amount_untaxed"))

    def _earlier_interims(self):
        """Return the interim statements of the period that cover less of it than this one, in order."""
        interims = (self.interim_of_id or self).interim_ids
        if not interims:
            return interims
        return interims.filtered(lambda other: other.period_end < self.period_end).sorted("period_end")

    def _later_of_period(self):
        """Return the statements of the period that take off what these interim ones charge."""
        later = self.browse()
        for statement in self.filtered("interim_of_id"):
            main = statement.interim_of_id
            later |= (main.interim_ids | main).filtered(lambda other, own=statement: other.period_end > own.period_end)
        return later

    # -- what was charged before --------------------------------------------------------------

    def _charges_before(self, key, calculated):
        """Return [(interim statement, charge)] of what earlier statements of the period charged.

        :param tuple key: ids of the subscription's line and of the version of its price
        :param dict calculated: values of the charges by statement, of earlier ones in this run;
            a charge is these values, or the record
        """
        return [
            (interim, charge) for interim in self._earlier_interims() for charge in interim._charges_of(key, calculated)
        ]

    def _charges_of(self, key, calculated):
        if self in calculated:
            return [vals for vals in calculated[self] if (vals["subscription_line_id"], vals["price_id"]) == key]
        return self.charge_ids.filtered(lambda charge: charge._key() == key)

    def _whole(self, charge, calculated):
        """Return what a line costs in the period on all its statements so far, as a Decimal.

        :param charge: of this statement: values, or the record
        """
        is_stored = isinstance(charge, models.BaseModel)
        key = charge._key() if is_stored else (charge["subscription_line_id"], charge["price_id"])
        charges = [charge, *(each for _, each in self._charges_before(key, calculated))]
        return sum((Decimal(each["result"]["amount"]) for each in charges), Decimal(0))

    def _split_before(self, billed, quantity, calculated):
        """Return (done with, priced again) of what earlier statements of the period charged, as of _charges_before.

        All of it is priced again and taken off. Of a price that begins anew on every statement that is only
        what charges units of which some were taken back since.

        :param Decimal quantity: what the meter counts in the period so far
        """
        done, again = self._charges_before(billed.key(), calculated), []
        if not (done and billed.begins_anew()):
            return [], done
        while done and Decimal(done[-1][1]["metered"]) > quantity:
            again.insert(0, done.pop())
        return done, again

    def _units_before(self, billed, quantity, calculated):
        """Return the units that credit covered of what is priced again, as a Decimal."""
        _done, again = self._split_before(billed, quantity, calculated)
        units = [Decimal(value) for _, charge in again for value in (charge["credit_units"] or {}).values()]
        return CONTEXT.create_decimal(sum(units, Decimal(0)))

    def _units_done(self, billed, quantity, calculated):
        """Return how many units the statement does not price, because earlier ones of the period did."""
        done, _again = self._split_before(billed, quantity, calculated)
        return Decimal(done[-1][1]["metered"]) if done else Decimal(0)

    def _units_covered(self, billed, quantity, units, calculated):
        """Add the units that are covered already of what is priced again."""
        covered = super()._units_covered(billed, quantity, units, calculated)
        return CONTEXT.add(covered, self._units_before(billed, quantity, calculated))

    def _has_covered(self, billed, calculated):
        """Also say so of earlier statements of the period, where a price begins anew on every one."""
        covered = [charge["credit_units"] for _, charge in self._charges_before(billed.key(), calculated)]
        return super()._has_covered(billed, calculated) or any(covered) and billed.begins_anew()

    # -- rating -------------------------------------------------------------------------------

    def _rate(self, at):
        """Also calculate what follows from interim statements: what they charge is taken off later ones."""
        return super(UsageStatement, self | self._later_of_period())._rate(at)

    def _billed(self, line):
        """Of an interim statement: usage alone, on the terms of the whole period."""
        if not self.interim_of_id:
            return super()._billed(line)
        period = self.interim_of_id
        billed = line._billed(period.period_start, period.period_end)
        return [item for item in billed if item.is_usage() and item.terms.start < self.period_end]

    def _windows(self, until=datetime.max):
        """Leave out what was used after the end of interim statements."""
        windows = super()._windows(until)
        for interim in self.filtered("interim_of_id"):
            windows[interim] = {
                item: Window.within(window.meter, window.spans, interim.period_start, interim.period_end)
                for item, window in windows[interim].items()
            }
        return windows

    def _charge(self, billed, price, usage, calculated):
        """Take off what earlier statements of the period charged; see the top of this file."""
        if self.interim_of_id:
            period = (billed.terms.start, min(billed.terms.end, self.period_end))
            usage = replace(usage, final=False, period=period)
        done, again = self._split_before(billed, usage.quantity, calculated)
        if done:
            usage = _what_is_new(usage, [each for _, each in done])
        charge = super()._charge(billed, price, usage, calculated)
        if not again:
            return charge
        return rating.less_billed(charge, [(interim.name, each["result"]["amount"]) for interim, each in again])

    def _charge_vals(self, billed, window, quantity, records=(), prior=0, units=None, calculated=None):
        """Say until when usage is charged, and how much of it is new."""
        vals = super()._charge_vals(billed, window, quantity, records, prior, units, calculated)
        before = self._charges_before(billed.key(), calculated or {})
        if before:
            vals["quantity"] = CONTEXT.subtract(vals["quantity"], Decimal(before[-1][1]["metered"]))
        if self.interim_of_id:
            vals["usage_end"] = min(vals["usage_end"], self.period_end)
        return vals

    # -- drawing up ---------------------------------------------------------------------------

    def _draw_interims(self, at, rate_until):
        """Draw up interim statements of running periods that have cost a threshold; return them.

        :param datetime at: now, naive UTC; what was used until the last full hour is charged
        :param datetime rate_until: naive UTC; statements of usage after that stay open
        """
        cut = at.replace(minute=0, second=0, microsecond=0)
        near = self.filtered(lambda statement: statement._nears_threshold(cut)).try_lock_for_update()
        if not near:
            return near
        drafts = self.browse().concat(*(self.new(statement._interim_vals(cut), ref=statement.id) for statement in near))
        measured, pool = drafts._measured(), drafts._unit_pool()
        due = drafts.filtered(lambda draft: draft._is_due(measured[draft], pool.trial()))
        if not due:
            return self.browse()
        interims = self.env["usage.subscription"]._create_statements(
            [main._interim_vals(cut) for main in due.interim_of_id]
        )
        interims._rate(rate_until)
        for interim in interims:
            amount = interim.currency_id.format(interim.amount_interim + interim.amount_untaxed)
            interim.message_post(body=self.env._("Drawn up because the usage of the period has cost %s.", amount))
        return interims

    def _nears_threshold(self, cut):
        """Say whether a running period, as last calculated, has cost the next threshold."""
        is_running = self.state == "open" and not self.interim_of_id and self.period_start < cut < self.period_end
        if not is_running or not any(self.subscription_id._thresholds()):
            return False
        if any(interim.period_end >= cut for interim in self.interim_ids):
            return False
        usage = self.charge_ids.filtered(lambda charge: charge.price_id._is_usage())
        return self._passes(sum(map(exact, usage.mapped("amount")), Decimal(0)))

    def _is_due(self, items, pool):
        """Say whether what a draft would charge passes the next threshold; not where it cannot be rated."""
        vals_list, problems = [], []  # the statement of the period tells the problem
        with self._telling(problems.append):
            vals_list = self._all_charge_vals(items, pool)
        return not problems and self._passes(sum((exact(vals["amount"]) for vals in vals_list), Decimal(0)))

    def _passes(self, new):
        """Say whether an amount on top of what was charged before reaches the next threshold."""
        billed = sum(map(exact, self._earlier_interims().mapped("amount_untaxed")), Decimal(0))
        return rating.passes_threshold(billed, billed + new, *self.subscription_id._thresholds())

    def _interim_vals(self, cut):
        """Return the values of an interim statement of this period until an instant (naive UTC)."""
        names = ("subscription_id", "partner_id", "company_id", "currency_id")
        return {
            **{name: self[name].id for name in names},
            "interim_of_id": self.id,
            "tz": self.tz,
            "period_start": self.period_start,
            "period_end": cut,
            "date_from": self.date_from,
            "date_to": local_date(cut - timedelta(seconds=1), self.tz),
        }

    # -- one after the other ------------------------------------------------------------------

    def action_submit(self):
        """Refuse while what is taken off a statement may still change."""
        self._check_earlier_submitted()
        return super().action_submit()

    def action_approve(self):
        """Refuse what takes off something else than was charged, in case both changed at the same moment."""
        self._check_earlier_submitted()
        for statement in self.filtered(lambda statement: statement._earlier_interims()):
            if not all(charge._rests_on_charged() for charge in statement.charge_ids):
                raise UserError(
                    self.env._(
                        "%s takes off what is no longer what earlier statements of the period charge. Reject it, have "
                        "it rated again, and submitted.",
                        statement.name,
                    )
                )
        return super().action_approve()

    def _check_earlier_submitted(self):
        for statement in self:
            waiting = statement._earlier_interims().filtered(lambda other: other.state in RATEABLE) - self
            if waiting:
                raise UserError(
                    self.env._(
                        "%(statement)s charges what %(interim)s left: rate and submit %(interim)s first.",
                        statement=statement.name,
                        interim=waiting[0].name,
                    )
                )

    def action_reject(self, reason):
        """Refuse while a later statement of the period rests on the charges."""
        later = self._later_of_period().filtered(lambda other: other.state not in RATEABLE) - self
        if later:
            raise UserError(
                self.env._(
                    "%(later)s charges what %(interim)s left, and is submitted or billed: reject that first.",
                    later=later[0].name,
                    interim=", ".join(self.filtered("interim_of_id").mapped("name")),
                )
            )
        self._later_of_period()._start_over_at_once()
        return super().action_reject(reason)

    def _start_over_at_once(self):
        """Have whoever submits these at the same moment fail to serialize, and be refused when that is run again.

        Each of the two only reads what the other one writes, which would let both go through.
        """
        self.flush_recordset(["write_date"])
        query = "UPDATE usage_statement SET write_date = now() AT TIME ZONE 'UTC' WHERE id = ANY(%s)"
        self.env.cr.execute(SQL(query, self.ids))
        self.invalidate_recordset(["write_date"])

    def _invoice_line_text(self, charge):
        """Also tell the customer what was billed before."""
        words = super()._invoice_line_text(charge)
        billed = [step for step in charge.explanation or () if step["step"] == "billed"]
        if not billed:
            return words
        return self.env._(
            "%(words)s\n%(amount)s of it billed before (%(statements)s)",
            words=words,
            amount=format_amount(self.env, -sum(Decimal(step["amount"]) for step in billed), self.currency_id),
            statements=", ".join(step["invoice"] for step in billed),
        )

    def action_view_interims(self):
        """The interim statements of these periods."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_statement")
        return {**action, "domain": [("interim_of_id", "in", self.ids)], "context": {}}


def _what_is_new(usage, before):
    """Return the usage since the last statement, with what those before it took."""
    metered = [Decimal(charge["metered"]) for charge in before]
    # One that charged less than an earlier one had counted priced that one's units again.
    results = [charge["result"] for n, charge in enumerate(before) if metered[n] <= min(metered[n:])]
    return replace(
        usage,
        quantity=CONTEXT.subtract(usage.quantity, metered[-1]),
        billed_quantity=metered[-1],
        billed_amount=sum((Decimal(charge["result"]["unrounded"]) for charge in before), Decimal(0)),
        billed_discount=sum(map(discount_of, results), Decimal(0)),
        billed_credit=sum(map(covered_by, results), Decimal(0)),
        first=False,
    )
