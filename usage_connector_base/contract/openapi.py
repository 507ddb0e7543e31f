"""The OpenAPI 3.1 description of all routes, made from the tables that the code itself works with."""

from ..ingestion import corrections, summaries
from ..ingestion.envelope import BATCH, PLAIN, SINGLE
from ..ingestion.facts import MAX_IDENTIFIER, REJECTIONS
from .questions import DEFAULT_LIMIT, MAX_LIMIT, PARAMETERS, REQUIRED
from .refusals import BODY, KEY, LATER, QUERY, REFUSALS, by_status
from .windows import GRANULARITIES

PROBLEM = "application/problem+json"
TEXT = "text/plain"
SCHEMA = "#/components/schemas/"
DESCRIPTION = """Receives product usage, counts it exactly once, and tells what became of it.

Send events with the key of a usage source: `Authorization: Bearer KEY`. An event counts once per
source and id, so a request that was not answered is safe to send again. One malformed event never
costs the others: each is judged for itself. Unknown attributes are kept.

Codes are stable. New ones may be added, as may attributes of answers.
"""
EVENT_STATES = {
    "counted": "Stored, and in the hourly usage of the customer.",
    "waiting": "Stored; it is counted within moments.",
    "held": "Stored; code says what it waits for.",
    "voided": "Stored, and voided by the last of its corrections: it does not count.",
    "rejected": "Not stored, since it is malformed; code says why.",
    "deleted": "It was counted, and deleted when its retention ended.",
}


