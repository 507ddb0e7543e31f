from datetime import datetime, timedelta

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_datetime

from ..guard import is_unlocked, unlocked
from ..ingestion.facts import Condition, MeterSpec
from .usage_meter_definition import DEFINITION

# Written by the buttons alone, see ``guard``.
APPROVAL = {
    *("meter_id", "number", "state", "prepared_by_id", "approved_by_id", "approved_date"),
    *("compared_to_id", "effect", "effect_date"),
}
# What is approved. An approved version says it for good.
TERMS = {*DEFINITION, "valid_from", "replaces_later", "reason"}
OPEN = ("draft", "to_approve")
ACTIVITY = "usage_connector_base.mail_activity_type_meter_change"


class UsageMeterVersion(models.Model):
    """One definition of a meter, and from when it counts: an event is counted by the version valid at its time."""

    _name = "usage.meter.version"
    _description = "Version of a Usage Meter"
    _inherit = ["usage.meter.definition", "mail.thread", "mail.activity.mixin"]
    _order = "meter_id, number desc"

    meter_id = fields.Many2one("usage.meter", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="meter_id.company_id", store=True, index=True)
    number = fields.Integer(string="Version", required=True, readonly=True, aggregator=None)
    state = fields.Selection(
        [
            ("draft", "Draft"),
            ("to_approve", "Awaiting Approval"),
            ("approved", "Approved"),
            ("superseded", "Replaced"),
            ("rejected", "Rejected"),
            ("withdrawn", "Withdrawn"),
        ],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Only approved versions count. A replaced one was approved, and another one counts in its time now.",
    )
    filter_ids = fields.One2many(
        "usage.meter.filter",
        "version_id",
        string="Filters",
        copy=True,
        help="Only events that fulfil all of these are counted.",
    )
    valid_from = fields.Datetime(
        tracking=True,
        help="Events from this hour on are counted by this version, whenever they arrive. Empty: from the beginning.",
    )
    valid_to = fields.Datetime(
        string="Valid Until", compute="_compute_valid_to", help="When the next approved version takes over."
    )
    replaces_later = fields.Boolean(
        string="Replace Later Versions",
        tracking=True,
        help="Approved versions that begin at the same time or later no longer count: this one does instead.",
    )
    reason = fields.Text(help="Why the meter is changed: for the administrator who approves, and for the auditor.")
    prepared_by_id = fields.Many2one(
        "res.users", readonly=True, copy=False, help="Who changed the version last, and so cannot approve it."
    )
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False)
    approved_date = fields.Datetime(string="Approved On", readonly=True, copy=False)

    _number_uniq = models.Constraint("UNIQUE(meter_id, number)", "Versions of a meter are numbered one by one.")
    _one_open = models.UniqueIndex(
        "(meter_id) WHERE state IN ('draft', 'to_approve')", "Another version of this meter waits already."
    )
    _on_the_hour = models.Constraint(
        "CHECK (valid_from = date_trunc('hour', valid_from))", "A version begins on the hour (UTC)."
    )

    @api.depends("meter_id.name", "number")
    def _compute_display_name(self):
        for version in self:
            version.display_name = self.env._(
                "%(meter)s, version %(number)s", meter=version.meter_id.name, number=version.number
            )

    @api.depends("state", "valid_from", "meter_id.version_ids.state", "meter_id.version_ids.valid_from")
    def _compute_valid_to(self):
        for version in self:
            later = version.meter_id._definitions().filtered(
                lambda other, begin=version.valid_from: other.valid_from and (not begin or other.valid_from > begin)
            )
            version.valid_to = version.state == "approved" and later[:1].valid_from

    @api.constrains("valid_from")
    def _check_on_the_hour(self):
        for version in self:
            begin = version.valid_from
            if begin and begin != begin.replace(minute=0, second=0, microsecond=0):
                raise ValidationError(
                    self.env._("%s: a version begins on the hour (UTC), such as 14:00.", version.display_name)
                )

    # -- guard ------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        if not is_unlocked(self.env):
            raise UserError(self.env._("Choose Change on a meter to propose another version of it."))
        return super().create(vals_list)

    def write(self, vals):
        if is_unlocked(self.env):
            return super().write(vals)
        if not vals.keys().isdisjoint(APPROVAL):
            raise UserError(self.env._("Use the buttons of the version to have it approved."))
        if vals.keys().isdisjoint(TERMS):
            return super().write(vals)
        self._check_changeable()
        return super(UsageMeterVersion, unlocked(self)).write({**vals, "prepared_by_id": self.env.uid})

    @api.ondelete(at_uninstall=False)
    def _unlink_guarded(self):
        if not is_unlocked(self.env):
            raise UserError(self.env._("Versions of a meter stay: withdraw one that is not to be approved."))

    def _check_changeable(self):
        if is_unlocked(self.env):
            return
        for version in self:
            if version.state != "draft":
                raise UserError(
                    self.env._(
                        "%s is no draft any more and stays as it is: propose another version.", version.display_name
                    )
                )

    def _filters_changed(self):
        """Who changes a filter of a draft has prepared it."""
        if not is_unlocked(self.env):
            self._write_facts({"prepared_by_id": self.env.uid})

    # -- approval ---------------------------------------------------------------------------

    @api.model
    def _propose(self, definition):
        """A draft that says the same as a definition, for the current user to change.

        :param definition: a ``usage.meter.version``
        :return: the draft
        """
        self._check_administrator()
        meter = definition.meter_id
        meter.check_access("write")
        for version in meter.version_ids.filtered(lambda version: version.state in OPEN):
            raise UserError(
                self.env._("%s waits already: have it approved, or withdraw it first.", version.display_name)
            )
        self.flush_model(["state"])  # an index allows one that waits
        return (
            unlocked(self)
            .create(
                {
                    **definition._definition_values(),
                    "meter_id": meter.id,
                    "number": max(meter.version_ids.mapped("number")) + 1,
                    "valid_from": fields.Datetime.now().replace(minute=0, second=0) + timedelta(hours=1),
                    "prepared_by_id": self.env.uid,
                }
            )
            .with_env(self.env)
        )

    def action_propose_copy(self):
        """Propose what this version says once more, such as to go back to it."""
        self.ensure_one()
        draft = self._propose(self)
        return draft._action_form()

    def action_submit(self):
        """Ask for approval; from then on the version stays as it is."""
        self._check_administrator()
        for version in self._in_state("draft"):
            if not version._changes():
                raise UserError(self.env._("%s changes nothing: say what to count.", version.display_name))
            version._check_later()
            version.action_compute_effect()
            version._write_facts({"state": "to_approve", "prepared_by_id": self.env.uid})
            version._notify_administrators()

    def action_approve(self):
        """Let the versions count: by an administrator other than the one who prepared them."""
        self._check_administrator()
        for version in self._in_state("to_approve"):
            if version.prepared_by_id == self.env.user:
                raise UserError(
                    self.env._("You prepared %s: a second administrator approves it.", version.display_name)
                )
            version._check_later()
            version._later()._write_facts({"state": "superseded"})
            version._settle(
                {"state": "approved", "approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()}
            )
            version._take_effect()

    def _take_effect(self):
        """Let the meter count by the version, from its time on."""
        meter, begin = self.meter_id, self.valid_from or None
        meter._show_version()
        meter._definition_changed(begin)
        if begin and begin > fields.Datetime.now():
            # sudo: administrators of usage need not administer scheduled jobs
            self.env.ref("usage_connector_base.cron_meter_version").sudo()._trigger(at=begin)
        meter.message_post(
            body=Markup("<p>{}</p>{}").format(
                self.env._(
                    "Version %(number)s approved, prepared by %(preparer)s. It counts events %(since)s.",
                    number=self.number,
                    preparer=self.prepared_by_id.name,
                    since=self._since(),
                ),
                self.difference or "",
            )
        )

    def _since(self):
        """From when the version counts, in words."""
        if not self.valid_from:
            return self.env._("of all times")
        return self.env._("since %s", format_datetime(self.env, self.valid_from))

    def action_withdraw(self):
        """Take versions back that were not approved yet."""
        self._check_administrator()
        self._in_state(*OPEN)._settle({"state": "withdrawn"})

    def _reject(self, reason):
        """Refuse versions that wait for approval.

        :param str reason: told to whoever prepared them
        """
        self._check_administrator()
        versions = self._in_state("to_approve")
        versions._settle({"state": "rejected"})
        for version in versions:
            version.message_post(
                body=self.env._("Rejected: %s", reason), partner_ids=version.prepared_by_id.partner_id.ids
            )

    def action_reject(self):
        """Ask why the version is rejected."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Reject %s", self.display_name),
            "res_model": "usage.meter.reject",
            "view_mode": "form",
            "target": "new",
            "context": {"default_version_id": self.id},
        }

    def action_try(self):
        """Open the dialog that shows what pasted events would count by this version."""
        self.ensure_one()
        return self.meter_id._action_try(self)

    def _settle(self, values):
        self._write_facts(values)
        self.activity_unlink([ACTIVITY])

    def _write_facts(self, values):
        unlocked(self).write(values)

    def _in_state(self, *states):
        """The records themselves; raises ``UserError`` when one is in none of the states."""
        for version in self:
            version.check_access("write")
            if version.state not in states:
                labels = dict(self._fields["state"]._description_selection(self.env))
                raise UserError(
                    self.env._(
                        "%(version)s is not to be decided: its state is %(state)s.",
                        version=version.display_name,
                        state=labels[version.state],
                    )
                )
        return self

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator may do this."))

    def _check_later(self):
        """Raise when another approved version begins with this one or after it, and shall stay."""
        later = self._later()
        if later and not self.replaces_later:
            raise UserError(
                self.env._(
                    "%(later)s begins at the same time or later: choose another time, or Replace Later Versions.",
                    later=later[0].display_name,
                )
            )

    def _later(self):
        """The approved versions that begin with this one or after it."""
        begin = self.valid_from or datetime.min
        return (self.meter_id._definitions() - self).filtered(lambda other: (other.valid_from or datetime.min) >= begin)

    def _replaced(self):
        """The version that counts at the time when this one begins; none when it begins before all others."""
        return self.meter_id._version_at(self.valid_from or datetime.min) - self

    def _changes(self):
        """Whether anything would be counted otherwise."""
        before = self._replaced()
        return not before or bool(self._differences(before)) or self.replaces_later and len(self._later() | before) > 1

    def _notify_administrators(self):
        """An activity for each other administrator of the company: a decision waits."""
        group = self.env.ref("usage_connector_base.group_usage_admin")
        for version in self:
            people = group.all_user_ids.filtered(
                lambda user, company=version.company_id: company in user.company_ids and not user.share
            )
            for person in people - version.prepared_by_id:
                version.activity_schedule(
                    ACTIVITY,
                    user_id=person.id,
                    summary=self.env._("Approve a change of meter %s", version.meter_id.name),
                )

    def _action_form(self):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Change of %s", self.meter_id.name),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "views": [(False, "form")],
        }

    # -- reading ----------------------------------------------------------------------------

    def _period(self):
        """When an approved version counts: [from, to) as naive UTC, None where it is open."""
        self.ensure_one()
        return self.valid_from or None, self.valid_to or None

    @api.model
    def _counting(self, domain=Domain.TRUE):
        """The approved versions of active meters under ``domain``."""
        return self.search(
            Domain(domain) & Domain("state", "=", "approved") & Domain("meter_id.active", "=", True),
            order="meter_id, valid_from",
        )

    def _spec(self):
        """What ingestion must know of this version."""
        period, filters = self._period(), self._filters()
        return MeterSpec(
            self.meter_id.code,
            tuple(self._value_names()),
            tuple(tuple(name.split(".")) for name in self._dimension_names()),
            self.aggregation != "unique_count",
            Condition(*period, filters) if any(period) or filters else None,
            self._schema(),
        )

    def _differences(self, other):
        """Names of the fields in which two definitions differ."""
        mine, others = self._definition_values(), other._definition_values()
        return [name for name in DEFINITION if mine[name] != others[name]]
