"""What is asked of the same prices for every statement of a run, worked out once in the run."""

from contextlib import contextmanager
from functools import wraps

KEY = "usage_billing.remembered"


@contextmanager
def remembering(env):
    """Have :func:`remembered` methods work out their answers once.

    Only around what reads: nothing that the answers follow from may change meanwhile.
    """
    before = env.cr.cache.get(KEY)  # of a run around this one
    env.cr.cache[KEY] = {}
    try:
        yield
    finally:
        env.cr.cache[KEY] = before


def remembered(method):
    """Remember the answers of a method of one stored record inside :func:`remembering`.

    For those who ask often; they do not change what they are given. Who asks with other rights, or
    another context, gets an answer of its own: records in it have the environment of the caller.
    """

    @wraps(method)
    def wrapper(self, *args):
        known = self.env.cr.cache.get(KEY)
        if known is None or not self.id:
            return method(self, *args)
        key = (method, self.env, self.id, args)
        if key not in known:
            known[key] = method(self, *args)
        return known[key]

    return wrapper