def document(url, version, outcomes, messages, summary_messages):
    """The description as a dict of JSON.

    :param str url: address of the server, without a path
    :param str version: of the API's implementation
    :param outcomes: names of what may become of an event that was sent
    :param dict messages: text by code, of events that were stored or known, but not accepted
    :param dict summary_messages: the same of summaries alone
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "Usage", "version": version, "description": DESCRIPTION, "license": _LICENSE},
        "servers": [{"url": url}],
        "security": [{"key": []}],
        "tags": [
            {"name": "Events", "description": "Send events, and see what became of them."},
            {"name": "Usage", "description": "Read what was counted."},
            {"name": "Operations", "description": "Watch the service."},
            {"name": "Compatible", "description": "Take events of OpenMeter's and Lago's own clients."},
        ],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": _KEY_DESCRIPTION}},
            "schemas": _schemas(outcomes, messages, summary_messages),
        },
    }


def add(described, paths, schemas, refusals):
    """Add what another addon answers to a description.

    :param dict described: of :func:`document`
    :param dict paths: by path, made with :func:`about_account`
    :param dict schemas: by name, made with :func:`object_of` and :func:`list_of`
    :param refusals: codes of refusals of its own
    """
    described["paths"].update(paths)
    schemas_of = described["components"]["schemas"]
    schemas_of.update(schemas)
    schemas_of["Error"]["properties"]["error"]["properties"]["code"]["enum"] += list(refusals)


def about_account(operation_id, summary, schema):
    """The path item of a question about one account of the sender."""
    parameter = _parameter("account", "path", "The account, as the source names it, percent-encoded.", _TEXT, True)
    unknown = {"description": "- `account_unknown`: The source has no such account.", "content": _content("Error")}
    return {
        "get": {
            "operationId": operation_id,
            "tags": ["Usage"],
            "summary": summary,
            "parameters": [parameter],
            "responses": {**_responses(f"{summary}.", _json_content(schema), KEY), "404": unknown},
        }
    }


_LICENSE = {"name": "LGPL-3.0-only", "identifier": "LGPL-3.0-only"}
_KEY_DESCRIPTION = "The key of a usage source. For metrics also an Odoo API key of a user with Usage / Viewer."


# -- paths --------------------------------------------------------------------------------------


def _paths():
    lago = _receives("Lago", "one event of a Lago client", _json_content("LagoEnvelope"), _json_content("LagoAnswer"))
    lago_batch = _receives(
        "LagoBatch", "events of a Lago client", _json_content("LagoEvents"), _json_content("LagoBatchAnswer")
    )
    openmeter = _receives("OpenMeter", "events of an OpenMeter client", _openmeter_content(), None)
    return {
        "/usage/v1/events": {"post": _post_events()},
        "/usage/v1/events/{id}": {"get": _get_event()},
        "/usage/v1/corrections": {"post": _post_corrections()},
        "/usage/v1/summaries": {"post": _post_summaries()},
        "/usage/v1/usage": {"get": _get_usage()},
        "/usage/v1/health": {"get": _get_health()},
        "/usage/v1/metrics": {"get": _get_metrics()},
        "/usage/v1/openapi.json": {"get": _get_openapi()},
        "/usage/openmeter/api/v1/events": {"post": openmeter},
        "/usage/lago/api/v1/events": {"post": lago},
        "/usage/lago/api/v1/events/batch": {"post": lago_batch},
        "/api/v1/events": {"post": _post_compatible()},
        "/api/v1/events/batch": {"post": {**lago_batch, "operationId": "postLagoBatchAtRoot"}},
    }


def _post_events():
    return {
        "operationId": "postEvents",
        "tags": ["Events"],
        "summary": "Send events",
        "description": "All are committed before the answer. `Content-Encoding: gzip` is accepted. A CloudEvent "
        "in binary mode is too: its attributes in `ce-` headers, its data in a body of JSON.",
        "parameters": _SENDING,
        "requestBody": {
            "required": True,
            "content": {
                BATCH: {"schema": list_of("CloudEvent")},
                SINGLE: {"schema": _ref("CloudEvent")},
                PLAIN: {"schema": _ref("Events")},
            },
        },
        "responses": _responses("What became of each event.", _json_content("Judgement"), KEY + BODY),
    }


def _post_corrections():
    return {
        "operationId": "postCorrections",
        "tags": ["Events"],
        "summary": "Void or amend events",
        "description": "What was sent stays as it was; the correction says what counts instead. All are committed "
        "before the answer, and each is carried out once, however often it is sent. `Content-Encoding: gzip` is "
        "accepted.",
        "parameters": _SENDING,
        "requestBody": _one_or_list("Correction", "Corrections"),
        "responses": _responses("What became of each correction.", _json_content("CorrectionJudgement"), KEY + BODY),
    }


def _post_summaries():
    return {
        "operationId": "postSummaries",
        "tags": ["Events"],
        "summary": "Send quantities of windows",
        "description": "For platforms that add up by themselves. A higher sequence replaces what was sent of the same "
        "window. All are committed before the answer. `Content-Encoding: gzip` is accepted.",
        "parameters": _SENDING,
        "requestBody": _one_or_list("Summary", "Summaries"),
        "responses": _responses("What became of each summary.", _json_content("SummaryJudgement"), KEY + BODY),
    }


def _get_event():
    return {
        "operationId": "getEvent",
        "tags": ["Events"],
        "summary": "What became of an event or a summary",
        "parameters": [_parameter("id", "path", _ID_DESCRIPTION, _TEXT, required=True)],
        "responses": _responses("The event.", _json_content("Event"), (*KEY, "event_unknown")),
    }


def _get_usage():
    return {
        "operationId": "getUsage",
        "tags": ["Usage"],
        "summary": "What a meter counted",
        "description": "Rows in the order of windows, accounts and dimensions; windows without usage have none.",
        "parameters": [
            _parameter(name, "query", text, _QUERY_SCHEMAS.get(name, _TEXT), required=name in REQUIRED)
            for name, text in PARAMETERS.items()
        ],
        "responses": _responses("A page of usage.", _json_content("Usage"), (*KEY, *QUERY, "meter_unknown")),
    }


def _get_health():
    return {
        "operationId": "getHealth",
        "tags": ["Operations"],
        "summary": "Whether the service answers and keeps up",
        "security": [],
        "responses": _responses("It answers.", _json_content("Health"), ()),
    }


def _get_metrics():
    codes = (*KEY, "not_a_viewer")
    return {
        "operationId": "getMetrics",
        "tags": ["Operations"],
        "summary": "Metrics in Prometheus' text format",
        "responses": _responses("The metrics.", {TEXT: {"schema": {"type": "string"}}}, codes),
    }


def _get_openapi():
    return {
        "operationId": "getOpenapi",
        "tags": ["Operations"],
        "summary": "This description",
        "security": [],
        "responses": _responses("The description.", {PLAIN: {"schema": {"type": "object"}}}, ()),
    }


def _receives(name, what, content, answer):
    """A route of another product's clients."""
    problem = "Problem" if name == "OpenMeter" else "LagoError"
    media_type = PROBLEM if name == "OpenMeter" else PLAIN
    responses = _responses("All are stored.", answer, KEY + BODY, (problem, media_type))
    success = responses.pop("200")
    responses["204" if answer is None else "200"] = success
    refused = {"description": "Some were refused, the others are stored.", "content": _content(problem, media_type)}
    responses.setdefault("400" if name == "OpenMeter" else "422", refused)
    return {
        "operationId": f"post{name}",
        "tags": ["Compatible"],
        "summary": f"Send {what}",
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }


