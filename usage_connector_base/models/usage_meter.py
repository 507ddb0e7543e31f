from datetime import datetime

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, ormcache

from ..guard import is_unlocked, unlocked
from .usage_meter_definition import DEFINITION
from .usage_meter_version import OPEN

# Of the meter itself: what decides which stored events it counts, beside its definition.
SCOPE = {"active", "company_id"}


class UsageMeter(models.Model):
    """What is counted, under one code for good; how it is counted says its version valid at an event's time.

    The definition on the meter itself is that of the version valid now. As long as nothing was counted it is
    changed here, and the first version follows; from then on a change is a version that a second administrator
    approves.
    """

    _name = "usage.meter"
    _description = "Usage Meter"
    _inherit = ["usage.meter.definition", "mail.thread"]
    _order = "name"

    name = fields.Char(required=True, translate=True, tracking=True)
    code = fields.Char(required=True, tracking=True, help="Short name in APIs and reports, unique in the company.")
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    filter_ids = fields.One2many(
        "usage.meter.filter",
        "meter_id",
        string="Filters",
        copy=True,
        help="Only events that fulfil all of these are counted.",
    )
    unit_name = fields.Char(
        string="Unit", required=True, default="unit", translate=True, help="What one is called, such as token."
    )
    active = fields.Boolean(default=True, tracking=True)
    version_ids = fields.One2many("usage.meter.version", "meter_id", string="Versions")
    version_count = fields.Integer(compute="_compute_version_count")
    waiting_version_id = fields.Many2one(
        "usage.meter.version",
        string="Change",
        compute="_compute_waiting_version_id",
        help="The version that is being prepared, or waits for a second administrator.",
    )
    is_counting = fields.Boolean(
        compute="_compute_is_counting",
        help="Something was counted: from then on a second administrator approves each change of what is counted.",
    )
    has_counted = fields.Boolean(
        readonly=True,
        copy=False,
        help="Something was counted before the meter was archived: its definition stays under approval.",
    )
    recount_pending = fields.Boolean(
        readonly=True,
        copy=False,
        help="The stored events are being counted again, because the meter is new or was changed.",
    )
    recount_from = fields.Datetime(
        readonly=True, copy=False, help="Hours from this one on (UTC) are being counted again; empty: all of them."
    )
    note = fields.Text(string="Notes")

    _code_uniq = models.Constraint(
        "UNIQUE(company_id, code)", "Another meter of this company has this code: choose another one."
    )

    def init(self):
        """Meters of a database from before there were versions count by their first one."""
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_meter_version (meter_id, company_id, number, state, event_type, aggregation,
                    value_path, dimensions, approved_date, create_uid, write_uid, create_date, write_date)
                SELECT id, company_id, 1, 'approved', event_type, aggregation, value_path, dimensions,
                    create_date, create_uid, write_uid, create_date, write_date
                FROM usage_meter m WHERE NOT EXISTS (SELECT 1 FROM usage_meter_version v WHERE v.meter_id = m.id)
                """
            )
        )

    def _compute_version_count(self):
        counts = dict(
            self.env["usage.meter.version"]._read_group([("meter_id", "in", self.ids)], ["meter_id"], ["__count"])
        )
        for meter in self:
            meter.version_count = counts.get(meter, 0)

    @api.depends("version_ids.state")
    def _compute_waiting_version_id(self):
        for meter in self:
            meter.waiting_version_id = meter.version_ids.filtered(lambda version: version.state in OPEN)

    def _compute_is_counting(self):
        # sudo: whether there is any, in whichever company
        aggregates = self.env["usage.aggregate"].sudo()
        for meter in self:
            meter.is_counting = bool(
                meter.has_counted
                or any(version.number > 1 for version in meter._definitions())
                or aggregates.search_count([("meter_id", "in", meter.ids)], limit=1)
            )

    # -- definition -------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        meters = super().create([{**vals, "has_counted": False} for vals in vals_list])
        for meter in meters:
            meter._create_first_version()
        meters._definition_changed()
        return meters

    def write(self, vals):
        self.check_access("write")
        defines = not is_unlocked(self.env) and not vals.keys().isdisjoint(DEFINITION)
        if defines:
            self._check_changeable()
        if not vals.keys().isdisjoint(SCOPE):
            self._check_scope(vals)
        if "has_counted" in vals and not is_unlocked(self.env):
            raise UserError(self.env._("Whether a meter has counted is found out, not entered."))
        res = super().write(vals)
        if defines:
            self._sync_first_version()
        if defines or not vals.keys().isdisjoint(SCOPE):
            self._definition_changed()
        return res

    def unlink(self):
        self.env.registry.clear_cache()
        unlocked(self.version_ids).unlink()
        return super().unlink()

    def _check_scope(self, vals):
        """What a meter counted belongs to its company, and puts its definition under approval for good."""
        counting = self.filtered("is_counting")
        if any(meter.company_id.id != vals.get("company_id", meter.company_id.id) for meter in counting):
            raise UserError(self.env._("%s counts already: create a meter for the other company.", counting[0].name))
        unlocked(counting).write({"has_counted": True})

    def _check_changeable(self):
        """Raise once something was counted, unless our own code shows what a version says."""
        for meter in self.filtered("is_counting") if not is_unlocked(self.env) else ():
            raise UserError(
                self.env._(
                    "%s has counted usage, which may be billed: choose Change on the meter to propose another "
                    "version, which a second administrator approves.",
                    meter.name,
                )
            )

    def _filters_changed(self):
        if not is_unlocked(self.env):
            self._sync_first_version()
            self._definition_changed()

    def _create_first_version(self):
        """The definition that a meter is created with: nothing was counted by it, so nobody need approve it."""
        values = {
            **self._definition_values(),
            "meter_id": self.id,
            "number": 1,
            "state": "approved",
            "prepared_by_id": self.env.uid,
            "approved_by_id": self.env.uid,
            "approved_date": fields.Datetime.now(),
        }
        unlocked(self.env["usage.meter.version"]).create(values)

    def _sync_first_version(self):
        """Let the only version of meters that have not counted yet say what the meters say."""
        for meter in self:
            for version in meter._definitions():
                unlocked(version).write(meter._definition_values())

    def _show_version(self):
        """Let the meters show the definition that is valid now."""
        for meter in self:
            version = meter._version_at(fields.Datetime.now())
            if version and version._differences(meter):
                unlocked(meter).write(version._definition_values())

    def _definition_changed(self, since=None):
        """Forget what ingestion knows of the meters and have the stored events counted again.

        :param datetime since: naive UTC, on the hour: earlier hours stay as they are; None: all are counted
        """
        self.env.registry.clear_cache()
        for meter in self:
            if meter.recount_pending:  # together with what waits already
                earliest = since and meter.recount_from and min(since, meter.recount_from)
            else:
                earliest = since
            meter.write({"recount_pending": True, "recount_from": earliest})
        self.env["usage.exception"]._resolve_known_types(self)
        self.env["usage.aggregate"]._wake_fold()

    # -- reading ----------------------------------------------------------------------------

    def _definitions(self):
        """The versions that count: approved ones of a meter, in the order of their validity."""
        self.ensure_one()
        # sudo: what counts does not depend on who asks
        versions = self.sudo().version_ids.filtered(lambda version: version.state == "approved")
        return versions.sorted(lambda version: (version.valid_from or datetime.min, version.number))

    def _version_at(self, moment):
        """The version by which an event of this moment (naive UTC) is counted; empty when there is none."""
        valid = self._definitions().filtered(lambda version: (version.valid_from or datetime.min) <= moment)
        return valid[-1:]

    @api.model
    @ormcache("company_id", "event_type")
    def _specs(self, company_id, event_type):
        """What ingestion must know of the meters that count an event type.

        :return: tuple of :class:`MeterSpec`, empty when nothing counts this type yet; a meter whose versions
            all count it has one of each
        """
        # sudo: the API user reads no meters; nothing of them but this is used
        versions = self.env["usage.meter.version"].sudo()
        domain = [("company_id", "=", company_id), ("event_type", "=", event_type)]
        return tuple(version._spec() for version in versions._counting(domain))

    @api.model
    def _of_event(self, company_id, event_type, time):
        """The meters whose version valid at ``time`` (naive UTC) counts events of a type."""
        domain = [("company_id", "=", company_id), ("event_type", "=", event_type)]
        versions = self.env["usage.meter.version"]._counting(domain)
        return versions.filtered(lambda version: version.meter_id._version_at(time) == version).meter_id

    def action_change(self):
        """Open the proposal that waits, or a new one that says what the meter counts now."""
        self.ensure_one()
        version = self.waiting_version_id or self.version_ids._propose(self._version_at(fields.Datetime.now()))
        return version._action_form()

    def action_try(self):
        """Open the dialog that shows what pasted events would count."""
        self.ensure_one()
        return self._action_try()

    def _action_try(self, version=None):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Try %s", self.name),
            "res_model": "usage.meter.try",
            "view_mode": "form",
            "target": "new",
            "context": {
                "default_meter_id": self.id,
                "default_version_id": version and version.id,
                "dialog_size": "extra-large",
            },
        }

    @api.model
    def _cron_show_versions(self):
        """Let the meters show the versions that became valid meanwhile."""
        self.search([("version_ids.valid_from", "!=", False)])._show_version()

    def action_view_usage(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        return {**action, "domain": [("meter_id", "in", self.ids)], "context": {}}
