from odoo import api, fields, models
from odoo.tools import SQL

from ..tools import read_committed_cursor

ANNOUNCE_LIMIT = 1000  # exceptions looked at in one transaction
MAX_NAMED = 20  # exceptions that one message names; it counts the others


class UsageException(models.Model):
    """Endpoints are told of exceptions by a job of its own, not where exceptions are recorded.

    Recording is part of taking events in, which must stay fast, and a broken sender can cause thousands
    of exceptions a minute. The job tells of them by source and reason; what was told is marked in the
    transaction of the message, so that each change is told once.
    """

    _inherit = "usage.exception"

    announced_state = fields.Char(readonly=True, copy=False, help="The state that endpoints were last told of.")

    _unannounced = models.Index("(id) WHERE announced_state IS DISTINCT FROM state")

    @api.model
    def _cron_announce(self):
        """Tell endpoints of exceptions that were opened or settled since the last time, each once.

        :return: how many exceptions were looked at
        """
        total, found = 0, ANNOUNCE_LIMIT
        while found == ANNOUNCE_LIMIT:
            with read_committed_cursor(self.env) as cr:
                found = self.with_env(self.env(cr=cr))._announce_some()
            total += found
        return total

    @api.model
    def _announce_some(self):
        query = SQL(
            "SELECT id FROM usage_exception WHERE announced_state IS DISTINCT FROM state "
            "ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            ANNOUNCE_LIMIT,
        )
        changed = self.browse(exception_id for [exception_id] in self.env.execute_query(query))
        for (source, reason, state), exceptions in changed._worth_telling().grouped(self._announce_key).items():
            event_type = "usage.exception.opened" if state == "open" else "usage.exception.settled"
            payload = exceptions._announce_payload(source, reason, state)
            correlation = exceptions._shared_correlation_id()
            self.env["usage.delivery"]._enqueue(
                event_type, payload, source.company_id, correlation_id=correlation, traceparent=correlation
            )
        for state, exceptions in changed.grouped("state").items():
            exceptions.write({"announced_state": state})
        return len(changed)

    def _worth_telling(self):
        """Without what was settled before anyone was told that it had been open."""
        return self.filtered(lambda exception: exception.state == "open" or exception.announced_state)

    def _shared_correlation_id(self):
        """The correlation id of the request that led to all of these, None when they do not share one."""
        ids = {exception.batch_id.correlation_id for exception in self}
        return ids.pop() if len(ids) == 1 else None

    @api.model
    def _announce_key(self, exception):
        return exception.source_id, exception.reason, exception.state

    def _announce_payload(self, source, reason, state):
        return {
            "source": source.code,
            "reason": reason,
            "category": self[0].category,
            "state": state,
            "count": len(self),
            "exceptions": [exception._named_payload() for exception in self[:MAX_NAMED]],
        }

    def _named_payload(self):
        return {
            "id": self.id,
            "account": self.account_id.external_id or None,
            "event_id": self.event_ref or None,
            "event_type": self.event_type or None,
            "message": self.message or None,
            "resolution": self.resolution or None,
            "first_seen": self.first_seen,
            "correlation_id": self.batch_id.correlation_id or None,
        }
