from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Command

WITH_VALUES = ("in", "not_in")


class UsageMeterFilter(models.Model):
    """One condition on an event's data: a meter counts the events that fulfil all of its own."""

    _name = "usage.meter.filter"
    _description = "Filter of a Usage Meter"
    _order = "sequence, id"
    _rec_name = "path"

    # Of a version, or of the meter itself, which shows the version that is valid now.
    meter_id = fields.Many2one("usage.meter", index="btree_not_null", ondelete="cascade")
    version_id = fields.Many2one("usage.meter.version", index="btree_not_null", ondelete="cascade")
    company_id = fields.Many2one("res.company", compute="_compute_company_id", store=True, index=True)
    sequence = fields.Integer(default=10)
    path = fields.Char(
        required=True,
        help="Where in the event's data to look: a name, or names joined by points, such as request.status.",
    )
    operator = fields.Selection(
        [
            ("in", "is one of"),
            ("not_in", "is none of"),
            ("set", "is there"),
            ("not_set", "is not there"),
        ],
        required=True,
        default="in",
        help="Is one of: only events whose value is listed count.\n"
        "Is none of: events whose value is listed do not count; those without a value do.\n"
        "Is there, is not there: whether the data has a value, whatever it is. null is none.",
    )
    value_list = fields.Char(
        string="Values",
        help="Texts, numbers, true or false, joined by commas: large, small. They are compared exactly, as "
        "they are written in JSON: 1 and 1.0 are both written 1.",
    )

    _one_holder = models.Constraint(
        "CHECK ((meter_id IS NULL) <> (version_id IS NULL))", "A filter belongs to a version of a meter."
    )

    @api.depends("meter_id.company_id", "version_id.company_id")
    def _compute_company_id(self):
        for line in self:
            line.company_id = line._holder().company_id

    def _holder(self):
        """The version or the meter whose filter this is."""
        return self.version_id or self.meter_id

    def _value_texts(self):
        self.ensure_one()
        if self.operator not in WITH_VALUES:
            return []
        return [text.strip() for text in (self.value_list or "").split(",") if text.strip()]

    @api.depends("path", "operator", "value_list")
    def _compute_display_name(self):
        labels = dict(self._fields["operator"]._description_selection(self.env))
        for line in self:
            parts = [line.path, labels.get(line.operator), ", ".join(line._value_texts())]
            line.display_name = " ".join(part for part in parts if part)

    @api.constrains("path", "operator", "value_list")
    def _check_filter(self):
        for line in self:
            self.env["usage.meter.definition"]._check_path(line.path)
            if line.operator in WITH_VALUES and not line._value_texts():
                raise ValidationError(self.env._("Filter on %s: list the values, joined by commas.", line.path))

    def _as_commands(self):
        """Commands that give another record filters of the same content, in place of those it has."""
        return [Command.clear()] + [
            Command.create(
                {
                    "sequence": line.sequence,
                    "path": line.path,
                    "operator": line.operator,
                    "value_list": line.value_list,
                }
            )
            for line in self
        ]

    # A filter is a part of its definition, and changes by the same rules.

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        for holders in lines._holders():
            holders._check_changeable()
            holders._filters_changed()
        return lines

    def write(self, vals):
        for holders in self._holders():
            holders._check_changeable()
        res = super().write(vals)
        for holders in self._holders():
            holders._check_changeable()
            holders._filters_changed()
        return res

    def unlink(self):
        all_holders = self._holders()
        for holders in all_holders:
            holders._check_changeable()
        res = super().unlink()
        for holders in all_holders:
            holders._filters_changed()
        return res

    def _holders(self):
        return self.version_id, self.meter_id