def _post_compatible():
    """The path that OpenMeter and Lago have in common: the body tells them apart."""
    openmeter = _receives(
        "OpenMeter", "events of an OpenMeter client, or one of a Lago client", _openmeter_content(), None
    )
    lago = _receives("Lago", "", _json_content("LagoEnvelope"), _json_content("LagoAnswer"))
    either = {"anyOf": [_ref("OpenMeterEvents"), _ref("LagoEnvelope")]}
    openmeter["requestBody"]["content"][PLAIN] = {"schema": either}
    for status, response in lago["responses"].items():
        found = openmeter["responses"].setdefault(status, response)
        found.setdefault("content", {}).update(response["content"])
    return {**openmeter, "operationId": "postCompatible"}


# -- parts of paths -----------------------------------------------------------------------------

_TEXT = {"type": "string"}
_RETRY_AFTER = {
    "description": "Whole seconds after which the same request may pass.",
    "schema": {"type": "integer", "minimum": 1},
}
_ENVIRONMENT = {"type": "string", "enum": ["production", "staging", "development"]}
_QUERY_SCHEMAS = {
    "granularity": {"type": "string", "enum": list(GRANULARITIES), "default": "day"},
    "tz": {"type": "string", "default": "UTC", "examples": ["Europe/Berlin"]},
    "from": {"type": "string", "examples": ["2026-05-01", "2026-05-01T00:00:00Z"]},
    "to": {"type": "string", "examples": ["2026-06-01", "2026-06-01T00:00:00Z"]},
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
}


def _parameter(name, place, description, schema, required=False):
    return {"name": name, "in": place, "description": description, "required": required, "schema": schema}


def _header(name, description, schema):
    return _parameter(name, "header", description, schema)


# Headers of every route that takes what is sent.
_SENDING = [
    _header("X-Usage-Environment", "Refuse the request unless the source is of this environment.", _ENVIRONMENT),
    _header("X-Correlation-Id", "Kept with the batch, to find it again.", {"type": "string"}),
    _header("traceparent", "W3C Trace Context; kept when there is no X-Correlation-Id.", {"type": "string"}),
]
_ID_DESCRIPTION = "The event's id, or that of a summary as it was answered, percent-encoded."


def _one_or_list(one, several):
    """A body of JSON that holds one of something, or a list of them."""
    return {"required": True, "content": {PLAIN: {"schema": {"anyOf": [_ref(several), _ref(one)]}}}}


def _responses(description, content, codes, error=("Error", PLAIN)):
    """The answer of success, and of every refusal with its codes."""
    success = {"description": description, "content": content} if content else {"description": description}
    refused = {
        str(status): {
            "description": "\n".join(f"- `{code}`: {REFUSALS[code][1]}" for code in listed),
            "content": _content(*error),
            **({"headers": {"Retry-After": _RETRY_AFTER}} if status in LATER else {}),
        }
        for status, listed in by_status(codes).items()
    }
    return {"200": success, **refused}


