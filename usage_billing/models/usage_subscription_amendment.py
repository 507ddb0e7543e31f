"""Amendments: what was changed in a contract that runs, from when, by whom, and how it was before.

An amendment changes dates, lines and plan of its subscription as soon as it is recorded, also where
it applies later: lines end and begin on its day, so rating knows nothing of amendments. What it
found and what it left is kept, which is all that undoing it takes.
"""

from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools.misc import format_date

from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

from ..numbers import exact, format_number
from ..rating.periods import local_date, local_midnight
from .usage_statement import RATEABLE

DAY = timedelta(days=1)
KINDS = [
    ("add_line", "Add a line"),
    ("end_line", "Remove a line"),
    ("change_price", "Change the price of a line"),
    ("change_quantity", "Change the quantity of a line"),
    ("change_plan", "Change the plan"),
    ("pause", "Pause"),
    ("resume", "Resume"),
    ("cancel", "Cancel"),
    ("renew", "Renew"),
    ("change_end", "Change the end"),
]
# What says until when a contract runs, where the latest one counts.
ENDING = {"cancel", "renew", "change_end"}
# What an amendment may change: kept before and after it.
SUBSCRIPTION_FIELDS = ("plan_id", "date_end", "paused_from", "state")
LINE_FIELDS = (
    *("price_id", "quantity", "included_quantity", "at_included_end", "counted_over"),
    *("date_from", "date_to", "active"),
)


