"""Every reason for which a request as a whole is refused. Codes are part of the API: never renamed."""

# code -> HTTP status, what it means
REFUSALS = {
    "unauthorized": (401, "The key is missing, wrong, expired or revoked."),
    "source_not_approved": (403, "An administrator has not approved the source yet, or suspended it."),
    "wrong_environment": (403, "X-Usage-Environment names another environment than the source's."),
    "address_not_allowed": (403, "The source may not send from this address."),
    "not_a_viewer": (403, "The key's user may not read usage."),
    "invalid_json": (400, "The body is not valid JSON."),
    "invalid_body": (400, "The JSON has not the shape that the media type asks for."),
    "invalid_gzip": (400, "The body is not valid, complete gzip."),
    "too_many_events": (413, "More events than a request may hold: send less at once."),
    "too_many_bytes": (413, "A larger body than a request may have, after unpacking: send less at once."),
    "unsupported_media_type": (415, "Content-Type is none of those listed here."),
    "unsupported_encoding": (415, "Content-Encoding is neither gzip nor absent."),
    "rate_limited": (429, "More events than the source may send: Retry-After says in how many seconds to go on."),
    "queue_full": (503, "Too many events wait to be counted: Retry-After says in how many seconds to try again."),
    "parameter_missing": (400, "A parameter that must be given is missing."),
    "parameter_unknown": (400, "There is no parameter of this name."),
    "parameter_invalid": (400, "A parameter has a value that it may not have."),
    "range_too_long": (400, "The range holds too many windows: ask for it in parts."),
    "event_unknown": (404, "No event with this id was received from the source."),
    "meter_unknown": (404, "No meter has this code."),
}
# of every route that asks for a source's key
KEY = ("unauthorized", "source_not_approved", "wrong_environment", "address_not_allowed")
BODY = (
    "invalid_json",
    "invalid_body",
    "invalid_gzip",
    "too_many_events",
    "too_many_bytes",
    "unsupported_media_type",
    "unsupported_encoding",
    "rate_limited",
    "queue_full",
)  # of every route that takes events
LATER = (429, 503)  # answered with Retry-After: the same request may pass later
QUERY = ("parameter_missing", "parameter_unknown", "parameter_invalid", "range_too_long")


def by_status(codes):
    """The codes grouped by HTTP status: dict of status to list of codes."""
    grouped = {}
    for code in codes:
        grouped.setdefault(REFUSALS[code][0], []).append(code)
    return grouped