def _content(schema, media_type=PLAIN):
    return {media_type: {"schema": _ref(schema)}}


def _json_content(schema):
    return _content(schema)


def _openmeter_content():
    return {
        BATCH: {"schema": list_of("CloudEvent")},
        SINGLE: {"schema": _ref("CloudEvent")},
        PLAIN: {"schema": _ref("OpenMeterEvents")},
    }


# -- schemas ------------------------------------------------------------------------------------

_IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": MAX_IDENTIFIER, "pattern": r"^[^\u0000]*$"}
_REFERENCE = {**_IDENTIFIER, "type": ["string", "null"]}
MOMENT = {"type": "string", "format": "date-time"}
DECIMAL = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "Exact decimal number."}
_DIMENSIONS = {"type": "object", "description": "Values of the meter's dimensions by name."}
_COUNT = {"type": "integer", "minimum": 0}


def _schemas(outcomes, messages, summary_messages):
    correction_codes = {**messages, **REJECTIONS, **corrections.REJECTIONS}
    summary_codes = {
        **{code: messages[code] for code in ("account_unmapped", "account_inactive", "meter_unknown")},
        **{code: REJECTIONS[code] for code in _OF_SUMMARIES},
        **summary_messages,
        **summaries.REJECTIONS,
    }
    return {
        "CloudEvent": _cloud_event(),
        "Events": object_of({"events": list_of("CloudEvent")}, ["events"]),
        "Judgement": _judgement(outcomes),
        "Verdict": _verdict(outcomes, {**messages, **REJECTIONS}),
        "Event": _event(_all_codes(messages, summary_messages)),
        "Correction": _correction(),
        "Corrections": object_of({"corrections": list_of("Correction")}),
        "CorrectionJudgement": _judgement(outcomes, "corrections", "CorrectionVerdict"),
        "CorrectionVerdict": _verdict(outcomes, correction_codes),
        "EventCorrection": _event_correction(),
        "Summary": _summary(),
        "Summaries": object_of({"summaries": list_of("Summary")}),
        "SummaryJudgement": _judgement(outcomes, "summaries", "SummaryVerdict", "Every summary, in their order."),
        "SummaryVerdict": _summary_verdict(outcomes, summary_codes),
        "EventCount": _event_count(),
        "Exception": _exception(),
        "Usage": _usage(),
        "UsageRow": _usage_row(),
        "Health": _health(),
        "Error": object_of({"error": object_of({"code": _enum(REFUSALS), "message": _TEXT})}),
        **_openmeter_schemas(),
        **_lago_schemas(),
    }


def _cloud_event():
    properties = {
        "specversion": {"const": "1.0", "default": "1.0"},
        "id": {**_IDENTIFIER, "description": "Counts once per source, whatever else the event says."},
        "source": {"type": "string", "description": "Kept; the key says which source it is."},
        "type": {**_IDENTIFIER, "description": "Selects the meters that count the event."},
        "subject": {**_IDENTIFIER, "description": "The account whose usage it is."},
        "time": {**MOMENT, "type": ["string", "null"], "description": "When it happened; receipt when absent."},
        "data": {"type": ["object", "null"], "description": "Values and dimensions. Numbers are read exactly."},
        "tenant": _REFERENCE,
        "subscription": _REFERENCE,
        "user": _REFERENCE,
    }
    return {**object_of(properties, ["id", "type", "subject"]), "description": "CloudEvents 1.0, in JSON."}


def _judgement(outcomes, name="events", verdict="Verdict", description="Every one that is not accepted."):
    judged = {**list_of(verdict), "description": description}
    return object_of({"batch": _COUNT, **dict.fromkeys(outcomes, _COUNT), name: judged})


def _verdict(outcomes, codes):
    return object_of(
        {
            "index": {**_COUNT, "description": "Number of the event in the request, from 0."},
            "id": {"description": "As it was sent."},
            "outcome": _enum([outcome for outcome in outcomes if outcome != "accepted"]),
            "code": _enum(codes),
            "message": _TEXT,
        }
    )


