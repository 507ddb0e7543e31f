import json
import os
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL

from ..guard import is_unlocked, unlocked
from ..ingestion.facts import MAX_DIMENSION, SUMMARY_TYPE
from .usage_event import MAX_EVENTS
from .usage_meter_definition import PATH

SLICE_BATCHES = 500  # requests whose events are anonymised in one transaction
SETTLED = timedelta(minutes=10)  # no request stores its events as long after it was numbered
ANONYMOUS = "^anon-[0-9a-f]{32}$"
PLACES = ("data", "attributes")
BLOCK = 64  # bytes of a block of SHA-256

# The keys of HMAC-SHA-256, made once and read by no Python code: no model, no API and no log has them.
SECRET = """
CREATE TABLE IF NOT EXISTS usage_anonymisation_key (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    inner_key bytea NOT NULL,
    outer_key bytea NOT NULL
)
"""

# Facts of the approval, and of what was done; written by the buttons and the job alone.
FACTS = {
    *("state", "prepared_by_id", "approved_by_id", "approved_date"),
    *("event_count", "exception_count", "done_batch_id", "finished_date"),
}


class UsageAnonymisation(models.Model):
    """The one exception to "a stored event is never edited": identifiers of users are replaced in it.

    What is counted never changes: places that a meter reads are refused, but for unique counts,
    where a digest keeps apart what was apart. Ids and content digests stay, so that repetitions
    are still recognised. Asked for by one administrator, approved by another, and logged.
    """

    _name = "usage.anonymisation"
    _description = "Anonymisation of Users"
    _inherit = ["mail.thread"]
    _order = "id desc"
    _check_company_auto = True

    name = fields.Char(
        string="Reason", required=True, tracking=True, help="Why it is done, such as a user's request to be forgotten."
    )
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    source_ids = fields.Many2many(
        "usage.source", string="Sources", check_company=True, help="Whose events; empty: those of all sources."
    )
    method = fields.Selection(
        [("digest", "Replace by a digest"), ("remove", "Remove")],
        required=True,
        default="digest",
        help="A digest tells users apart, but not who they are: it is made with a key that nobody can read.",
    )
    user = fields.Boolean(string="User Reference", default=True, help="The attribute user of events.")
    paths = fields.Text(
        string="Other Places",
        help="Where else in events users are named, one on each line: data or attributes, and names joined by points, "
        "such as data.user.email. Places that a meter counts by are refused.",
    )
    user_refs = fields.Text(
        string="Only These Users",
        help="User references, one on each line: only events of these users; empty: events of all users.",
    )
    age_days = fields.Integer(
        string="Older Than (Days)", help="Only events that were received so many days ago; 0: all."
    )
    repeat = fields.Boolean(
        string="Every Day", help="Go on with events as they reach this age, until someone stops it."
    )
    state = fields.Selection(
        [("draft", "Awaiting Approval"), ("running", "Running"), ("done", "Done"), ("stopped", "Stopped")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Runs in the background once a second administrator approved it.",
    )
    prepared_by_id = fields.Many2one("res.users", string="Asked For By", readonly=True, copy=False)
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False)
    approved_date = fields.Datetime(string="Approved On", readonly=True, copy=False, help="When it was approved (UTC).")
    finished_date = fields.Datetime(
        string="Last Finished", readonly=True, copy=False, help="When all events of the age were last done (UTC)."
    )
    event_count = fields.Integer(
        string="Events Changed", readonly=True, copy=False, help="In how many events something was replaced."
    )
    exception_count = fields.Integer(
        string="Payloads Removed",
        readonly=True,
        copy=False,
        help="Settled exceptions whose copies of events were removed.",
    )
    done_batch_id = fields.Integer(
        string="Done Before Request", readonly=True, copy=False, help="Events of earlier requests are done."
    )

    _age = models.Constraint("CHECK(age_days >= 0)", "The age is 0 days or more.")

    def init(self):
        res = super().init()
        self.env.cr.execute(SECRET)
        secret = os.urandom(32).ljust(BLOCK, b"\0")
        self.env.cr.execute(
            SQL(
                "INSERT INTO usage_anonymisation_key (inner_key, outer_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                bytes(byte ^ 0x36 for byte in secret),
                bytes(byte ^ 0x5C for byte in secret),
            )
        )
        return res

    # -- asking and approving ---------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        fresh = {**dict.fromkeys(FACTS, False), "state": "draft", "prepared_by_id": self.env.uid}
        return super().create([{**vals, **fresh} for vals in vals_list])

    def write(self, vals):
        if not is_unlocked(self.env):
            changed = vals.keys() & (set(self._fields) - set(self.env["mail.thread"]._fields))
            if changed & FACTS or changed and any(record.state != "draft" for record in self):
                raise UserError(self.env._("What was approved is not changed: stop it and ask for another one."))
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_drafts(self):
        if any(record.state != "draft" for record in self):
            raise UserError(self.env._("What was approved is kept, for it to be known: stop it instead."))

    @api.constrains("paths", "user", "method", "company_id")
    def _check_places(self):
        for record in self:
            places = record._places()
            if not places and not record.user:
                raise ValidationError(self.env._("Say what to anonymise: the user reference, or other places."))
            for place, path in places:
                if place == "data":
                    record._check_not_counted(path)

    def _places(self):
        """The other places as (data or attributes, tuple of names)."""
        places = []
        for line in (self.paths or "").split():
            place, _point, path = line.partition(".")
            if place not in PLACES or not PATH.fullmatch(path):
                raise ValidationError(
                    self.env._("%s is no place: write data or attributes, a point, and names joined by points.", line)
                )
            places.append((place, tuple(path.split("."))))
        return places

    def _check_not_counted(self, path):
        """Refuse what would change a quantity.

        :param tuple path: names from an event's data to the value
        """
        # sudo: archived meters, and their definitions, may count again one day
        meters = self.env["usage.meter"].sudo().with_context(active_test=False)
        for meter in meters.search([("company_id", "=", self.company_id.id)]):
            for definition in self._definitions(meter):
                if self._counts_by(definition, path):
                    raise ValidationError(
                        self.env._(
                            "Meter %(meter)s counts by data.%(path)s: its quantities would change.",
                            meter=meter.name,
                            path=".".join(path),
                        )
                    )

    def _definitions(self, meter):
        """All that says, or may come to say, what a meter counts."""
        return meter.version_ids.filtered(lambda version: version.state != "rejected")

    def _counts_by(self, definition, path):
        value = tuple(definition._value_names())
        if definition.aggregation == "unique_count" and path == value and self.method == "digest":
            value = ()
        filters = [line.path for line in definition._filters()]
        read = [value, *(tuple(name.split(".")) for name in definition._dimension_names()), *filters]
        return any(_overlap(path, other) for other in read if other)

    def action_approve(self):
        """Let it run: approved by an administrator other than the one who asked for it."""
        self._check_administrator()
        for record in self:
            if record.state != "draft":
                raise UserError(self.env._("%s was approved before.", record.name))
            if record.prepared_by_id == self.env.user:
                raise UserError(
                    self.env._("%s was asked for by you: a second administrator must approve it.", record.name)
                )
        self._check_places()
        unlocked(self).write(
            {"state": "running", "approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()}
        )
        # sudo: usage administrators may not read scheduled jobs
        self.env.ref("usage_connector_base.cron_anonymise").sudo()._trigger()

    def action_stop(self):
        """Go no further; what is anonymised stays so."""
        self._check_administrator()
        unlocked(self.filtered(lambda record: record.state == "running")).write({"state": "stopped"})

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator may do this."))

    # -- doing ------------------------------------------------------------------------------

    @api.model
    def _cron_anonymise(self):
        """Go on with all that is approved; killed anywhere, the next run goes on where this one was."""
        commit = self.env["ir.cron"]._commit_progress
        for record in self.search([("state", "=", "running")]):
            if not record._run(commit):
                return

    def _run(self, commit=lambda _done: True):
        """Anonymise what is of the age now.

        :param commit: called after each slice; false when there is no time left
        :return: whether all was done
        """
        self.ensure_one()
        until = self._batches_until()
        # What a meter counts by may have been changed since the approval.
        try:
            self._check_places()
        except ValidationError as error:
            unlocked(self).write({"state": "stopped"})
            self.message_post(body=self.env._("Stopped: %s", error.args[0]))
            return True
        while self.done_batch_id < until:
            first, last = self.done_batch_id, min(self._next_batch(self.done_batch_id) + SLICE_BATCHES, until)
            done = self._anonymise(first * MAX_EVENTS, last * MAX_EVENTS)
            unlocked(self).write({"event_count": self.event_count + done, "done_batch_id": last})
            if not commit(done):
                return False
        self._finish()
        commit(0)
        return True

    def _received_before(self):
        return fields.Datetime.now() - max(timedelta(days=self.age_days), SETTLED)

    def _batches_until(self):
        """Id of the first request that is not of the age."""
        query = SQL(
            "SELECT coalesce((SELECT min(id) FROM usage_batch WHERE received_at >= %(moment)s), "
            "(SELECT max(id) + 1 FROM usage_batch), 0)",
            moment=self._received_before(),
        )
        return self.env.execute_query(query)[0][0]

    def _next_batch(self, batch_id):
        """Id of the first request from ``batch_id`` on whose events are stored: gaps are stepped over."""
        [[event_id]] = self.env.execute_query(
            SQL("SELECT coalesce(min(id), 0) FROM usage_event WHERE id >= %s", batch_id * MAX_EVENTS)
        )
        return max(event_id // MAX_EVENTS, batch_id)

    def _finish(self):
        unlocked(self).write(
            {
                "state": "running" if self.repeat else "done",
                "finished_date": fields.Datetime.now(),
                "exception_count": self.exception_count + self._clear_payloads(),
            }
        )
        if not self.repeat:
            self.message_post(
                body=self.env._(
                    "Done: %(events)s events changed, payloads of %(exceptions)s settled exceptions removed.",
                    events=self.event_count,
                    exceptions=self.exception_count,
                )
            )

    def _anonymise(self, first, last):
        """Anonymise the events with ids in [first, last).

        :return: how many were changed
        """
        changed = set()
        # The user reference last: it says which events are meant.
        for place, path in self._places():
            changed.update(self._replace_in(SQL.identifier(place), list(path), first, last))
        if self.user:
            changed.update(self._replace_user(first, last))
        self.env["usage.event"].invalidate_model()
        return len(changed)

    def _replace_user(self, first, last):
        value = self._sql_digest(SQL("e.user_ref")) if self.method == "digest" else SQL("NULL")
        return self._update(
            SQL("user_ref = %s", value), SQL("e.user_ref IS NOT NULL AND e.user_ref !~ %s", ANONYMOUS), first, last
        )

    def _replace_in(self, place, path, first, last):
        """Replace the value at a path; a digest only of what a unique count counts, all else goes."""
        value, text = SQL("(e.%s #> %s)", place, path), SQL("(e.%s #>> %s)", place, path)
        removed = SQL("e.%s #- %s", place, path)
        replaced = SQL(
            """
            CASE WHEN jsonb_typeof(%(value)s) IN ('string', 'number', 'boolean') AND length(%(text)s) <= %(limit)s
                THEN jsonb_set(e.%(place)s, %(path)s, to_jsonb(%(digest)s)) ELSE %(removed)s END
            """,
            value=value,
            text=text,
            limit=MAX_DIMENSION,
            place=place,
            path=path,
            digest=self._sql_digest(text),
            removed=removed,
        )
        # The data of a summary is ours: what it tells apart is what its meter counts by.
        found = SQL("%s <> 'null' AND %s !~ %s AND e.type <> %s", value, text, ANONYMOUS, SUMMARY_TYPE)
        new = replaced if self.method == "digest" else removed
        return self._update(SQL("%s = %s", place, new), found, first, last)

    def _update(self, change, condition, first, last):
        users = (self.user_refs or "").splitlines()
        rows = self.env.execute_query(
            SQL(
                """
                UPDATE usage_event e SET %(change)s FROM usage_anonymisation_key k
                WHERE e.id >= %(first)s AND e.id < %(last)s AND e.source_id = ANY(%(sources)s) AND %(users)s
                    AND %(condition)s
                RETURNING e.id
                """,
                change=change,
                first=first,
                last=last,
                sources=self._sources().ids,
                users=SQL("e.user_ref = ANY(%s)", [user.strip() for user in users]) if users else SQL("true"),
                condition=condition,
            )
        )
        return (row[0] for row in rows)

    def _sources(self):
        # sudo: the job does what was approved, whoever may read the sources
        return self.source_ids or self.env["usage.source"].sudo().search([("company_id", "=", self.company_id.id)])

    def _sql_digest(self, text):
        """HMAC-SHA-256 of a company's text with the key that only PostgreSQL knows."""
        return SQL(
            "'anon-' || left(encode(sha256(k.outer_key || sha256(k.inner_key || "
            "convert_to(e.company_id || ':' || %s, 'UTF8'))), 'hex'), 32)",
            text,
        )

    def _clear_payloads(self):
        """Remove copies of events from settled exceptions; open ones need theirs to be replayed."""
        users = [user.strip() for user in (self.user_refs or "").splitlines()]
        condition = SQL(
            "EXISTS (SELECT 1 FROM unnest(%s) u WHERE strpos(concat(payload, other_payload), u) > 0)",
            [json.dumps(user, ensure_ascii=False) for user in users],
        )
        rows = self.env.execute_query(
            SQL(
                """
                UPDATE usage_exception SET payload = NULL, other_payload = NULL
                WHERE state <> 'open' AND last_seen < %s AND source_id = ANY(%s)
                    AND (payload IS NOT NULL OR other_payload IS NOT NULL) AND %s
                RETURNING id
                """,
                self._received_before(),
                self._sources().ids,
                condition if users else SQL("true"),
            )
        )
        self.env["usage.exception"].invalidate_model()
        return len(rows)


def _overlap(one, other):
    """Whether one path is the other, or leads to it.

    >>> _overlap(("user",), ("user", "id")), _overlap(("user", "id"), ("user", "name"))
    (True, False)
    """
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
