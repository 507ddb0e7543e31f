import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http import HTTPStatus
from uuid import UUID

import msgspec

from odoo import fields, http
from odoo.http import request

from ..ingestion import facts
from ..ingestion.envelope import PLAIN, Refusal, decode
from .common import TAKES_EVENTS, SourceRequests

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?")  # of JSON, without an exponent

# Lago's name of an attribute -> ours
NAMES = {
    "transaction_id": "id",
    "external_subscription_id": "subject",
    "code": "type",
    "timestamp": "time",
    "properties": "data",
}
# our code -> Lago's attribute and code; the others are Lago's attribute "properties" and our code
ERRORS = {
    "id_invalid": ("transaction_id", "value_is_mandatory"),
    "id_conflict": ("transaction_id", "value_already_exist"),
    "subject_invalid": ("external_subscription_id", "value_is_mandatory"),
    "type_invalid": ("code", "value_is_mandatory"),
    "time_invalid": ("timestamp", "invalid_format"),
    "time_in_future": ("timestamp", "invalid_format"),
    "time_too_old": ("timestamp", "invalid_format"),
    "value_missing": ("properties", "value_is_not_valid_number"),
    "value_not_number": ("properties", "value_is_not_valid_number"),
}


class LagoEvent(SourceRequests):
    """Takes one event as Lago's clients send it, and answers as Lago does.

    The subscription that an event names becomes the account: as Lago bills the subscription, so
    the account is what is assigned to a customer here.
    """

    key = "event"

    def receive(self):
        """The response to a request of a Lago client."""
        return self._answered(self._judged)

    def _judged(self, sender):
        events, answer = self._ingest(sender)
        errors = _errors(answer)
        if errors:
            return self._error(422, "validation_errors", error_details=self._enveloped(errors))
        return self._json({self.key: self._enveloped([_written(sender, event) for event in events])})

    def _read(self, sender, body, media_type):
        if media_type != PLAIN:
            raise Refusal(415, "unsupported_media_type", f"Content-Type must be {PLAIN}.")
        content = decode(body)
        sent = self._sent(content.get(self.key) if isinstance(content, dict) else None)
        return [_translated(event, sender, request.env["usage.meter"]) for event in sent]

    def _sent(self, content):
        """The list of events in the envelope."""
        if not isinstance(content, dict):
            raise Refusal(400, "invalid_body", 'The body must be {"event": {...}}.')
        return [content]

    def _enveloped(self, items):
        """What to answer of the events' items: of the one event here."""
        return items[0]

    def _refused(self, refusal):
        return self._error(refusal.status, refusal.code, message=refusal.message)

    def _error(self, status, code, **more):
        return self._json({"status": status, "error": HTTPStatus(status).phrase, "code": code, **more}, status)

    def _json(self, content, status=200):
        # Not make_json_response, which would write decimals as texts.
        return request.make_response(facts.dump(content), [("Content-Type", PLAIN)], status=status)


class LagoBatch(LagoEvent):
    """Takes several events; those that are sound are stored, even where others are not."""

    key = "events"

    def _sent(self, content):
        if not isinstance(content, list):
            raise Refusal(400, "invalid_body", 'The body must be {"events": [...]}.')
        return content

    def _enveloped(self, items):
        return items


class UsageLagoController(http.Controller):
    @http.route("/usage/lago/api/v1/events", **TAKES_EVENTS)
    def post_lago_event(self, **_params):
        """One event of a client whose URL is ``/usage/lago/``."""
        return LagoEvent().receive()

    # Lago alone has the second path, so it needs no folder of its own.
    @http.route(["/usage/lago/api/v1/events/batch", "/api/v1/events/batch"], **TAKES_EVENTS)
    def post_lago_batch(self, **_params):
        """Several events of a client whose URL is ``/usage/lago/`` or Odoo's own."""
        return LagoBatch().receive()


def _translated(event, sender, meters):
    """The event as our pipeline takes it; what only Lago knows is kept in ``lago``."""
    if not isinstance(event, dict):
        return event
    given = {name: value for name, value in event.items() if value is not None}
    translated = {NAMES[name]: given.pop(name) for name in NAMES if name in given}
    if "time" in translated:
        translated["time"] = _time(translated["time"])
    kind = translated.get("type")
    if isinstance(kind, str) and "\0" not in kind:
        for meter in meters._specs(sender.company_id, kind):
            if meter.is_number:
                _read_number(translated.get("data"), meter.value_path)
    return {**translated, "lago": given} if given else translated


def _time(timestamp):
    """RFC 3339 of seconds since 1970, as a number or as its text; anything else as it is."""
    if isinstance(timestamp, str) and NUMBER.fullmatch(timestamp):
        timestamp = Decimal(timestamp)
    if type(timestamp) not in (int, Decimal):  # a boolean is an int to Python
        return timestamp
    try:
        return (EPOCH + timedelta(microseconds=int(timestamp * 1_000_000))).isoformat()
    except OverflowError:
        return timestamp


def _read_number(data, path):
    """Replace the text of a number at ``path`` by the number: Lago sums both."""
    *folders, name = path or [None]
    parent = facts.dig(data, folders)
    value = parent.get(name) if isinstance(parent, dict) else None
    if isinstance(value, str) and NUMBER.fullmatch(value):
        parent[name] = decode(value.encode())


def _written(sender, event):
    """A stored event as Lago writes it."""
    now = fields.Datetime.now()
    time = msgspec.convert(event["time"], datetime) if "time" in event else now.replace(tzinfo=timezone.utc)
    lago = event.get("lago", {})
    return {
        "lago_id": str(UUID(facts.event_key(sender.source_id, event["id"]))),
        "transaction_id": event["id"],
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": event["subject"],
        "code": event["type"],
        "timestamp": f"{time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
        "precise_total_amount_cents": lago.get("precise_total_amount_cents"),
        "properties": event.get("data", {}),
        "created_at": f"{now.isoformat()}Z",
    }


def _errors(answer):
    """Lago's errors of the events that were not taken, by their number in the batch."""
    return {
        event["index"]: _error(event["code"])
        for event in answer["events"]
        if event["outcome"] in ("rejected", "conflict")
    }


def _error(code):
    attribute, lagos_code = ERRORS.get(code, ("properties", code))
    return {attribute: [lagos_code]}
