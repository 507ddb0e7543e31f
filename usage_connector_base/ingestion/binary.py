"""CloudEvents in binary mode: attributes in ``ce-`` headers, data in the body."""

from urllib.parse import unquote

from .envelope import BATCH, PLAIN, SINGLE, Refusal, decode

_PREFIX = "ce-"


def is_binary(headers, media_type):
    """Whether a request carries one event in binary mode.

    :param headers: the request's headers, names in any case
    :param str media_type: of the body, without parameters
    """
    return "Ce-Id" in headers and media_type not in (BATCH, SINGLE)


def read_event(headers, body, media_type):
    """The event of a request in binary mode, as it would be written in JSON.

    :param headers: the request's headers; values percent-encoded as CloudEvents asks for
    :param bytes body: JSON, or nothing
    :param str media_type: of the body, empty when the sender names none
    :raises Refusal: 400 when the body is no JSON, 415 when its media type is not one of JSON
    """
    if media_type not in ("", PLAIN) and not media_type.endswith("+json"):
        raise Refusal(415, "unsupported_media_type", f"The data of a binary CloudEvent must be {PLAIN}.")
    attributes = {
        name[len(_PREFIX) :].lower(): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_PREFIX)
    }
    return {**attributes, "data": decode(body)} if body else attributes
