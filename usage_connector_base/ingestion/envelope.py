"""Bytes of a request to a list of events, with the HTTP answer when that is not possible.

Numbers with a fraction become ``Decimal``: a quantity never passes through a binary float. How a
number is written does not matter: 1, 1.0 and 1e0 are the same.
"""

import zlib
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec

BATCH = "application/cloudevents-batch+json"
SINGLE = "application/cloudevents+json"
PLAIN = "application/json"
MEDIA_TYPES = (BATCH, SINGLE, PLAIN)

MAX_MAGNITUDE = 100  # digits before or after the point of any number in a body
MAX_DIGITS = 110  # characters of a number with a fraction or an exponent, with room for both
_exact = Context(prec=2 * MAX_DIGITS)  # in which nothing is rounded


def _exact_number(text):
    """The number that a JSON text with a fraction or an exponent stands for, whichever way it is written.

    One too large for any database stays text, and so is no number.

    >>> _exact_number("0.10"), _exact_number("1.0"), _exact_number("1e2")
    (Decimal('0.1'), 1, 100)
    >>> _exact_number("1e400"), _exact_number("1e99999999999999999999")
    ('1e400', '1e99999999999999999999')
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if len(text) > MAX_DIGITS or abs(number.adjusted()) > MAX_MAGNITUDE:
        return text
    return int(number) if number == number.to_integral_value() else number.normalize(_exact)


_decoder = msgspec.json.Decoder(Any, float_hook=_exact_number)


class Refusal(Exception):
    """The whole request is refused, nothing of it is counted.

    :param int status: HTTP status of the answer
    :param str code: stable code of the answer
    :param str message: what was wrong and what to do
    :param int retry_after: seconds after which the same request may pass
    """

    def __init__(self, status, code, message, retry_after=None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


def check_size(count, limit, what, code):
    """Refuse with 413 when ``count`` of ``what`` is over ``limit``."""
    if count > limit:
        raise Refusal(413, code, f"{what} over the limit of {limit}: send less at once.")


def decompress(body, encoding, max_bytes):
    """The body of a request with its Content-Encoding undone.

    :param str encoding: value of the Content-Encoding header, or None
    :param int max_bytes: bound of the result, against decompression bombs and bodies of unknown length
    :raises Refusal: 413 over the bound, 415 for an encoding other than gzip, 400 for broken gzip
    """
    encoding = (encoding or "identity").lower()
    if encoding == "identity":
        check_size(len(body), max_bytes, "Bytes of the body", "too_many_bytes")
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, "unsupported_encoding", "Content-Encoding may be gzip or absent.")
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        body = unzip.decompress(body, max_bytes + 1)
    except zlib.error as exc:
        raise Refusal(400, "invalid_gzip", "The body is not valid gzip.") from exc
    check_size(len(body), max_bytes, "Bytes of the body", "too_many_bytes")
    if not unzip.eof or unzip.unused_data:
        raise Refusal(400, "invalid_gzip", "The body must be one complete gzip member: send it again.")
    return body


def parse(body, media_type):
    """Events of a body, as they were sent.

    :param bytes body: JSON
    :param str media_type: one of ``MEDIA_TYPES``, without parameters
    :return: list of events, each whatever JSON value the sender put there
    :raises Refusal: 400 not JSON or not of the media type's shape, 415 another media type

    >>> parse(b'{"events": [{"id": "1", "data": {"gb": 0.10}}]}', PLAIN)
    [{'id': '1', 'data': {'gb': Decimal('0.1')}}]
    """
    if media_type not in MEDIA_TYPES:
        raise Refusal(415, "unsupported_media_type", f"Content-Type must be one of {', '.join(MEDIA_TYPES)}.")
    return _events_of(decode(body), media_type)


def parse_list(body, media_type, name):
    """Items of a body that holds one of them, or a list.

    :param bytes body: JSON
    :param str media_type: ``PLAIN``, without parameters
    :param str name: of the list
    :return: list of items, each whatever JSON value the sender put there
    :raises Refusal: 400 not JSON or of another shape, 415 another media type

    >>> parse_list(b'{"corrections": [{"id": "1"}]}', PLAIN, "corrections")
    [{'id': '1'}]
    >>> parse_list(b'{"id": "1"}', PLAIN, "corrections")
    [{'id': '1'}]
    """
    if media_type != PLAIN:
        raise Refusal(415, "unsupported_media_type", f"Content-Type must be {PLAIN}.")
    content = decode(body)
    if isinstance(content, dict):
        items = content.get(name, [content])
        if isinstance(items, list):
            return items
    raise Refusal(400, "invalid_body", f'The body must be {{"{name}": [...]}}, or one JSON object.')


def decode(body):
    """The JSON value of a body, numbers exact.

    :raises Refusal: 400 when it is not JSON
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, ArithmeticError, ValueError, RecursionError) as exc:
        raise Refusal(400, "invalid_json", f"The body is not valid JSON: {exc}") from exc


def _events_of(content, media_type):
    if media_type == SINGLE and isinstance(content, dict):
        return [content]
    if media_type == BATCH and isinstance(content, list):
        return content
    if media_type == PLAIN and isinstance(content, dict) and isinstance(content.get("events"), list):
        return content["events"]
    shapes = {SINGLE: "one JSON object", BATCH: "a JSON array", PLAIN: '{"events": [...]}'}
    raise Refusal(400, "invalid_body", f"A body of {media_type} must be {shapes[media_type]}.")
