import json

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from ..ingestion import facts
from ..ingestion.envelope import Refusal, decode

MAX_TEXT = 1024 * 1024  # characters of what is pasted
MAX_TRIED = 100  # events tried at once
# Any of these makes an object an event; without them it is taken for the data of one.
ENVELOPE = {"specversion", "id", "type", "subject", "data"}
EXAMPLE = {"id": "try-1", "source": "/try", "specversion": "1.0", "subject": "try"}


class UsageMeterTry(models.TransientModel):
    """What pasted events would count: judged and counted as sent ones are, and stored nowhere."""

    _name = "usage.meter.try"
    _description = "Try a Usage Meter"

    meter_id = fields.Many2one("usage.meter", required=True, readonly=True)
    version_id = fields.Many2one(
        "usage.meter.version", readonly=True, help="The draft that is tried; empty: the meter as it counts now."
    )
    text = fields.Text(
        string="Event",
        help="A CloudEvent as JSON, a list of them, or only the data of one. Nothing of it is stored.",
    )
    line_ids = fields.One2many("usage.meter.try.line", "try_id", string="Result", readonly=True)

    def action_try(self):
        """Show what the pasted events would count."""
        self.ensure_one()
        self.check_access("write")
        events = self._events()
        lines = [values for number, event in enumerate(events, 1) for values in self._lines(number, event)]
        self.line_ids = [Command.clear(), *map(Command.create, lines)]
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Try %s", self.meter_id.name),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
            "context": {"dialog_size": "extra-large"},
        }

    # -- reading ----------------------------------------------------------------------------

    def _events(self):
        """The pasted events; data alone becomes an event that the meter counts."""
        content = self._content()
        if isinstance(content, dict) and isinstance(content.get("events"), list):
            content = content["events"]
        if isinstance(content, dict) and not ENVELOPE & content.keys():
            definition = self.version_id or self.meter_id
            content = {**EXAMPLE, "type": definition.event_type, "data": content}
        events = content if isinstance(content, list) else [content]
        if not 0 < len(events) <= MAX_TRIED:
            raise UserError(self.env._("Paste 1 to %s events.", MAX_TRIED))
        return events

    def _content(self):
        text = (self.text or "").strip()
        if not text:
            raise UserError(self.env._("Paste an event, or its data, as JSON."))
        if len(text) > MAX_TEXT:
            raise UserError(self.env._("Paste less: at most %s characters.", MAX_TEXT))
        try:
            json.loads(text)  # names line and column of what is wrong, as the decoder of ingestion does not
            return decode(text.encode())
        except (ValueError, RecursionError) as exc:
            raise UserError(self.env._("This is no JSON: %s", exc)) from exc
        except Refusal as exc:
            raise UserError(exc.message) from exc

    # -- trying -----------------------------------------------------------------------------

    def _lines(self, number, event):
        """Values of the result's lines for one event: what becomes of it, by each meter of its type."""
        limits = self.env["usage.ingestion"]._limits()
        # Without a meter unless one counts it: the dialog's own would be the default.
        ref = {"meter_id": False, "number": number, "event_ref": self._short(event, "id")}
        try:
            fact = facts.read_fact(0, event, self._specs, limits)
        except facts.Rejection as rejection:
            text = f"{rejection.code}: {rejection.message}"
            return [{**ref, "outcome": "rejected", "code": rejection.code, "explanation": text}]
        time = fact.time or limits.now
        versions = [self._version_at(meter, time) for meter in self._meters(fact.type)]
        versions = [version for version in versions if version.event_type == fact.type]
        if not versions:
            text = self.env._("No meter counts the type %s at this time: the event would wait for one.", fact.type)
            return [{**ref, "outcome": "held", "code": "meter_unknown", "explanation": text}]
        return [{**ref, **self._line(version, fact, time)} for version in versions]

    def _short(self, event, name):
        value = event.get(name) if isinstance(event, dict) else None
        return str(value)[: facts.MAX_IDENTIFIER] if value is not None else False

    def _meters(self, event_type):
        """The meters that count a type, the one that is tried first."""
        domain = [("company_id", "=", self.meter_id.company_id.id), ("event_type", "=", event_type)]
        return self.meter_id | self.env["usage.meter.version"]._counting(domain).meter_id

    def _version_at(self, meter, time):
        """The version by which a meter would count: the draft that is tried, at any time."""
        return self.version_id if self.version_id and meter == self.meter_id else meter._version_at(time)

    def _specs(self, event_type):
        """What ingestion would ask of an event, with the draft in the place of the meter's versions."""
        meters = self.env["usage.meter"]
        specs = meters._specs(self.meter_id.company_id.id, event_type)
        if not self.version_id:
            return specs
        others = tuple(spec for spec in specs if spec.code != self.meter_id.code)
        draft = self.version_id._always()
        return (draft._spec(), *others) if draft.event_type == event_type else others

    def _line(self, version, fact, time):
        """What one meter counts of an event that would be stored."""
        data = facts.dump(fact.data)
        [tried] = self.env["usage.aggregate"]._try_event([version], data, fact.type)
        value = facts.dig(fact.data, version._value_names()) if version._value_names() else None
        line = {
            "meter_id": version.meter_id.id,
            "version_number": version.number,
            "hour": time.replace(minute=0, second=0, microsecond=0),
            "sent_value": self._sent(version, value),
            "dimensions": ", ".join(
                f"{name}: {facts.text_of(value)}" for name, value in self._dimensions(version, fact)
            ),
        }
        if not tried["passes"]:
            return {**line, "outcome": "left_out", "explanation": self._left_out(version, fact)}
        return {
            **line,
            "outcome": "counted",
            "quantity": tried["quantity"],
            "unit_name": version.meter_id.unit_name,
            "explanation": self._explained(version),
        }

    def _sent(self, version, value):
        text = facts.text_of(value)
        if text is None:
            return False
        unit = version.convert_from_id.name
        return f"{text} {unit}" if unit else text

    def _dimensions(self, version, fact):
        found = ((name, facts.dig(fact.data, name.split("."))) for name in version._dimension_names())
        return [(name, value) for name, value in found if value is not None]

    def _left_out(self, version, fact):
        stopped = [
            line.display_name
            for line, condition in zip(version.filter_ids, version._filters(), strict=True)
            if not condition.passes(fact.data)
        ]
        return self.env._("Stored, not counted: only events count of which %s.", "; ".join(stopped))

    def _explained(self, version):
        labels = dict(version._fields["aggregation"]._description_selection(self.env))
        parts = [labels[version.aggregation]]
        if version.conversion_factor:
            parts.append(
                self.env._(
                    "1 %(sent)s is %(factor)s %(counted)s",
                    sent=version.convert_from_id.name,
                    factor=version.conversion_factor,
                    counted=version.convert_to_id.name,
                )
            )
        if version.rounding_step:
            parts.append(self.env._("rounded to %s", version.rounding_step))
        return ", ".join(parts)