# Codes of events that summaries have too.
_OF_SUMMARIES = (
    *("not_an_object", "time_in_future", "time_too_old", "reference_invalid", "data_too_large", "character_invalid"),
    *("value_missing", "value_not_number", "value_negative", "value_out_of_range", "dimension_invalid"),
)


def _all_codes(messages, summary_messages):
    return {**messages, **summary_messages, **REJECTIONS, **corrections.REJECTIONS, **summaries.REJECTIONS}


def _correction():
    properties = {
        "id": {**_IDENTIFIER, "description": "Of the correction: it is carried out once per source."},
        "action": _enum({"void": "Nothing counts instead.", "amend": "The event counts as it is said here."}),
        "event": {**_IDENTIFIER, "description": "The id of the event; of a summary, to void it."},
        "reason": {"type": "string", "minLength": 1, "description": "Why, for the people who read it later."},
        "data": {"type": ["object", "null"], "description": "All data of the event, as an amendment says it anew."},
        "time": {**MOMENT, "type": ["string", "null"]},
        "subject": _REFERENCE,
        "type": _REFERENCE,
        "tenant": _REFERENCE,
        "subscription": _REFERENCE,
        "user": _REFERENCE,
    }
    description = "An amendment says what changes; what it leaves out stays."
    return {**object_of(properties, ["id", "action", "event", "reason"]), "description": description}


def _event_correction():
    superseded = object_of({"type": _TEXT, "time": MOMENT, "account": _TEXT, "data": {"type": "object"}})
    return object_of(
        {
            "id": {"type": ["string", "null"], "description": "The sender's id of the correction."},
            "action": _enum(
                {
                    "void": "Nothing counted instead.",
                    "amend": "What was said anew counted instead.",
                    "replace": "A summary with a higher sequence counted instead.",
                }
            ),
            "reason": _TEXT,
            "received_at": MOMENT,
            "batch": {"type": ["integer", "null"]},
            "superseded": {
                "anyOf": [superseded, {"type": "null"}],
                "description": "What counted before; null when its retention has ended.",
            },
        }
    )


def _summary():
    window = {**MOMENT, "examples": ["2026-05-01T13:00:00Z"]}
    properties = {
        "account": {**_IDENTIFIER, "description": "Whose usage it is, as events name it in subject."},
        "meter": {**_IDENTIFIER, "description": "Code of the meter that counts it."},
        "start": {**window, "description": "Begin of the window, on the hour."},
        "end": {**window, "description": "Its end, excluded: on the hour, 31 days later at most."},
        "quantity": {"type": "number", "minimum": 0, "description": "In the meter's unit. Read exactly."},
        "dimensions": {"type": ["object", "null"], "description": "Values of the meter's dimensions by name."},
        "sequence": {"type": "integer", "minimum": 0, "description": "A higher one replaces what was sent before."},
        "tenant": _REFERENCE,
        "subscription": _REFERENCE,
        "user": _REFERENCE,
    }
    return object_of(properties, ["account", "meter", "start", "end", "quantity", "sequence"])


def _summary_verdict(outcomes, codes):
    window = {"type": ["string", "null"], "description": "Our id of the window: ask for it, or void it, by this."}
    properties = {"index": _COUNT, "id": window, "outcome": _enum(outcomes), "code": _enum(codes), "message": _TEXT}
    return object_of(properties, ["index", "id", "outcome"])


def _event(codes):
    account = object_of({"id": _TEXT, "customer_assigned": {"type": "boolean"}})
    batch = object_of({"id": _COUNT, "correlation_id": {"type": ["string", "null"]}})
    properties = {
        "id": _TEXT,
        "state": _enum(EVENT_STATES),
        "code": {"type": "string", "description": _listed(codes)},
        "message": {"type": ["string", "null"]},
        "type": _TEXT,
        "time": MOMENT,
        "received_at": MOMENT,
        "account": account,
        "batch": batch,
        "meters": list_of("EventCount"),
        "exceptions": list_of("Exception"),
        "summary": {"type": "object", "description": "Of a summary: what it says."},
        "corrections": {**list_of("EventCorrection"), "description": "Of a corrected event: the latest comes last."},
    }
    return object_of(properties, ["id", "state", "exceptions"])


