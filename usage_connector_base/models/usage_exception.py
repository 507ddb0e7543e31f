import hashlib
import json
from collections import Counter

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ..guard import is_unlocked, unlocked
from ..ingestion import corrections, summaries
from ..ingestion.envelope import PLAIN, parse
from ..ingestion.facts import REJECTIONS

# Reasons that a person of the business settles; all others are for those who run the systems.
BUSINESS_REASONS = {
    "account_unmapped": "Account without a customer",
    "account_inactive": "Usage outside of the account's assignments",
    "conflict": "Same id with other content",
}
# Requests that were refused as a whole, and may pass later: nothing is lost while the sender tries again.
REFUSED_REASONS = {
    "rate_limited": "More events than the source may send",
    "queue_full": "Too many events waited to be counted",
    "address_not_allowed": "Sent from an address that is not allowed",
}
SILENT = "source_silent"
OPERATIONAL_REASONS = {
    SILENT: "Source that has fallen silent",
    "meter_unknown": "No meter counts this type of event",
    **REFUSED_REASONS,
    **{code: text.rstrip(".") for code, text in (REJECTIONS | corrections.REJECTIONS | summaries.REJECTIONS).items()},
}
MAX_PAYLOAD = 64 * 1024  # characters kept of an event that could not be stored

# What happened and how it was settled, which people do not edit: see ``guard``.
FACTS = {
    *("source_id", "company_id", "reason", "category", "state", "digest", "account_id", "batch_id", "event_type"),
    "kind",
    *("event_ref", "message", "payload", "other_payload", "occurrence_count", "first_seen", "last_seen"),
    *("resolution", "resolved_by_id", "resolved_date", "replayed_payload"),
}


