import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL, str2bool

from ..delivery import addresses, schedule
from ..tools import read_committed_cursor

_logger = logging.getLogger(__name__)

TEST_TYPE = "usage.endpoint.test"
LONGEST_TIMEOUT = 30  # seconds: one endpoint may keep the others waiting for so long
BROKEN_ACTIVITY = "usage_connector_base.mail_activity_type_endpoint_broken"
DEAD_ACTIVITY = "usage_connector_base.mail_activity_type_dead_letters"


class UsageEndpoint(models.Model):
    _name = "usage.endpoint"
    _description = "Usage Endpoint"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True, help="What people call the receiving system.")
    company_id = fields.Many2one(
        "res.company",
        required=True,
        index=True,
        default=lambda self: self.env.company,
        help="The endpoint is told of this company's facts and of no other's.",
    )
    owner_id = fields.Many2one(
        "res.users",
        string="Responsible",
        default=lambda self: self.env.user,
        tracking=True,
        help="Who is told when the endpoint does not take its messages.",
    )
    url = fields.Char(
        string="URL",
        required=True,
        tracking=True,
        groups="usage_connector_base.group_usage_operator",
        help="Where messages are posted to. It must begin with https:// and lie in a public network, "
        "unless private networks are allowed in the settings.",
    )
    type_ids = fields.Many2many(
        "usage.delivery.type",
        string="Message Types",
        default=lambda self: self.env["usage.delivery.type"].search([("is_test", "=", False)]),
        domain=[("is_test", "=", False)],
        help="What the endpoint is told of. Types that a later addon brings are not added by themselves.",
    )
    state = fields.Selection(
        [("paused", "Paused"), ("active", "Active"), ("broken", "Not Answering")],
        required=True,
        default="paused",
        readonly=True,
        copy=False,
        tracking=True,
        help="Paused: messages wait until someone starts the endpoint. Not answering: it failed too often in a row; "
        "one message is tried from time to time, and when it is taken the others follow.",
    )
    timeout = fields.Integer(
        string="Timeout (Seconds)", required=True, default=10, help="Seconds in which the whole answer must be there."
    )
    failure_limit = fields.Integer(
        string="Failures in a Row",
        required=True,
        default=5,
        help="After so many failed attempts in a row the endpoint is left alone for some minutes.",
    )
    failure_count = fields.Integer(
        string="Failures Now", readonly=True, copy=False, help="Failed attempts since the last one that succeeded."
    )
    open_until = fields.Datetime(
        string="Next Probe", readonly=True, copy=False, help="When one message is tried again (UTC)."
    )
    active = fields.Boolean(default=True, help="Archived endpoints are told nothing.")
    note = fields.Text(string="Notes")
    secret_ids = fields.One2many(
        "usage.endpoint.secret", "endpoint_id", readonly=True, groups="usage_connector_base.group_usage_admin"
    )
    has_secret = fields.Boolean(compute="_compute_has_secret", help="Whether messages can be signed.")
    pending_count = fields.Integer(
        string="Waiting", compute="_compute_counts", help="Messages that have not been taken yet."
    )
    dead_count = fields.Integer(
        string="Dead Letters", compute="_compute_counts", help="Messages that were given up and wait for a replay."
    )
    last_delivered_at = fields.Datetime(
        string="Last Delivery", compute="_compute_last_delivered_at", help="When a message was last taken (UTC)."
    )

    _name_uniq = models.Constraint(
        "UNIQUE(company_id, name)", "Another endpoint of this company has this name: choose another one."
    )

    def _compute_has_secret(self):
        secrets = self.env["usage.endpoint.secret"]
        for endpoint in self:
            endpoint.has_secret = bool(secrets._signing(endpoint._origin, fields.Datetime.now()))

    def _compute_counts(self):
        counts = {
            (endpoint, state): count
            for endpoint, state, count in self.env["usage.delivery"]._read_group(
                [("endpoint_id", "in", self.ids), ("state", "in", ["pending", "dead"])],
                ["endpoint_id", "state"],
                ["__count"],
            )
        }
        for endpoint in self:
            endpoint.pending_count = counts.get((endpoint, "pending"), 0)
            endpoint.dead_count = counts.get((endpoint, "dead"), 0)

    def _compute_last_delivered_at(self):
        latest = dict(
            self.env["usage.delivery"]._read_group(
                [("endpoint_id", "in", self.ids), ("state", "=", "delivered")], ["endpoint_id"], ["delivered_at:max"]
            )
        )
        for endpoint in self:
            endpoint.last_delivered_at = latest.get(endpoint, False)

    # -- what may be entered ----------------------------------------------------------------

    @api.constrains("url")
    def _check_url(self):
        for endpoint in self:
            try:
                addresses.check_url(endpoint.url, self._private_allowed())
            except addresses.AddressRefused as refused:
                raise ValidationError(self._url_message(refused.code)) from refused

    def _url_message(self, code):
        messages = {
            "scheme": self.env._("Enter a URL that begins with https://, so that nobody on the way can read messages."),
            "host": self.env._("Enter a whole URL, such as https://hooks.example.com/usage."),
            "credentials": self.env._("Leave user and password out of the URL: messages are signed instead."),
            "private": self.env._(
                "This address belongs to a private network. If the receiver is really there, allow private networks "
                "in the settings of Usage Billing first."
            ),
            "forbidden": self.env._("Messages are never sent to this address: enter another one."),
        }
        return messages[code]

    @api.model
    def _private_allowed(self):
        # sudo: whoever enters or sends may not read settings; this one bounds what may be entered
        return str2bool(self.env["ir.config_parameter"].sudo().get_param("usage.delivery_allow_private", "False"))

    @api.constrains("timeout", "failure_limit")
    def _check_bounds(self):
        for endpoint in self:
            if not 1 <= endpoint.timeout <= LONGEST_TIMEOUT:
                raise ValidationError(self.env._("The timeout may be 1 to %s seconds.", LONGEST_TIMEOUT))
            if endpoint.failure_limit < 1:
                raise ValidationError(self.env._("Failures in a row must be at least 1."))

    @api.constrains("type_ids")
    def _check_types(self):
        for endpoint in self:
            if not endpoint.type_ids:
                raise ValidationError(self.env._("Choose at least one kind of message, or archive the endpoint."))

    @api.constrains("state")
    def _check_secret(self):
        for endpoint in self:
            if endpoint.state != "paused" and not endpoint.has_secret:
                raise ValidationError(
                    self.env._(
                        "%s has no secret: make one and give it to the receiver, then start the endpoint.",
                        endpoint.name,
                    )
                )

    def copy_data(self, default=None):
        return [
            {**vals, "name": self.env._("%s (copy)", endpoint.name)}
            for endpoint, vals in zip(self, super().copy_data(default), strict=True)
        ]

    def write(self, vals):
        if "company_id" in vals and any(endpoint.company_id.id != vals["company_id"] for endpoint in self):
            raise UserError(self.env._("An endpoint stays with its company: make another one for the other company."))
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_without_deliveries(self):
        # sudo: of deliveries in companies that are not selected now, too
        if self.env["usage.delivery"].sudo().search_count([("endpoint_id", "in", self.ids)], limit=1):
            raise UserError(self.env._("An endpoint with deliveries is kept for its history: archive it instead."))

    # -- people -----------------------------------------------------------------------------

    def action_start(self):
        """Send what waits and what comes; an open circuit is closed."""
        self.write({"state": "active", "failure_count": 0, "open_until": False})
        self._locked_waiting()._schedule_now()

    def action_pause(self):
        """Keep messages until the endpoint is started again."""
        self.write({"state": "paused", "failure_count": 0, "open_until": False})

    def _locked_waiting(self):
        """What waits for the endpoints, but for what is being sent at this moment."""
        # sudo: deliveries are written by this machinery alone
        waiting = self.env["usage.delivery"].sudo().search([("endpoint_id", "in", self.ids), ("state", "=", "pending")])
        return waiting.try_lock_for_update(allow_referencing=True)

    def action_new_secret(self):
        """Open the dialog that makes a secret and shows it once."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("New Secret"),
            "res_model": "usage.endpoint.secret.wizard",
            "view_mode": "form",
            "target": "new",
            "context": {"default_endpoint_id": self.id},
        }

    def _rotate_secret(self, overlap_hours=24):
        """A new signing secret; see :meth:`UsageEndpointSecret._rotate`.

        :param int overlap_hours: how long the replaced secret goes on signing beside the new one
        :return: the secret, which cannot be read again later
        """
        self.ensure_one()
        self.check_access("write")
        secret = self.env["usage.endpoint.secret"]._rotate(self, timedelta(hours=overlap_hours))
        self.message_post(body=self.env._("A new signing secret was made, ending with %s.", secret[-4:]))
        return secret

    def action_revoke_replaced(self):
        """Sign with the current secrets alone, from this moment."""
        self.check_access("write")
        for endpoint in self:
            self.env["usage.endpoint.secret"]._end(endpoint, fields.Datetime.now(), replaced=True)
            endpoint.message_post(body=self.env._("Replaced signing secrets were revoked."))

    def action_send_test(self):
        """Send a message that means nothing, once and now, and show what came of it.

        Both steps commit on their own: what was sent is on record whatever becomes of this request.
        """
        self.ensure_one()
        self.check_access("write")
        # sudo: deliveries are written by this machinery alone
        deliveries = self.env["usage.delivery"].sudo()
        payload = {"endpoint": self.name, "sent_by": self.env.user.name}
        with read_committed_cursor(self.env) as cr:
            test = deliveries.with_env(deliveries.env(cr=cr))._create_for(self.ids, TEST_TYPE, [payload])
            test.give_up_at = fields.Datetime.now()  # once: nobody waits for it later
            test.flush_recordset()
        deliveries._send(test.id, forced=True)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Test Message"),
            "res_model": "usage.delivery",
            "res_id": test.id,
            "view_mode": "form",
        }

    def action_replay_dead(self):
        """Send all dead letters of the endpoints again."""
        self.env["usage.delivery"].search([("endpoint_id", "in", self.ids), ("state", "=", "dead")]).action_replay()

    def action_view_deliveries(self):
        return self._action_deliveries({})

    def action_view_dead(self):
        return self._action_deliveries({"search_default_dead": 1})

    def _action_deliveries(self, context):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_delivery")
        return {**action, "domain": [("endpoint_id", "in", self.ids)], "context": context}

    # -- the circuit ------------------------------------------------------------------------

    def _lock_circuit(self):
        """Wait for whoever is changing the circuit, then see what they left.

        To be called at READ COMMITTED, with the outcome of an attempt at hand: the lock is held until
        the transaction ends, and must not be held while a receiver takes its time.
        """
        query = SQL("SELECT 1 FROM usage_endpoint WHERE id = %s FOR NO KEY UPDATE", self.id)
        self.env.execute_query(query)
        self.invalidate_recordset(["state", "failure_count", "open_until"])

    def _note_success(self):
        """An attempt succeeded: the circuit closes, and what waits is sent."""
        self.ensure_one()
        self._lock_circuit()
        if self.failure_count or self.open_until:
            self.write({"failure_count": 0, "open_until": False})
        if self.state == "broken":
            self.state = "active"
            self.activity_feedback([BROKEN_ACTIVITY], feedback=self._in_language().env._("It takes messages again."))
            # At once, but without more time: a message that nobody can take must not live for ever.
            self._locked_waiting()._bring_forward()

    def _note_failure(self, error):
        """An attempt failed: after too many in a row the endpoint is left alone for a while."""
        self.ensure_one()
        self._lock_circuit()
        circuit = schedule.after_failure(
            schedule.Circuit(self.failure_count, self.open_until or None), self.failure_limit, fields.Datetime.now()
        )
        self.failure_count = circuit.failures
        if not circuit.open_until or self.state == "paused":
            return
        self.open_until = circuit.open_until
        if self.state == "active":
            self.state = "broken"
            self._tell_owner(BROKEN_ACTIVITY, self._in_language()._broken_note(error))

    def _note_gone(self):
        """The receiver answered that it wants no more messages, ever: 410."""
        self.ensure_one()
        self._lock_circuit()
        if self.state != "paused":
            self.action_pause()
            self._tell_owner(BROKEN_ACTIVITY, self._in_language()._gone_note())

    def _tell_owner(self, activity_type, note):
        """An activity for the responsible user, unless there is one of this kind already."""
        self.ensure_one()
        if self.activity_search([activity_type]):
            return
        try:
            with self.env.cr.savepoint():
                self.activity_schedule(activity_type, note=note, user_id=self._owner().id)
        except Exception:
            # Whoever cannot be told must not keep the outcome of an attempt from being recorded.
            _logger.exception("Nobody could be told of usage endpoint %s", self.id)

    def _owner(self):
        return self.owner_id or self.create_uid

    def _in_language(self):
        """The endpoint in the language of its responsible user."""
        return self.with_context(lang=self._owner().lang)

    def _broken_note(self, error):
        return self.env._(
            "The last %(count)s attempts to send to this endpoint failed. Messages wait; one is tried from time to "
            "time. Last: %(error)s",
            count=self.failure_count,
            error=error,
        )

    def _gone_note(self):
        return self.env._(
            "The receiver answered that it is gone for good (410). The endpoint was paused; messages wait."
        )

    def _dead_note(self, error):
        return self.env._("Messages were given up: mend the receiver, then replay its dead letters. Last: %s", error)

    @api.model
    def _claim_probes(self, now):
        """Endpoints whose time has come for one message, although their circuit is open.

        Whoever claims a probe is the only one: the next is due a cool-down later, whatever becomes of
        this one. To be called in a transaction that is committed before the message is sent.

        :return: list of ids of ``usage.delivery``, one per endpoint, the longest due
        """
        query = SQL(
            """
            UPDATE usage_endpoint e
            SET open_until = %(now)s + make_interval(secs => %(lease)s)
            FROM (
                SELECT DISTINCT ON (endpoint_id) endpoint_id, id FROM usage_delivery
                WHERE state = 'pending' AND next_attempt_at <= %(now)s
                ORDER BY endpoint_id, next_attempt_at, id
            ) d
            WHERE d.endpoint_id = e.id AND e.active AND e.state = 'broken' AND e.open_until <= %(now)s
            RETURNING d.id
            """,
            now=now,
            lease=schedule.FIRST_COOL_DOWN,
        )
        return [delivery for [delivery] in self.env.execute_query(query)]

    @api.model
    def _subscribed(self, event_type, company):
        """Endpoints of a company that are told of facts of a type.

        :raises ValueError: no addon declares the type as ``usage.delivery.type``
        """
        # sudo: whoever causes a fact need not know who is told of it
        types = self.env["usage.delivery.type"].sudo().search([("code", "=", event_type)])
        if not types:
            raise ValueError(f"{event_type} is no usage.delivery.type: declare it in the addon's data.")
        return self.sudo().search([("type_ids", "in", types.ids), ("company_id", "=", company.id)])
