"""Fields and records that only our own code may change, whoever asks.

Access rights stop people, and ``sudo`` steps over access rights. Facts such as charges and
approvals, and the state of a statement, must hold against both. The key is an object compared
by identity: it cannot be sent over RPC, written in a domain or guessed, as a flag could.
"""

CONTEXT_KEY = "usage_guard"

_SENTINEL = object()


def unlocked(records):
    """Return ``records`` with the guard open, for one ``create``, ``write`` or ``unlink``.

    A function, not a method of the model: server actions reach methods.
    """
    return records.with_context(**{CONTEXT_KEY: _SENTINEL})


def is_unlocked(env) -> bool:
    """Say whether this environment was made by :func:`unlocked`."""
    return env.context.get(CONTEXT_KEY) is _SENTINEL
