from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.base.models.res_partner import _tz_get

from ..contract.windows import read_zone
from ..ingestion import mending
from ..ingestion.cells import parse_number
from ..ingestion.compare import pretty
from ..ingestion.envelope import Refusal, decode
from ..ingestion.facts import dump
from ..models.usage_exception_queue import render_comparison

DETAILS = ("path", "new_path", "value", "value_kind", "decimal_sign", "subject", "tz", "hours")


class UsageExceptionCorrect(models.TransientModel):
    """Corrects rejected events in one go and replays them; what was received stays in each exception."""

    _name = "usage.exception.correct"
    _description = "Correct and Replay Usage Exceptions"

    exception_ids = fields.Many2many("usage.exception", string="Exceptions", required=True, readonly=True)
    exception_count = fields.Integer(compute="_compute_exception_count")
    change = fields.Selection(
        [
            ("set", "Set a value"),
            ("rename", "Move a value to another name"),
            ("remove", "Remove a value"),
            ("number", "Make a text a number"),
            ("subject", "Replace the account"),
            ("zone", "Say the time zone of the time"),
            ("shift", "Move the time by hours"),
            ("edit", "Edit the event by hand"),
        ],
        string="Correction",
        required=True,
        default="set",
        help="Done to each of the events. What was received stays as it is, beside what is replayed.",
    )
    path = fields.Char(string="Where", help="Such as data.tokens, or subject: names joined by points.")
    new_path = fields.Char(string="New Name", help="Such as data.tokens: where the value belongs.")
    value = fields.Char(help="What to put there.")
    value_kind = fields.Selection(
        [("text", "Text"), ("number", "Number")], string="As", default="text", required=True, help="What the value is."
    )
    decimal_sign = fields.Selection(
        [(".", "Point: 1,234.5"), (",", "Comma: 1.234,5")],
        default=".",
        required=True,
        help="How the texts are written.",
    )
    subject = fields.Char(string="Account ID", help="The account whose usage it is, as the source names it.")
    tz = fields.Selection(_tz_get, string="Time Zone", help="The zone that the times were meant in.")
    hours = fields.Float(help="How many hours later the usage happened; negative when earlier.")
    payload = fields.Text(string="Event", compute="_compute_payload", store=True, readonly=False)
    preview_html = fields.Html(
        string="Preview",
        compute="_compute_preview_html",
        sanitize=False,
        help="What becomes of the first of the events; nothing is stored yet.",
    )

    @api.depends("exception_ids")
    def _compute_exception_count(self):
        for wizard in self:
            wizard.exception_count = len(wizard.exception_ids)

    @api.depends("exception_ids")
    def _compute_payload(self):
        for wizard in self:
            wizard.payload = pretty(wizard.exception_ids.payload) if len(wizard.exception_ids) == 1 else False

    @api.depends("exception_ids", "change", "payload", *DETAILS)
    @api.depends_context("lang")
    def _compute_preview_html(self):
        for wizard in self:
            first = wizard.exception_ids[:1]._origin
            try:
                mended = wizard._mended(first) if first and not wizard._missing() else None
            except UserError as error:
                wizard.preview_html = Markup("<p>%s</p>") % error
            else:
                wizard.preview_html = wizard._preview(first, mended) if mended else False

    def _preview(self, exception, payload):
        titles = self.env._("Received"), self.env._("Corrected: %s", self._judged(exception, payload))
        return render_comparison(titles, exception.payload, payload)

    def _judged(self, exception, payload):
        """What would become of a corrected event, in words."""
        # sudo: judging reads settings and meters as the pipeline does; nothing is stored
        ingestion = self.env["usage.ingestion"].sudo()
        [verdict] = ingestion._dry_run(exception.source_id._as_sender(), [decode(payload.encode())])
        return verdict.message or self.env._("it will count")

    # -- correcting -------------------------------------------------------------------------

    def action_replay(self):
        """Correct the events and send them through the pipeline, each on its own account."""
        self.ensure_one()
        missing = self._missing()
        if missing:
            raise UserError(missing)
        exceptions = self.exception_ids
        exceptions._check_open()
        payloads, obstacles = {}, {}
        for exception in exceptions:
            try:
                payloads[exception] = self._mended(exception)
            except UserError as error:
                obstacles[exception] = str(error)
        if not payloads:
            raise UserError(next(iter(obstacles.values())))
        action = self.env["usage.replay"]._start(exceptions, payloads, self._description_of_change(), obstacles)
        return action or self._after_one()

    def _after_one(self):
        """A single one that is still open says why at once."""
        lines = self.env["usage.replay.line"].search([("exception_id", "=", self.exception_ids.id)])
        if self.exception_ids.state == "open":
            raise UserError(lines[-1].message)
        return {"type": "ir.actions.client", "tag": "soft_reload"}

    def _missing(self):
        """What the person has yet to say, None when nothing."""
        if self.change == "edit" and len(self.exception_ids) != 1:
            return self.env._("Events are edited by hand one at a time: choose another correction for several.")
        needed = {
            "set": ["path", "value"],
            "rename": ["path", "new_path"],
            "remove": ["path"],
            "number": ["path"],
            "subject": ["subject"],
            "zone": ["tz"],
            "shift": ["hours"],
            "edit": ["payload"],
        }
        for name in needed[self.change]:
            if not self[name]:
                return self.env._("%s: fill it in.", self._fields[name]._description_string(self.env))
        return None

    def _mended(self, exception):
        """JSON text of the corrected event of one exception.

        :raises UserError: the correction does not fit the event
        """
        if self.change == "edit":
            try:
                return dump(decode(self.payload.encode()))
            except Refusal as refusal:
                raise UserError(self.env._("The event is no JSON: %s", refusal.message)) from refusal
        try:
            return dump(self._change(decode(exception.payload.encode())))
        except mending.CannotMend as error:
            raise UserError(self._cannot(error.code)) from error
        except ValueError as error:
            raise UserError(self.env._("%s is no number.", self.value)) from error

    def _change(self, event):
        path = tuple((self.path or "").strip().split("."))
        if self.change == "set":
            value = parse_number(self.value, self.decimal_sign) if self.value_kind == "number" else self.value
            return mending.put(event, path, value)
        if self.change == "rename":
            return mending.rename(event, path, tuple(self.new_path.strip().split(".")))
        if self.change == "remove":
            return mending.remove(event, path)
        if self.change == "number":
            return mending.to_number(event, path, self.decimal_sign)
        if self.change == "subject":
            return mending.put(event, ("subject",), self.subject)
        if self.change == "zone":
            return mending.place(event, read_zone(self.tz))
        return mending.shift(event, self.hours)

    def _cannot(self, code):
        return {
            "not_an_object": self.env._("It is no event at all: edit it by hand, or have the source send it again."),
            "nothing_there": self.env._("The event has nothing at %s.", self.path),
            "in_the_way": self.env._("The event has a value in the way of %s.", self.new_path or self.path),
            "no_number": self.env._("What stands at %s is no text that is a number.", self.path),
            "no_time": self.env._("The event has no time that can be read: edit it by hand."),
        }[code]

    def _description_of_change(self):
        label = dict(self._fields["change"]._description_selection(self.env))[self.change]
        details = [self[name] for name in ("path", "new_path", "value", "subject", "tz") if self[name]]
        if self.change == "shift":
            details = [f"{self.hours:+g} h"]
        return ": ".join([label, " → ".join(details)]) if details and self.change != "edit" else label
