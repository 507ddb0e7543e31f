import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import ormcache

from ..ingestion.facts import MeterSpec

PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
# What decides what a stored event counts: changing it counts the stored events again.
DEFINITION_FIELDS = {"event_type", "aggregation", "value_path", "dimensions", "active", "company_id"}


class UsageMeter(models.Model):
    _name = "usage.meter"
    _description = "Usage Meter"
    _inherit = ["mail.thread"]
    _order = "name"

    name = fields.Char(required=True, translate=True, tracking=True)
    code = fields.Char(required=True, tracking=True, help="Short name in APIs and reports, unique in the company.")
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    event_type = fields.Char(
        required=True,
        index=True,
        tracking=True,
        help="Events with this type are counted. Several meters may count the same events.",
    )
    aggregation = fields.Selection(
        [("count", "Count of events"), ("sum", "Sum of a value")],
        required=True,
        default="count",
        tracking=True,
        help="How events become a quantity.",
    )
    value_path = fields.Char(
        tracking=True,
        help="Where in the event's data the value to sum stands: a name, or names joined by points, "
        "such as tokens.input.",
    )
    dimensions = fields.Char(
        tracking=True,
        help="Names in the event's data to keep quantities apart by, joined by commas, such as model, region.",
    )
    unit_name = fields.Char(
        string="Unit", required=True, default="unit", translate=True, help="What one is called, such as token."
    )
    active = fields.Boolean(default=True, tracking=True)
    recount_pending = fields.Boolean(
        readonly=True,
        copy=False,
        help="The stored events are being counted again, because the meter is new or was changed.",
    )
    note = fields.Text(string="Notes")

    _code_uniq = models.Constraint(
        "UNIQUE(company_id, code)", "Another meter of this company has this code: choose another one."
    )

    @api.constrains("aggregation", "value_path", "dimensions")
    def _check_paths(self):
        for meter in self:
            if meter.aggregation == "sum" and not meter.value_path:
                raise ValidationError(self.env._("%s sums a value: say where it stands in the data.", meter.name))
            for path in [meter.value_path or "value", *meter._dimension_names()]:
                if not PATH.fullmatch(path):
                    raise ValidationError(
                        self.env._(
                            "%(path)s is no path: use names of letters, digits, _ and -, joined by points.",
                            path=path,
                        )
                    )

    def _dimension_names(self):
        self.ensure_one()
        return [name.strip() for name in (self.dimensions or "").split(",") if name.strip()]

    def _value_names(self):
        """Names from the data down to the value, empty when events are counted."""
        return self.value_path.split(".") if self.aggregation == "sum" else []

    @api.model_create_multi
    def create(self, vals_list):
        meters = super().create(vals_list)
        meters._definition_changed()
        return meters

    def write(self, vals):
        res = super().write(vals)
        if DEFINITION_FIELDS & vals.keys():
            self._definition_changed()
        return res

    def unlink(self):
        self.env.registry.clear_cache()
        return super().unlink()

    def _definition_changed(self):
        """Forget what ingestion knows of the meters and have the stored events counted again."""
        self.env.registry.clear_cache()
        self.recount_pending = True
        self.env["usage.exception"]._resolve_known_types(self)
        self.env["usage.aggregate"]._wake_fold()

    @api.model
    @ormcache("company_id", "event_type")
    def _specs(self, company_id, event_type):
        """What ingestion must know of the meters that count an event type.

        :return: tuple of :class:`MeterSpec`, empty when nothing counts this type yet
        """
        # sudo: the API user reads no meters; nothing of them but this is used
        meters = self.sudo().search([("company_id", "=", company_id), ("event_type", "=", event_type)])
        return tuple(
            MeterSpec(
                meter.code,
                tuple(meter._value_names()),
                tuple(tuple(name.split(".")) for name in meter._dimension_names()),
            )
            for meter in meters
        )

    def action_view_usage(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        return {**action, "domain": [("meter_id", "in", self.ids)], "context": {}}