def exception_digest(*parts):
    """What makes two occurrences the same open exception, as text of 32 hexadecimal digits."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).hexdigest()


class UsageException(models.Model):
    _name = "usage.exception"
    _description = "Usage Exception"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "state, last_seen desc, id desc"
    _rec_name = "summary"
    _check_company_auto = True

    summary = fields.Char(compute="_compute_summary", search="_search_summary")
    source_id = fields.Many2one("usage.source", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    reason = fields.Selection(
        [*BUSINESS_REASONS.items(), *OPERATIONAL_REASONS.items()], required=True, readonly=True, index=True
    )
    category = fields.Selection(
        [("business", "Business"), ("operational", "Operational")],
        required=True,
        readonly=True,
        help="Business exceptions are settled with the customer or the contract, operational ones with the sender.",
    )
    state = fields.Selection(
        [("open", "Open"), ("resolved", "Resolved"), ("ignored", "Ignored")],
        required=True,
        default="open",
        readonly=True,
        tracking=True,
        help="Open until its cause is gone, or someone decides that it does not matter.",
    )
    digest = fields.Char(required=True, readonly=True, help="What makes two occurrences the same exception.")
    account_id = fields.Many2one("usage.account", readonly=True, index="btree_not_null", ondelete="cascade")
    batch_id = fields.Many2one("usage.batch", string="First Batch", readonly=True, ondelete="set null")
    kind = fields.Selection(
        [("events", "Event"), ("corrections", "Correction"), ("summaries", "Summary")],
        required=True,
        readonly=True,
        default="events",
        help="What it was that could not be counted.",
    )
    event_type = fields.Char(readonly=True)
    event_ref = fields.Char(string="Event ID", readonly=True)
    message = fields.Char(readonly=True, help="What was wrong, as it was answered to the sender.")
    payload = fields.Text(string="Received", readonly=True, help="The event as it was received.")
    other_payload = fields.Text(string="Stored", readonly=True, help="The event with this id that is counted.")
    occurrence_count = fields.Integer(string="Occurrences", readonly=True, default=1)
    first_seen = fields.Datetime(readonly=True, default=fields.Datetime.now, help="First occurrence (UTC).")
    last_seen = fields.Datetime(readonly=True, default=fields.Datetime.now, help="Latest occurrence (UTC).")
    held_event_count = fields.Integer(
        string="Held Events", compute="_compute_held_event_count", help="Events that wait for this to be settled."
    )
    owner_id = fields.Many2one("res.users", string="Responsible", tracking=True, index="btree_not_null")
    resolution = fields.Char(readonly=True, tracking=True, help="How the exception was settled.")
    resolved_by_id = fields.Many2one("res.users", readonly=True)
    resolved_date = fields.Datetime(string="Resolved On", readonly=True, help="When it was settled (UTC).")

    _open_uniq = models.UniqueIndex("(source_id, reason, digest) WHERE state = 'open'")
    _event_ref = models.Index("(source_id, event_ref) WHERE event_ref IS NOT NULL")

    @api.depends("reason", "account_id", "event_type", "event_ref")
    def _compute_summary(self):
        labels = dict(self._fields["reason"]._description_selection(self.env))
        for exception in self:
            subject = exception.account_id.display_name or exception.event_ref or exception.event_type
            exception.summary = f"{labels[exception.reason]}: {subject}" if subject else labels[exception.reason]

    def _search_summary(self, operator, value):
        return [
            "|",
            "|",
            ("account_id", operator, value),
            ("event_ref", operator, value),
            ("event_type", operator, value),
        ]

    def _compute_held_event_count(self):
        for exception in self:
            if exception.reason == "account_unmapped":
                exception.held_event_count = exception.account_id.event_count
            elif exception.reason == "account_inactive":
                exception.held_event_count = exception.account_id._held_counts().get(exception.account_id.id, 0)
            elif exception.reason == "meter_unknown":
                exception.held_event_count = self.env["usage.event"].search_count(
                    [("source_id", "=", exception.source_id.id), ("type", "=", exception.event_type)]
                )
            else:
                exception.held_event_count = 0

    # -- recording --------------------------------------------------------------------------

    @api.model
    def _record(self, rows):
        """Record occurrences; one that is open already is counted on it.

        :param rows: list of dicts with source_id, company_id, reason, digest, and where known
            account_id, batch_id, kind, event_type, event_ref, message, payload, other_payload
        """
        if not rows:
            return
        self.flush_model()
        unique = {(row["source_id"], row["reason"], row["digest"]): row for row in rows}
        counts = Counter((row["source_id"], row["reason"], row["digest"]) for row in rows)
        # In one order always, so that two batches never wait for one another.
        ordered = [{**unique[key], "occurrences": counts[key]} for key in sorted(unique)]
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_exception AS x (
                    source_id, company_id, reason, category, state, digest, account_id, batch_id, kind, event_type,
                    event_ref, message, payload, other_payload, occurrence_count, owner_id,
                    first_seen, last_seen, create_date, write_date, create_uid, write_uid)
                SELECT i.source_id, i.company_id, i.reason, i.category, 'open', i.digest, i.account_id, i.batch_id,
                    coalesce(i.kind, 'events'), i.event_type, i.event_ref, i.message, i.payload, i.other_payload,
                    i.occurrences, s.owner_id,
                    now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC',
                    now() AT TIME ZONE 'UTC', %(uid)s, %(uid)s
                FROM json_to_recordset(%(rows)s) AS i(source_id int, company_id int, reason text, category text,
                    digest text, account_id int, batch_id int, kind text, event_type text, event_ref text,
                    message text, payload text, other_payload text, occurrences int)
                JOIN usage_source s ON s.id = i.source_id
                ON CONFLICT (source_id, reason, digest) WHERE state = 'open' DO UPDATE
                SET occurrence_count = x.occurrence_count + excluded.occurrence_count, last_seen = excluded.last_seen
                """,
                uid=self.env.uid,
                rows=json.dumps([self._with_category(row) for row in ordered]),
            ),
            log_exceptions=False,  # payloads do not belong into the server's log
        )
        self.invalidate_model()

    @api.model
    def _record_refusal(self, sender, batch_id, refusal, address):
        """Have a person know that requests of a source are refused, in one exception while it lasts."""
        detail = address if refusal.code == "address_not_allowed" else None
        self._record(
            [
                {
                    "source_id": sender.source_id,
                    "company_id": sender.company_id,
                    "batch_id": batch_id,
                    "reason": refusal.code,
                    "digest": exception_digest(refusal.code, detail),
                    "message": f"{refusal.message} Sent from {detail}." if detail else refusal.message,
                }
            ]
        )

    @api.model
    def _resolve_quiet(self, before):
        """Settle refusals that ended by themselves: none since ``before`` (naive UTC)."""
        self.search(
            [("reason", "in", list(REFUSED_REASONS)), ("state", "=", "open"), ("last_seen", "<", before)]
        )._settle("resolved", self.env._("No request was refused for this since"))

    @api.model
    def _with_category(self, row):
        category = "business" if row["reason"] in BUSINESS_REASONS else "operational"
        return {**row, "category": category}

    @api.model
    def _raise_unmapped(self, account_ids):
        """Open exceptions for accounts without a customer, unless they are open already."""
        if not account_ids:
            return
        accounts = self.env["usage.account"].browse(account_ids)
        self._record(
            [
                {
                    "source_id": account.source_id.id,
                    "company_id": account.company_id.id,
                    "reason": "account_unmapped",
                    "digest": exception_digest(account.id),
                    "account_id": account.id,
                    "message": "The account is not assigned to a customer yet: its usage is held.",
                }
                for account in accounts
            ]
        )

    @api.model
    def _raise_inactive(self, account_ids, batch_id=None):
        """Open exceptions for usage at a time when its account belongs to nobody, or count them on.

        :param account_ids: the account's id for each occurrence
        """
        accounts = self.env["usage.account"].browse(account_ids)
        self._record(
            [
                {
                    "source_id": account.source_id.id,
                    "company_id": account.company_id.id,
                    "reason": "account_inactive",
                    "digest": exception_digest(account.id),
                    "account_id": account.id,
                    "batch_id": batch_id,
                    "message": "The account is not assigned to a customer at the time of this usage: it is held.",
                }
                for account in accounts
            ]
        )

    # -- settling ---------------------------------------------------------------------------

    def write(self, vals):
        if FACTS & vals.keys() and not is_unlocked(self.env):
            raise UserError(self.env._("What an exception says is never edited: use its buttons to settle it."))
        return super().write(vals)

    def _write_facts(self, vals):
        return unlocked(self).write(vals)

    def _settle(self, state, resolution):
        self._write_facts(
            {
                "state": state,
                "resolution": resolution,
                "resolved_by_id": self.env.uid,
                "resolved_date": fields.Datetime.now(),
            }
        )

    @api.model
    def _resolve_mapped(self, accounts):
        """Settle what waited for a customer of these accounts."""
        self._resolve_accounts(accounts, "account_unmapped")

    @api.model
    def _resolve_active(self, accounts):
        """Settle what waited for an assignment that covers all usage of these accounts."""
        self._resolve_accounts(accounts, "account_inactive")

    def _resolve_accounts(self, accounts, reason):
        domain = [("account_id", "in", accounts.ids), ("reason", "=", reason), ("state", "=", "open")]
        for customer, exceptions in self.search(domain).grouped(lambda x: x.account_id.partner_id).items():
            exceptions._settle("resolved", self.env._("Assigned to %s", customer.display_name))

    @api.model
    def _resolve_known_types(self, meters):
        for meter in meters.filtered("active"):
            self.search(
                [
                    ("company_id", "=", meter.company_id.id),
                    ("event_type", "in", meter._definitions().mapped("event_type")),
                    ("reason", "=", "meter_unknown"),
                    ("state", "=", "open"),
                ]
            )._settle("resolved", self.env._("Counted by meter %s", meter.name))

    @api.model
    def _resolve_recounted(self, digest):
        """Settle what an earlier recount found wrong: the present one says so again if it still is."""
        self.search([("digest", "=", digest), ("state", "=", "open")])._settle("resolved", self.env._("Counted again"))

    def action_ignore(self):
        """Close the exceptions without doing anything; what they hold stays held."""
        self._check_open()
        self._settle("ignored", self.env._("Ignored"))

    def action_reopen(self):
        """Open ignored exceptions again, unless the same came up anew meanwhile."""
        for exception in self.filtered(lambda x: x.state == "ignored"):
            exception._check_not_open_already()
            exception._write_facts(
                {"state": "open", "resolution": False, "resolved_by_id": False, "resolved_date": False}
            )

    def _check_not_open_already(self):
        domain = [(name, "=", self[name]) for name in ("reason", "digest")]
        if self.search_count([*domain, ("source_id", "=", self.source_id.id), ("state", "=", "open")], limit=1):
            raise UserError(self.env._("%s came up again and is open already: settle that exception.", self.summary))

    def action_keep_stored(self):
        """Settle conflicts in favour of the event that was stored first."""
        self._check_open()
        self.filtered(lambda x: x.reason == "conflict")._settle("resolved", self.env._("The stored event counts"))

    def action_map_account(self):
        """Open the dialog that assigns the exceptions' accounts to a customer."""
        if not self.account_id:
            raise UserError(self.env._("None of these waits for a customer: choose exceptions of accounts."))
        return self.account_id.action_map()

    def _replay(self):
        """One rejected event once more, after its cause was mended."""
        self.ensure_one()
        if len(self.payload) >= MAX_PAYLOAD:
            raise UserError(self.env._("Only a part of this event was kept: have the source send it again."))
        self.env.flush_all()
        events = parse(f'{{"events": [{self.payload}]}}'.encode(), PLAIN)
        # sudo: storing events is for the pipeline alone; whoever may write exceptions may replay them
        answer = self.env["usage.ingestion"].sudo()._ingest(self.source_id._as_sender(), events)
        self.env["usage.aggregate"]._wake_fold()
        if answer["rejected"] or answer["conflict"]:
            self.message_post(body=self.env._("Replayed: %s", answer["events"][0]["message"]))
        else:
            self._settle("resolved", self.env._("Replayed"))

    def _check_open(self):
        self.check_access("write")
        if any(exception.state != "open" for exception in self):
            raise UserError(self.env._("Only open exceptions can be settled: leave the others out."))

    def action_view_events(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_event")
        self.ensure_one()
        if self.account_id:
            domain = [("account_id", "=", self.account_id.id)]
        else:
            domain = [("source_id", "=", self.source_id.id), ("type", "=", self.event_type)]
        return {**action, "domain": domain, "context": {}}
