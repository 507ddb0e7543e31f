import logging
import time
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import SQL
from odoo.tools.constants import GC_UNLINK_LIMIT

from ..delivery import message, schedule, signing, transport
from ..tools import read_committed_cursor
from .usage_endpoint import DEAD_ACTIVITY, TEST_TYPE

_logger = logging.getLogger(__name__)

SEND_LIMIT = 200  # messages taken up at a time
GIVE_UP_LIMIT = 5000  # messages given up at a time
GONE = 410
USER_AGENT = "Odoo-Usage-Billing"
# What was signed and sent stays what it was, whoever asks.
IMMUTABLE = {"endpoint_id", "event_type", "payload", "webhook_id", "correlation_id", "traceparent"}


class UsageDelivery(models.Model):
    """One message to one endpoint, and its outbox.

    ``_enqueue`` writes messages in the transaction of the fact that they tell of: both are committed
    or neither is. The job sends them, each in a transaction of its own:

    1. ``_due_ids`` and ``_claim_probes`` say what is due, ``_send`` locks one of them (``SKIP LOCKED``)
       and looks again whether it is still due, since another job may just have sent it.
    2. The message is posted while the lock is held. Killed here, the lock is gone and nothing is on
       record: the message is due as before and is sent again, with the same id, which is how the
       receiver tells a repetition.
    3. The attempt, the message's new state and the endpoint's circuit are committed together.
    """

    _name = "usage.delivery"
    _description = "Usage Delivery"
    _order = "id desc"
    _rec_name = "webhook_id"

    endpoint_id = fields.Many2one("usage.endpoint", required=True, readonly=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="endpoint_id.company_id", store=True, index=True)
    event_type = fields.Char(string="Type", required=True, readonly=True, index=True, help="What the message tells of.")
    webhook_id = fields.Char(
        string="Message ID",
        required=True,
        readonly=True,
        help="The same for every attempt: by it the receiver can tell a repetition.",
    )
    payload = fields.Text(
        required=True,
        readonly=True,
        groups="usage_connector_base.group_usage_operator",
        help="The message exactly as it is signed and sent.",
    )
    correlation_id = fields.Char(
        readonly=True, index="btree_not_null", help="Ties the message to the request that led to it."
    )
    traceparent = fields.Char(string="Trace", readonly=True, help="W3C trace context of that request.")
    state = fields.Selection(
        [("pending", "Waiting"), ("delivered", "Delivered"), ("dead", "Dead Letter")],
        required=True,
        readonly=True,
        default="pending",
        help="Waiting: sent until the receiver takes it. Dead letter: given up after 72 hours, until someone "
        "replays it.",
    )
    next_attempt_at = fields.Datetime(
        string="Next Attempt", readonly=True, help="When it is sent (again), earliest (UTC)."
    )
    give_up_at = fields.Datetime(
        string="Given Up After", required=True, readonly=True, help="A failure after this makes it a dead letter (UTC)."
    )
    delivered_at = fields.Datetime(string="Delivered On", readonly=True, help="When the receiver took it (UTC).")
    failure_count = fields.Integer(
        string="Failures", readonly=True, help="Failed attempts since it was first due or last replayed."
    )
    attempt_ids = fields.One2many("usage.delivery.attempt", "delivery_id", string="Attempts", readonly=True)
    attempt_count = fields.Integer(string="Attempts Made", readonly=True)
    last_status = fields.Integer(
        readonly=True, aggregator=None, help="HTTP status of the last answer; 0 when there was none."
    )
    last_error = fields.Char(readonly=True, help="Why the last attempt failed.")
    replayed_by_id = fields.Many2one("res.users", readonly=True, help="Who had it sent again last.")
    replayed_at = fields.Datetime(string="Replayed On", readonly=True, help="When that was (UTC).")

    _webhook_id_uniq = models.Constraint("UNIQUE(webhook_id)", "There is a message with this id already.")
    _due = models.Index("(endpoint_id, next_attempt_at) WHERE state = 'pending'")
    _dead = models.Index("(endpoint_id) WHERE state = 'dead'")

    def write(self, vals):
        if IMMUTABLE & vals.keys():
            raise UserError(self.env._("A message stays as it was signed: it is never edited."))
        return super().write(vals)

    # -- outbox -----------------------------------------------------------------------------

    @api.model
    def _enqueue(self, event_type, payload, company, correlation_id=None, traceparent=None):
        """Tell a company's endpoints of a fact, in the transaction that makes the fact.

        :param str event_type: code of a ``usage.delivery.type``
        :param dict payload: JSON values, ``Decimal`` and datetimes (naive: UTC); no floats
        :param company: the ``res.company`` whose fact it is
        :param str correlation_id: of the request that led to it, if one did
        :param str traceparent: W3C trace context of that request
        :return: the ``usage.delivery`` records, one per subscribed endpoint
        :raises ValueError: the type is not declared
        :raises TypeError: the payload contains a float or what is not JSON
        """
        return self._enqueue_each(event_type, [payload], company, correlation_id, traceparent)

    @api.model
    def _enqueue_each(self, event_type, payloads, company, correlation_id=None, traceparent=None):
        """The same as :meth:`_enqueue` for several facts of one type at once."""
        endpoints = self.env["usage.endpoint"]._subscribed(event_type, company)
        # sudo: whoever causes a fact need not know who is told of it
        deliveries = self.sudo()._create_for(endpoints.ids, event_type, payloads, correlation_id, traceparent)
        if deliveries:
            self._wake()
        return deliveries

    @api.model
    def _create_for(self, endpoint_ids, event_type, payloads, correlation_id=None, traceparent=None):
        now = fields.Datetime.now()
        common = {
            "event_type": event_type,
            "correlation_id": message.header_text(correlation_id),
            "traceparent": message.trace_text(traceparent),
            "next_attempt_at": now,
            "give_up_at": now + schedule.GIVE_UP_AFTER,
        }
        texts = [message.encode(event_type, now, payload) for payload in payloads] if endpoint_ids else []
        return self.create(
            [
                {**common, "endpoint_id": endpoint, "payload": text, "webhook_id": message.new_id()}
                for text in texts
                for endpoint in endpoint_ids
            ]
        )

    @api.model
    def _wake(self):
        # sudo: few may read scheduled jobs
        self.env.ref("usage_connector_base.cron_deliver").sudo()._trigger()

    # -- sending ----------------------------------------------------------------------------

    @api.model
    def _cron_deliver(self):
        """Send what is due, as long as this job may run; what remains is sent in the next run."""
        self._give_up_expired()
        commit = self.env["ir.cron"]._commit_progress
        due = self._take_up()
        # More than was taken up may be due: then the job is run again at once.
        commit(remaining=len(due) + (len(due) >= SEND_LIMIT))
        for delivery_id, probe in due:
            self._send(delivery_id, forced=probe)
            if not commit(1):
                break

    @api.model
    def _take_up(self):
        """What to send now.

        :return: list of (id of a delivery, whether it probes an endpoint whose circuit is open)
        """
        now = fields.Datetime.now()
        with read_committed_cursor(self.env) as cr:
            model = self.with_env(self.env(cr=cr))
            probes = model.env["usage.endpoint"]._claim_probes(now)
            return [(probe, True) for probe in probes] + [(due, False) for due in model._due_ids(now, SEND_LIMIT)]

    @api.model
    def _due_ids(self, now, limit):
        """Ids of deliveries that are due, in turns of endpoints: a slow one delays the others but never shuts them out.

        :param datetime now: naive UTC
        :param int limit: how many at most
        """
        query = SQL(
            """
            SELECT d.id FROM usage_endpoint e
            CROSS JOIN LATERAL (
                SELECT id, row_number() OVER (ORDER BY next_attempt_at, id) AS turn FROM usage_delivery
                WHERE endpoint_id = e.id AND state = 'pending' AND next_attempt_at <= %(now)s
                ORDER BY next_attempt_at, id LIMIT %(limit)s
            ) d
            WHERE e.active AND e.state = 'active'
            ORDER BY d.turn, d.id LIMIT %(limit)s
            """,
            now=now,
            limit=limit,
        )
        return [delivery for [delivery] in self.env.execute_query(query)]

    @api.model
    def _send(self, delivery_id, forced=False):
        """Send one delivery in a transaction of its own, unless someone else has it or it is not due any more.

        :param bool forced: although its time has not come or its endpoint is not active
        """
        try:
            with read_committed_cursor(self.env) as cr:
                self.with_env(self.env(cr=cr)).browse(delivery_id)._claim(forced)._attempt()
        except Exception:
            # One message that cannot be handled must not stop the others.
            _logger.exception("Usage delivery %s could not be handled", delivery_id)
            self._postpone(delivery_id)

    @api.model
    def _postpone(self, delivery_id):
        """Have a delivery that could not be handled wait like one that failed."""
        with read_committed_cursor(self.env) as cr:
            for delivery in self.with_env(self.env(cr=cr)).browse(delivery_id)._claim(forced=True):
                delivery._fail(transport.Answer(error="Could not be sent: the server's log says why."))

    def _claim(self, forced):
        """The delivery, locked, if it is ours to send now; nothing otherwise."""
        claimed = self.try_lock_for_update(allow_referencing=True)
        now = fields.Datetime.now()
        return claimed.filtered(lambda delivery: delivery._is_due(now, forced))

    def _is_due(self, now, forced):
        if self.state != "pending" or forced:
            return self.state == "pending"
        return self.next_attempt_at <= now and self.endpoint_id.active and self.endpoint_id.state == "active"

    def _attempt(self):
        """Send the locked deliveries, and record what came of it."""
        for delivery in self:
            answer = delivery._post()
            delivery._log_attempt(answer)
            if answer.ok:
                delivery._succeed()
            else:
                delivery._fail(answer)
                delivery._judge_endpoint(answer)

    def _post(self):
        """Sign and send the message once.

        :return: :class:`~..delivery.transport.Answer`
        """
        endpoint = self.endpoint_id
        secrets = self.env["usage.endpoint.secret"]._signing(endpoint, fields.Datetime.now())
        if not secrets:
            return transport.Answer(error="The endpoint has no secret to sign with: make one.")
        return transport.post(
            endpoint.url, self.payload, self._headers(secrets), endpoint.timeout, endpoint._private_allowed()
        )

    def _headers(self, secrets):
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": self.webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signing.signature_header(secrets, self.webhook_id, timestamp, self.payload),
        }
        if self.correlation_id:
            headers["X-Correlation-Id"] = self.correlation_id
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers

    def _log_attempt(self, answer):
        self.env["usage.delivery.attempt"].create(
            {
                "delivery_id": self.id,
                "company_id": self.company_id.id,
                "attempted_at": fields.Datetime.now(),
                "status_code": answer.status or 0,
                "error": answer.error or False,
                "response": answer.text or False,
                "duration_ms": round(answer.seconds * 1000),
                "address": answer.address,
            }
        )
        self.write(
            {
                "attempt_count": self.attempt_count + 1,
                "last_status": answer.status or 0,
                "last_error": answer.error or False,
            }
        )

    def _succeed(self):
        self.write({"state": "delivered", "delivered_at": fields.Datetime.now(), "next_attempt_at": False})
        # Written before the endpoint is locked: no lock of ours is waited for while we hold it.
        self.flush_recordset()
        self.endpoint_id._note_success()

    def _fail(self, answer):
        """Try again later, or give up when its time is over."""
        failures = self.failure_count + 1
        next_at = schedule.next_attempt(failures, fields.Datetime.now(), self.give_up_at, answer.retry_after)
        self.write({"failure_count": failures, "next_attempt_at": next_at, "last_error": answer.error})
        if not next_at:
            self._give_up()
        self.flush_recordset()

    def _judge_endpoint(self, answer):
        if answer.status == GONE:
            self.endpoint_id._note_gone()
        else:
            self.endpoint_id._note_failure(answer.error)

    # -- dead letters -----------------------------------------------------------------------

    def _give_up(self):
        self.write({"state": "dead", "next_attempt_at": False})
        facts = self.filtered(lambda delivery: delivery.event_type != TEST_TYPE)
        for endpoint, deliveries in facts.grouped("endpoint_id").items():
            endpoint._tell_owner(DEAD_ACTIVITY, endpoint._in_language()._dead_note(deliveries[0].last_error))

    @api.model
    def _give_up_expired(self):
        """Make dead letters of what waits behind an open circuit longer than it may: nobody tries it again."""
        now = fields.Datetime.now()
        with read_committed_cursor(self.env) as cr:
            expired = self.with_env(self.env(cr=cr)).search(
                [
                    ("state", "=", "pending"),
                    ("give_up_at", "<=", now),
                    ("endpoint_id.state", "=", "broken"),
                    ("endpoint_id.open_until", ">", now),
                ],
                limit=GIVE_UP_LIMIT,
            )
            expired.try_lock_for_update(allow_referencing=True).filtered(lambda x: x.state == "pending")._give_up()

    def action_replay(self):
        """Send messages once more, now, with the same id and content; those that wait are sent without waiting."""
        self._check_operator()
        if not all(self.endpoint_id.mapped("active")):
            raise UserError(self.env._("An archived endpoint is sent nothing: unarchive it first."))
        # sudo: nobody may write deliveries; whoever may replay has been checked
        replayed = self.sudo()
        replayed.write(
            {
                "state": "pending",
                "replayed_by_id": self.env.uid,
                "replayed_at": fields.Datetime.now(),
                "delivered_at": False,
            }
        )
        replayed._schedule_now()

    def _check_operator(self):
        self.check_access("read")
        if not self.env.su and not self.env.user.has_group("usage_connector_base.group_usage_operator"):
            raise AccessError(self.env._("Only a Usage Operator may send messages again."))

    def _schedule_now(self):
        """Have waiting messages sent now, with all of their time before them."""
        now = fields.Datetime.now()
        self.write({"next_attempt_at": now, "give_up_at": now + schedule.GIVE_UP_AFTER, "failure_count": 0})
        if self:
            self._wake()

    def _bring_forward(self):
        """Have waiting messages sent now."""
        self.write({"next_attempt_at": fields.Datetime.now()})
        if self:
            self._wake()

    @api.autovacuum
    def _gc_delivered(self):
        """Remove delivered messages, with their attempts, when their retention has ended. Dead letters stay."""
        days = int(self.env["ir.config_parameter"].get_param("usage.delivery_keep_days", 90))
        domain = [("state", "=", "delivered"), ("delivered_at", "<", fields.Datetime.now() - timedelta(days=days))]
        ended = self.search(domain, limit=GC_UNLINK_LIMIT)
        ended.unlink()
        return len(ended), len(ended) == GC_UNLINK_LIMIT
