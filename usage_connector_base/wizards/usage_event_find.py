from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ..ingestion.facts import MAX_IDENTIFIER, event_key
from ..ingestion.summaries import summary_key
from ..models.usage_exception import exception_digest

_STEP = Markup("<li>{}</li>")
_STORY = Markup("<ol>{}</ol>")


class UsageEventFind(models.TransientModel):
    """What became of an event, in plain words, with the next step one button away."""

    _name = "usage.event.find"
    _description = "Find a Usage Event"

    event_ref = fields.Char(string="Event ID", help="The id that the sender gave the event, as it was sent.")
    source_id = fields.Many2one(
        "usage.source",
        compute="_compute_source_id",
        store=True,
        readonly=False,
        help="Ids are unique in a source: choose one when several know this id.",
    )
    known_source_ids = fields.Many2many("usage.source", compute="_compute_known_source_ids")
    state = fields.Selection(
        [
            ("unknown", "Not Received"),
            ("counted", "Counted"),
            ("waiting", "Being Counted"),
            ("held", "In Quarantine"),
            ("rejected", "Not Counted"),
            ("voided", "Voided"),
            ("deleted", "Deleted"),
        ],
        compute="_compute_story",
        help="What became of the event.",
    )
    story = fields.Html(compute="_compute_story", sanitize=False)
    event_id = fields.Many2one("usage.event", compute="_compute_story")
    account_id = fields.Many2one("usage.account", compute="_compute_story")
    batch_id = fields.Many2one("usage.batch", string="Request", compute="_compute_story")
    exception_id = fields.Many2one("usage.exception", compute="_compute_story")
    needs_customer = fields.Boolean(compute="_compute_story")

    @api.depends("event_ref")
    def _compute_known_source_ids(self):
        for wizard in self:
            wizard.known_source_ids = wizard._sources_with((wizard.event_ref or "").strip())

    @api.depends("known_source_ids")
    def _compute_source_id(self):
        for wizard in self:
            wizard.source_id = wizard.known_source_ids[:1]

    def _sources_with(self, event_ref):
        """The sources, among those that the person may see, that sent an event with this id."""
        sources = self.env["usage.source"].search([("company_id", "in", self.env.companies.ids)])
        if not event_ref:
            return sources.browse()
        keys = {str(key(source.id, event_ref)): source.id for source in sources for key in (event_key, summary_key)}
        query = SQL("SELECT replace(key::text, '-', '') FROM usage_event_key WHERE key = ANY(%s::uuid[])", list(keys))
        ids = {keys[key] for [key] in self.env.execute_query(query)}
        rejected = self.env["usage.exception"].search(
            [("source_id", "in", sources.ids), ("event_ref", "=", event_ref[:MAX_IDENTIFIER])]
        )
        return sources.filtered(lambda source: source.id in ids or source in rejected.source_id)

    @api.depends("event_ref", "source_id")
    @api.depends_context("lang", "tz")
    def _compute_story(self):
        for wizard in self:
            event_ref, source = (wizard.event_ref or "").strip(), wizard.source_id._origin
            answer = source and self.env["usage.query"]._event(source._as_sender(), event_ref)
            wizard.update(wizard._found(source, event_ref, answer) if answer else wizard._nothing(event_ref))

    def _nothing(self, event_ref):
        empty = dict.fromkeys(("event_id", "account_id", "batch_id", "exception_id", "needs_customer"), False)
        if not event_ref:
            return {**empty, "state": False, "story": False}
        text = self.env._(
            "No source that you may see has sent an event with this id. Ids are told apart by upper and lower case. "
            "When the sender says that it was sent, look for its request: a request refused as a whole holds no events."
        )
        return {**empty, "state": "unknown", "story": Markup("<p>%s</p>") % text}

    def _found(self, source, event_ref, answer):
        stored = self.env["usage.query"]._stored(source._as_sender(), event_ref) or {}
        account = self.env["usage.account"].browse(stored.get("account_id"))
        exception = self._exception(source, event_ref, stored)
        steps = [
            *self._how_it_came(source, stored),
            *map(self._corrected, answer.get("corrections", ())),
            *self._what_became(answer, account),
            *self._open_question(exception),
        ]
        return {
            "state": answer["state"],
            "story": _STORY.format(Markup().join(map(_STEP.format, steps))),
            "event_id": stored.get("id"),
            "account_id": account,
            "batch_id": stored.get("batch_id") or exception.batch_id,
            "exception_id": exception,
            "needs_customer": bool(account) and not account.partner_id,
        }

    def _exception(self, source, event_ref, stored):
        """The exception to look at: an open one of the event, or one that holds it, or its latest."""
        own = [("source_id", "=", source.id), ("event_ref", "=", event_ref[:MAX_IDENTIFIER])]
        digests = [exception_digest(stored.get("account_id")), exception_digest(stored.get("type"))]
        holding = [("source_id", "=", source.id), ("digest", "in", digests), ("state", "=", "open")]
        exceptions = self.env["usage.exception"]
        return (
            exceptions.search([*own, ("state", "=", "open")], limit=1)
            or (stored and exceptions.search(holding, limit=1))
            or exceptions.search(own, limit=1)
        )

    # -- words ------------------------------------------------------------------------------

    def _how_it_came(self, source, stored):
        if not stored.get("id"):
            return [self.env._("%s sent it.", source.name)]
        return [
            self.env._(
                "%(sender)s sent it; it arrived on %(received)s with request %(batch)s.",
                sender=source.name,
                received=format_datetime(self.env, stored["received_at"]),
                batch=stored["batch_id"],
            )
        ]

    def _what_became(self, answer, account):
        state, message = answer["state"], answer.get("message", "")
        customer = account.partner_id.display_name
        if state == "rejected":
            return [self.env._("It does not count: %s", message)]
        if state == "deleted":
            return [self.env._("It was counted; its retention has ended, and its data are deleted.")]
        if state == "held":
            return [self.env._("It is stored and counts for nobody yet: %s", self._why_held(answer, account))]
        if state == "waiting":
            return [self.env._("It is stored for %s, and is being counted: this takes some seconds.", customer)]
        if state == "counted":
            return [self.env._("It counts for %s", customer), *map(self._count, answer["meters"])]
        return [self.env._("It no longer counts: it was voided.")]

    def _corrected(self, correction):
        if correction["action"] == "void":
            return self.env._("A correction voided it: %s", correction["reason"])
        return self.env._("A correction amended it: %s", correction["reason"])

    def _why_held(self, answer, account):
        if answer.get("code") == "meter_unknown":
            return self.env._("no meter counts events of type %s.", answer["type"])
        if account.partner_id:
            return self.env._("account %s had no customer at that time.", account.display_name)
        return self.env._("account %s has no customer.", account.display_name)

    def _count(self, counted):
        if counted["quantity"] is None:
            return self.env._("Meter %s finds no number in it that counts.", counted["meter"])
        hour = fields.Datetime.to_datetime(counted["hour"].replace("T", " ").rstrip("Z"))
        return self.env._(
            "Meter %(meter)s counts %(quantity)s %(unit)s in the hour from %(hour)s.",
            meter=counted["meter"],
            quantity=counted["quantity"],
            unit=counted["unit"],
            hour=format_datetime(self.env, hour, dt_format="short"),
        )

    def _open_question(self, exception):
        if not exception:
            return []
        if exception.state == "open":
            return [self.env._("Next: %s", exception.advice or exception.message or exception.summary)]
        return [self.env._("%(summary)s: settled (%(how)s).", summary=exception.summary, how=exception.resolution)]

    # -- next steps -------------------------------------------------------------------------

    def action_find(self):
        """Look again: something may have become of it meanwhile."""
        return self._again()

    def _again(self):
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Find an Event"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }

    def action_open_exception(self):
        return self._open(self.exception_id)

    def action_open_event(self):
        return self._open(self.event_id)

    def action_open_account(self):
        return self._open(self.account_id)

    def action_open_batch(self):
        return self._open(self.batch_id)

    def action_map_account(self):
        """Assign the account to a customer: what is held counts from that moment."""
        return self.account_id.action_map()

    def action_view_hours(self):
        """The hours of the account in which the event was counted."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        hour = self.event_id.time.replace(minute=0, second=0, microsecond=0)
        domain = [("account_id", "=", self.account_id.id), ("hour", "=", hour)]
        return {**action, "domain": domain, "context": {}}

    def _open(self, record):
        return {
            "type": "ir.actions.act_window",
            "res_model": record._name,
            "res_id": record.id,
            "views": [(False, "form")],
        }
