"""One correction as it was sent, to what it says of which event, or a rejection that says why not."""

from typing import NamedTuple

from .facts import Rejection, canonical_json, digest, fingerprint, read_text

VOID, AMEND = "void", "amend"
ACTIONS = (VOID, AMEND)
# What an amendment may say anew of an event. The first four are left as they were when they are null.
_KEPT = ("type", "subject", "time", "data")
_CHANGEABLE = (*_KEPT, "tenant", "subscription", "user")
_OWN = ("id", "action", "event", "reason")

# What may be told apart in a rejection, beside what may be wrong with the event that an amendment makes.
# Codes are part of the API: never renamed.
REJECTIONS = {
    "action_invalid": "action must be void or amend.",
    "event_invalid": "event, the id of the event to correct, must be a text of 1 to 255 characters.",
    "reason_missing": "reason must say why, as a text.",
    "amendment_empty": "An amendment must say what changes: data, time, subject, type, tenant, subscription or user.",
    "event_unknown": "This source has sent no event with this id.",
    "event_voided": "The event was voided and does not count any more: send it anew with another id.",
    "event_deleted": "The event was deleted when its retention ended: it cannot be corrected any more.",
    "summary_not_amendable": "A summary is not amended: send it again with a higher sequence, or void it.",
}


class CorrectionRejection(Rejection):
    """A correction that is not well-formed, or corrects nothing that it could.

    :param str code: a key of ``REJECTIONS``
    """

    texts = REJECTIONS


class Correction(NamedTuple):
    """What is to become of one event."""

    key: str  # digest of the source and the correction's id: works once
    fingerprint: int  # digest of what it says: the same id with something else is a conflict
    ref: str  # the sender's id
    action: str  # one of ``ACTIONS``
    event_id: str  # the sender's id of the event
    reason: str
    changes: dict  # attributes of the event that are said anew
    whole: bool  # whether ``changes`` is the event as a whole, so that nothing else of it stays
    attributes: dict | None  # whatever else was sent, kept


def read_correction(source_id, correction):
    """Judge one correction by itself; what it amounts to is judged with its event, by :func:`amended`.

    :param int source_id: the sender, half of the correction's identity
    :param correction: the correction as decoded from JSON
    :return: :class:`Correction`
    :raises Rejection: with its code when it cannot be understood
    """
    if not isinstance(correction, dict):
        raise Rejection("not_an_object")
    ref = read_text(correction, "id", "id_invalid")
    action = correction.get("action")
    if action not in ACTIONS:
        raise CorrectionRejection("action_invalid")
    event_id = _event_id(correction)
    reason = correction.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise CorrectionRejection("reason_missing")
    changes = _changes(correction) if action == AMEND else {}
    if action == AMEND and not changes:
        raise CorrectionRejection("amendment_empty")
    known = {*_OWN, *_CHANGEABLE} if action == AMEND else set(_OWN)
    attributes = {name: correction[name] for name in correction.keys() - known} or None
    content = (action, event_id, reason, changes, attributes)
    key = correction_key(source_id, ref)
    return Correction(
        key, fingerprint(canonical_json(content)), ref, action, event_id, reason.strip(), changes, False, attributes
    )


def correction_key(source_id, ref):
    """What works once: the digest of a sender and the id that it gave a correction, which no event has."""
    return digest(f"correction:{source_id}:{ref}".encode())


def amended(correction, stored):
    """The event that an amendment makes of a stored one, as it would be sent.

    :param Correction correction: an amendment
    :param dict stored: type, subject, time (RFC 3339), data and whatever else the stored event says
    :return: dict of the event's attributes
    """
    kept = {"time": stored["time"]} if correction.whole else stored
    changes = {name: value for name, value in correction.changes.items() if name != "time" or value is not None}
    return {**kept, **changes, "id": correction.event_id}


def amended_limits(correction, limits, time):
    """The accepted range of times for an amendment: the time that the event has is not judged again.

    :param datetime time: of the stored event, naive UTC
    """
    if correction.changes.get("time") is not None:
        return limits
    return limits._replace(earliest=min(limits.earliest, time), latest=max(limits.latest, time))


def _event_id(correction):
    try:
        return read_text(correction, "event", "id_invalid")
    except Rejection as rejection:
        raise CorrectionRejection("event_invalid") from rejection


def _changes(correction):
    return {
        name: correction[name]
        for name in _CHANGEABLE
        if name in correction and not (name in _KEPT and correction[name] is None)
    }