def _event_count():
    return object_of(
        {
            "meter": _TEXT,
            "quantity": {**DECIMAL, "type": ["string", "null"]},
            "unit": _TEXT,
            "hour": {**MOMENT, "description": "Start of the hour that it is counted in."},
            "dimensions": _DIMENSIONS,
            "counted": {"type": "boolean", "description": "Whether it is in the hourly usage."},
        }
    )


def _exception():
    return object_of(
        {
            "reason": _TEXT,
            "state": _enum(["open", "resolved", "ignored"]),
            "message": {"type": ["string", "null"]},
            "occurrences": _COUNT,
            "first_seen": MOMENT,
            "last_seen": MOMENT,
            "resolution": {"type": ["string", "null"]},
        }
    )


def _usage():
    properties = {
        "meter": _TEXT,
        "unit": _TEXT,
        "granularity": _enum(GRANULARITIES),
        "tz": _TEXT,
        "data": list_of("UsageRow"),
        "next_cursor": {"type": ["string", "null"], "description": "Asks for the rows after these; null at the end."},
    }
    return object_of(properties)


def _usage_row():
    return object_of(
        {
            "start": MOMENT,
            "end": MOMENT,
            "account": _TEXT,
            "dimensions": _DIMENSIONS,
            "quantity": DECIMAL,
            "events": _COUNT,
        }
    )


def _health():
    return object_of(
        {
            "status": _enum(
                {
                    "ok": "It answers, and counts what comes.",
                    "behind": "Counting is late.",
                    "full": "Too much waits to be counted: events are refused with 503 for the moment.",
                }
            ),
            "fold_lag_seconds": {"type": "number", "minimum": 0},
        }
    )


def _openmeter_schemas():
    problem = {
        "type": _TEXT,
        "title": _TEXT,
        "status": _COUNT,
        "detail": _TEXT,
        "instance": _TEXT,
        "extensions": {"type": "object"},
    }
    either = {"anyOf": [_ref("CloudEvent"), list_of("CloudEvent")]}
    return {"OpenMeterEvents": either, "Problem": object_of(problem)}


def _lago_schemas():
    event = {
        "transaction_id": {**_IDENTIFIER, "description": "The event's id."},
        "external_subscription_id": {**_IDENTIFIER, "description": "The account whose usage it is."},
        "code": {**_IDENTIFIER, "description": "The event's type, which selects the meters."},
        "timestamp": {"type": ["number", "string", "null"], "description": "Seconds since 1970; receipt when absent."},
        "properties": {"type": ["object", "null"], "description": "The event's data."},
    }
    error = {"status": _COUNT, "error": _TEXT, "code": _TEXT, "error_details": {}, "message": _TEXT}
    return {
        "LagoEvent": object_of(event, ["transaction_id", "external_subscription_id", "code"]),
        "LagoEnvelope": object_of({"event": _ref("LagoEvent")}),
        "LagoEvents": object_of({"events": list_of("LagoEvent")}),
        "LagoAnswer": object_of({"event": {"type": "object"}}),
        "LagoBatchAnswer": object_of({"events": {"type": "array", "items": {"type": "object"}}}),
        "LagoError": object_of(error, ["status", "error", "code"]),
    }


def _ref(name):
    return {"$ref": f"{SCHEMA}{name}"}


def list_of(name):
    return {"type": "array", "items": _ref(name)}


def object_of(properties, required=None):
    """An object with these properties, all of them required unless ``required`` names them; others may follow."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _enum(values):
    """One of some values; of a dict with what each means."""
    schema = {"type": "string", "enum": list(values)}
    return {**schema, "description": _listed(values)} if isinstance(values, dict) else schema


def _listed(meanings):
    texts = {code: text[1] if isinstance(text, tuple) else text for code, text in meanings.items()}
    return "\n".join(f"- `{code}`: {text}" for code, text in texts.items())