class UsageSubscriptionAmendment(models.Model):
    _name = "usage.subscription.amendment"
    _description = "Amendment of a Usage Subscription"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"

    subscription_id = fields.Many2one(
        "usage.subscription", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="subscription_id.company_id", store=True, index=True)
    partner_id = fields.Many2one(related="subscription_id.partner_id", string="Customer", store=True, index=True)
    kind = fields.Selection(KINDS, string="Change", required=True, readonly=True, help="What was changed.")
    date = fields.Date(
        string="From",
        required=True,
        readonly=True,
        index=True,
        help="First day on which the change applies, in the subscription's time zone.",
    )
    state = fields.Selection(
        [("scheduled", "Scheduled"), ("in_force", "In Force"), ("reverted", "Undone")],
        compute="_compute_state",
        search="_search_state",
        help="Scheduled: its day is still to come. In force: it applies. Undone: it was taken back.",
    )
    before = fields.Json(readonly=True, required=True, help="Dates, plan and lines as the amendment found them.")
    after = fields.Json(readonly=True, required=True, help="Dates, plan and lines as the amendment left them.")
    changes = fields.Text(compute="_compute_changes", help="What was different before and after.")
    note = fields.Char(string="Reason", readonly=True, help="Why the contract was amended.")
    create_uid = fields.Many2one("res.users", string="Recorded By", readonly=True)
    create_date = fields.Datetime(string="Recorded On", readonly=True)
    reverted_by_id = fields.Many2one("res.users", string="Undone By", readonly=True)
    reverted_date = fields.Datetime(string="Undone On", readonly=True, help="When the amendment was undone (UTC).")

    @api.depends("kind", "date")
    @api.depends_context("lang")
    def _compute_display_name(self):
        labels = dict(self._fields["kind"]._description_selection(self.env))
        for amendment in self:
            amendment.display_name = f"{labels.get(amendment.kind)}, {format_date(self.env, amendment.date)}"

    @api.depends("date", "reverted_date")
    def _compute_state(self):
        for amendment in self:
            if amendment.reverted_date:
                amendment.state = "reverted"
            else:
                amendment.state = "scheduled" if amendment.date > amendment.subscription_id._today() else "in_force"

    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        today = fields.Date.today()
        # Where it is another day than here, time zones decide.
        standing = Domain("reverted_date", "=", False)
        later, earlier = Domain("date", ">", today + DAY), Domain("date", "<", today - DAY)
        near = self.search(standing & ~later & ~earlier).filtered(lambda amendment: amendment.state in value)
        by_state = {
            "scheduled": standing & later,
            "in_force": standing & earlier,
            "reverted": Domain("reverted_date", "!=", False),
        }
        return Domain.OR([Domain("id", "in", near.ids), *(by_state[state] for state in value if state in by_state)])

    @api.depends("before", "after")
    @api.depends_context("lang")
    def _compute_changes(self):
        for amendment in self:
            amendment.changes = "\n".join(amendment._change_texts())

    def _change_texts(self):
        """Yield a line of text for each field that is different after the amendment."""
        before, after = self.before or {}, self.after or {}
        yield from self._field_texts("usage.subscription", before.get("subscription"), after.get("subscription"))
        for line_id, values in (after.get("lines") or {}).items():
            known = (before.get("lines") or {}).get(line_id)
            price = self.env["usage.price"].browse(values["price_id"]).exists()
            subject = price._subject() if price else ""
            if known is None:
                yield self._new_line_text(price, subject, values)
            else:
                yield from (
                    f"{subject}: {text}" for text in self._field_texts("usage.subscription.line", known, values)
                )

    def _new_line_text(self, price, subject, values):
        """Return 'New: 12 × Seats, from 11/15/2026 until 12/09/2026'."""
        if price and not price.meter_id:
            subject = f"{format_number(self.env, exact(values['quantity']))} × {subject}"
        days = {name: values[name] and format_date(self.env, values[name]) for name in ("date_from", "date_to")}
        if days["date_to"]:
            return self.env._("New: %(what)s, from %(date_from)s until %(date_to)s", what=subject, **days)
        return self.env._("New: %(what)s, from %(date_from)s", what=subject, date_from=days["date_from"])

    def _field_texts(self, model, before, after):
        definitions = self.env[model].fields_get(list(after or {}), ["string", "type", "relation", "selection"])
        for name, value in (after or {}).items():
            old = (before or {}).get(name)
            if old != value:
                shown = [self._value_text(definitions[name], each) for each in (old, value)]
                yield f"{definitions[name]['string']}: {shown[0]} → {shown[1]}"

    def _value_text(self, definition, value):
        if value in (None, False):
            return "–"
        if definition["type"] == "many2one":
            return self.env[definition["relation"]].browse(value).exists().display_name or "–"
        if definition["type"] == "selection":
            return dict(definition["selection"]).get(value, value)
        if definition["type"] == "date":
            return format_date(self.env, value)
        return format_number(self.env, exact(value)) if isinstance(value, float) else str(value)

    # -- undoing ----------------------------------------------------------------------------

    def action_undo(self):
        """Restore what amendments found, the latest first; raises ``UserError`` where it was billed."""
        self.subscription_id.check_access("write")
        for amendment in self.sorted("id", reverse=True):
            amendment._undo()

    def _undo(self):
        subscription = self.subscription_id
        if self.reverted_date:
            raise UserError(self.env._("%s is undone already.", self.display_name))
        later = subscription.amendment_ids.filtered(lambda x: not x.reverted_date and x.id > self.id)
        if later:
            raise UserError(
                self.env._(
                    "%(later)s was recorded after %(this)s: undo that first.",
                    later=later[0].display_name,
                    this=self.display_name,
                )
            )
        subscription._check_not_billed(self.date)
        subscription._clear_live_charges(self.date)
        subscription._restore_terms(self.before, self.after)
        unlocked(self).write({"reverted_by_id": self.env.uid, "reverted_date": fields.Datetime.now()})
        subscription.message_post(body=self.env._("Undone: %s", self.display_name))
        subscription._amended()