class UsageMeterTryLine(models.TransientModel):
    _name = "usage.meter.try.line"
    _description = "Result of Trying a Usage Meter"
    _order = "number, id"

    try_id = fields.Many2one("usage.meter.try", required=True, index=True, ondelete="cascade")
    number = fields.Integer(string="Event", readonly=True, aggregator=None)
    event_ref = fields.Char(string="Event ID", readonly=True)
    outcome = fields.Selection(
        [("counted", "Counted"), ("left_out", "Left Out"), ("held", "Held"), ("rejected", "Rejected")],
        readonly=True,
    )
    code = fields.Char(readonly=True, help="What the sender is answered.")
    meter_id = fields.Many2one("usage.meter", readonly=True)
    version_number = fields.Integer(string="Version", readonly=True, aggregator=None)
    sent_value = fields.Char(string="Value", readonly=True, help="As it stands in the data.")
    quantity = fields.Char(readonly=True, help="What the meter counts of the event, converted and rounded.")
    unit_name = fields.Char(string="Unit", readonly=True)
    counted = fields.Char(compute="_compute_counted", help="The quantity with its unit.")
    dimensions = fields.Char(readonly=True)
    hour = fields.Datetime(readonly=True, help="The hour in which it counts (UTC).")
    explanation = fields.Text(readonly=True)

    @api.depends("quantity", "unit_name")
    def _compute_counted(self):
        for line in self:
            line.counted = line.quantity and f"{line.quantity} {line.unit_name}"