class UsageSubscription(models.Model):
    _inherit = "usage.subscription"

    amendment_ids = fields.One2many("usage.subscription.amendment", "subscription_id", string="Amendments")
    amendment_count = fields.Integer(compute="_compute_amendment_count")
    paused_from = fields.Date(
        readonly=True, copy=False, tracking=True, help="First day of the pause; nothing is billed until it is resumed."
    )
    term_months = fields.Integer(
        string="Contract Term (Months)",
        tracking=True,
        help="How long the contract is agreed on, and by how much it is renewed; 0: it has no term.",
    )
    renews = fields.Boolean(
        string="Renews by Itself",
        tracking=True,
        help="At its end the contract is renewed for another term, unless it was cancelled before.",
    )

    _term = models.Constraint(
        "CHECK(term_months >= 0)", "Contract Term: a term is a number of months. Enter 0 for none."
    )
    _renewal = models.Constraint(
        "CHECK(renews IS NOT TRUE OR coalesce(term_months, 0) > 0)",
        "Renews by Itself: a contract without a term has nothing to renew. Enter the term in months.",
    )

    @api.depends("amendment_ids")
    def _compute_amendment_count(self):
        for subscription in self:
            subscription.amendment_count = len(subscription.amendment_ids)

    def _today(self):
        """Return the day that it is for the customer."""
        return local_date(fields.Datetime.now(), self.tz or "UTC")

    def _check_ready(self):
        """A contract with a term ends with it, unless another end was agreed on."""
        if self.term_months and not self.date_end:
            self.date_end = self._term_end(self.date_start)
        return super()._check_ready()

    def _term_end(self, day):
        """Return the last day of the term that ``day`` is in; terms are counted from the start."""
        terms = 1
        while self.date_start + relativedelta(months=terms * self.term_months) <= day:
            terms += 1
        return self.date_start + relativedelta(months=terms * self.term_months) - DAY

    def write(self, vals):
        """Refuse an end that comes, or goes, where it is billed."""
        if "date_end" in vals and not is_unlocked(self.env):
            end = fields.Date.to_date(vals["date_end"])
            for subscription in self.filtered(lambda x: (x.date_end or None) != end):
                subscription._check_not_billed(min(filter(None, (subscription.date_end, end))) + DAY)
        return super().write(vals)

    # -- recording --------------------------------------------------------------------------

    def _amend(self, kind, date, note=False, **values):
        """Record an amendment and make it; return the ``usage.subscription.amendment``.

        Raises ``UserError`` for a day whose usage was submitted for approval or billed, and for what
        is not there to be changed.

        :param str kind: one of :data:`KINDS`
        :param date date: first day on which it applies
        :param values: what the kind takes: line, price, plan, quantity, included_quantity,
            at_included_end, counted_over, until, end
        """
        self.ensure_one()
        self.check_access("write")
        if self.state != "active":
            raise UserError(self.env._("%s is not active: only contracts that run are amended.", self.name))
        self._check_not_billed(date)
        before = self._terms()
        self._clear_live_charges(date)
        getattr(self, f"_amend_{kind}")(date, **values)
        self.line_ids._check_billed_once()
        amendment = unlocked(self.env["usage.subscription.amendment"]).create(
            {
                "subscription_id": self.id,
                "kind": kind,
                "date": date,
                "note": note,
                **dict(zip(("before", "after"), _differences(before, self._terms()), strict=True)),
            }
        )
        self.message_post(body=self.env._("Amended: %s", amendment.display_name))
        self._amended()
        return amendment.with_env(self.env)

    def _amended(self):
        """Have statements and conflicts follow."""
        self._sync_contract_conflicts()
        self._wake_cron()

    def _terms(self):
        """Return what amendments may change, JSON-able."""
        self.flush_recordset()
        return {
            "subscription": self._values_of(SUBSCRIPTION_FIELDS),
            "lines": {
                str(line.id): line._values_of(LINE_FIELDS) for line in self.with_context(active_test=False).line_ids
            },
        }

    def _values_of(self, names):
        return _values(self, names)

    def _restore_terms(self, before, after):
        """Put back what an amendment changed: lines that it made go, others are as they were."""
        lines = self.env["usage.subscription.line"]
        made = lines.browse([int(line) for line in after["lines"] if line not in before["lines"]])
        made.exists().unlink()
        if before["subscription"]:
            unlocked(self).write({"currency_id": self.currency_id.id, **before["subscription"]})
        for line_id, values in before["lines"].items():
            lines.browse(int(line_id)).exists().write(values)
        self.line_ids._check_billed_once()

    def _check_not_billed(self, date):
        """Refuse a day whose period is on its way to the ledger."""
        start = local_midnight(date, self.tz)
        fixed = self.statement_ids.filtered(lambda x: x.period_end > start and x.state not in RATEABLE)
        if fixed:
            last = max(fixed, key=lambda x: x.period_end)
            raise UserError(
                self.env._(
                    "%(statement)s covers %(day)s and is submitted or billed. Choose a day from %(next)s on, or have "
                    "the statement rejected or its invoice cancelled first.",
                    statement=last.name,
                    day=format_date(self.env, date),
                    next=format_date(self.env, last.date_to + DAY),
                )
            )

    def _clear_live_charges(self, date):
        """Take away figures that the change outdates; the job calculates them again within moments."""
        start = local_midnight(date, self.tz)
        live = self.statement_ids.filtered(lambda x: x.period_end > start and x.state in RATEABLE)
        # sudo: derived figures, which administrators may not delete
        unlocked(live.charge_ids.sudo()).unlink()

    # -- the kinds --------------------------------------------------------------------------

    def _lines_at(self, date):
        """Return the lines that are billed on a day."""
        lines = self.line_ids.browse()
        for line in self.line_ids:
            first, last = line._dates()
            if first <= date and (last is None or last >= date):
                lines |= line
        return lines

    def _line_at(self, line, date):
        if line not in self._lines_at(date):
            raise UserError(
                self.env._(
                    "%(line)s is not billed on %(day)s: choose a line of that day, or another day.",
                    line=line.display_name or self.env._("No line"),
                    day=format_date(self.env, date),
                )
            )
        return line

    def _amend_add_line(self, date, price, **agreed):
        self._add_line(price, date, agreed)

    def _add_line(self, price, date, agreed):
        """Bill a price from a day on.

        :param dict agreed: values of the line that are not those of the price, or of any line
        """
        if price.state != "approved":
            raise UserError(
                self.env._("The price of %s is not approved: have a second administrator approve it.", price._subject())
            )
        values = {"date_to": False, **agreed, "date_from": date, "active": True}
        return self.line_ids.create({**values, "subscription_id": self.id, "price_id": price.id})

    def _amend_end_line(self, date, line):
        self._end_line(self._line_at(line, date), date)

    def _end_line(self, line, date):
        """Bill a line until the day before; one that begins on the day itself is archived."""
        if line._dates()[0] == date:
            line.active = False
        else:
            line.date_to = date - DAY

    def _amend_change_price(self, date, line, price, **agreed):
        """Go on at another price with what was agreed on for the line alone, unless something else is."""
        [kept] = self._line_at(line, date).copy_data()
        self._end_line(line, date)
        self._add_line(price, date, {**line._repriced(kept, price), **agreed})

    def _amend_change_quantity(self, date, line, quantity):
        line = self._line_at(line, date)
        if line.meter_id:
            raise UserError(
                self.env._("The quantity of %s is what its meter counts: it is not entered.", line.display_name)
            )
        until = line.date_to
        self._end_line(line, date)
        self._continue_line(line, date, until, quantity=quantity)

    def _continue_line(self, line, date, until, **changed):
        """Make a line that goes on from a day as another one was."""
        values = {**line._values_of(LINE_FIELDS), **changed, "date_from": date, "date_to": until, "active": True}
        continued = line.create({"subscription_id": self.id, **values})
        continued._promise_as(line)
        return continued

    def _amend_change_plan(self, date, plan):
        lines = self._lines_at(date)
        unlocked(self).write({"plan_id": plan.id, "currency_id": self.currency_id.id})
        prices = self.env["usage.price"].browse([vals["price_id"] for vals in self._line_vals_of_plan()])
        if not prices:
            raise UserError(
                self.env._(
                    "%(plan)s has no price in %(currency)s: add one to it, or choose another plan.",
                    plan=plan.name,
                    currency=self.currency_id.name,
                )
            )
        replaced = lines._taken_over(prices)
        agreed = [(price, line._repriced(*line.copy_data(), price)) for price in prices for line in replaced[price]]
        agreed += [(price, {}) for price in prices if not replaced[price]]
        for line in lines:
            self._end_line(line, date)
        for price, values in agreed:
            self._add_line(price, date, {**values, "date_to": False})

    def _amend_pause(self, date, until=None):
        """Bill nothing from a day on, until another one where it is known already."""
        if self.paused_from:
            raise UserError(self.env._("%s is paused already: resume it first.", self.name))
        if until and until < date:
            raise UserError(self.env._("Until: a pause ends after it begins. Choose a later day, or empty it."))
        unlocked(self).paused_from = False if until else date
        for line in self._lines_at(date):
            ends = line.date_to
            self._end_line(line, date)
            if until and not (ends and ends <= until):
                self._continue_line(line, until + DAY, ends)

    def _amend_resume(self, date):
        """Go on from a day with the lines that the pause ended, as they were."""
        pause = self.amendment_ids.filtered(lambda x: x.kind == "pause" and not x.reverted_date)[:1]
        if not self.paused_from or not pause:
            raise UserError(self.env._("%s is not paused: there is nothing to resume.", self.name))
        if date <= self.paused_from:
            raise UserError(
                self.env._("From: resuming takes a day after the pause began. To take the pause back, undo it.")
            )
        for paused, values in pause.before["lines"].items():
            if not values["date_to"] or fields.Date.to_date(values["date_to"]) >= date:
                line = self.line_ids.create({"subscription_id": self.id, **values, "date_from": date})
                line._promise_as(self.line_ids.browse(int(paused)).exists())
        unlocked(self).paused_from = False

    def _amend_cancel(self, date, state="active"):
        """End on the day before; ``closed`` where nothing is to be done until then."""
        self._end_on(date - DAY)
        unlocked(self).write({"state": state})

    def _end_on(self, day):
        if day < self.date_start:
            raise UserError(self.env._("End: a subscription cannot end before it starts. Choose a later day."))
        unlocked(self).write({"date_end": day})

    def _amend_renew(self, date):
        """Go on for another term after the present end."""
        if not self.term_months:
            raise UserError(
                self.env._("Contract Term: %s has none to renew. Enter its months, or change the end.", self.name)
            )
        self._end_on(self._term_end(date))

    def _amend_change_end(self, date, end=None):
        if end:
            self._end_on(end)
        else:
            unlocked(self).date_end = False

    # -- what happens by itself -------------------------------------------------------------

    def _prepare_due(self, now):
        """Renew or close contracts that are over, before their statements are prepared."""
        over = self.filtered(lambda x: x.state == "active" and x.date_end and x._end() <= now)
        for subscription in over:
            if subscription.renews and not subscription._is_cancelled():
                subscription._renew_by_itself()
        ended = over.filtered(lambda x: x._end() <= now)
        prepared = super()._prepare_due(now)
        unlocked(ended).write({"state": "closed"})
        return prepared

    def _renew_by_itself(self):
        try:
            with self.env.cr.savepoint():
                self._amend("renew", self.date_end + DAY, self.env._("Renews by itself"))
        except UserError as error:
            self.message_post(body=self.env._("The contract was not renewed: %s", error))

    def _is_cancelled(self):
        """Say whether the contract was cancelled, and neither renewed nor given another end since."""
        ends = self.amendment_ids.filtered(lambda x: x.kind in ENDING and not x.reverted_date)
        return ends.sorted("id")[-1:].kind == "cancel"

    # -- screens ----------------------------------------------------------------------------

    def action_amend(self):
        """Open the dialog that records an amendment."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Amend the Contract"),
            "res_model": "usage.subscription.amend",
            "view_mode": "form",
            "target": "new",
            "context": {"default_subscription_id": self.id},
        }

    def action_view_amendments(self):
        """The amendments of these subscriptions."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_subscription_amendment")
        return {**action, "domain": [("subscription_id", "in", self.ids)], "context": {}}


class UsageSubscriptionLine(models.Model):
    _inherit = "usage.subscription.line"

    def _values_of(self, names):
        return _values(self, names)

    def _promise_as(self, line):
        """Commit to what another line does, which this one takes the place of."""
        for commitment in line.commitment_ids:
            commitment.copy({"line_id": self.id})


def _values(record, names):
    """Return values of a record as JSON has them: ids of records, dates as text."""
    values = {}
    for name in names:
        value = record[name]
        if isinstance(value, models.BaseModel):
            value = value.id
        values[name] = fields.Date.to_string(value) if record._fields[name].type == "date" else value
    return values


def _differences(before, after):
    """Return what two states have different, each as it has it; lines as a whole."""
    lines = before["lines"].keys() | after["lines"].keys()
    changed = {line for line in lines if before["lines"].get(line) != after["lines"].get(line)}
    names = [name for name, value in before["subscription"].items() if after["subscription"][name] != value]
    return [
        {
            "subscription": {name: state["subscription"][name] for name in names},
            "lines": {line: state["lines"][line] for line in sorted(changed, key=int) if line in state["lines"]},
        }
        for state in (before, after)
    ]
