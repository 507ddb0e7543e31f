import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from ..ingestion.facts import MAX_DECIMALS, Filter
from ..ingestion.schemas import BadSchema, read_schema

PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
AGGREGATIONS = [
    ("count", "Count of events"),
    ("sum", "Sum of a value"),
    ("min", "Lowest value"),
    ("max", "Highest value"),
    ("average", "Average of a value"),
    ("latest", "Latest value"),
    ("unique_count", "Count of different values"),
    ("time_weighted", "Level over time (value × hours)"),
]
WITHOUT_NUMBER = ("count", "unique_count")  # aggregations that read no number, and so convert none
# What a version says, and the meter shows of the version that is valid now.
DEFINITION = (
    *("event_type", "aggregation", "value_path", "dimensions", "filter_ids", "payload_schema"),
    *("convert_from_id", "convert_to_id", "rounding_step", "rounding_method"),
)


class UsageMeterDefinition(models.AbstractModel):
    """What a meter counts: of a version, and of the meter itself, which shows the version valid now."""

    _name = "usage.meter.definition"
    _description = "Definition of a Usage Meter"

    event_type = fields.Char(
        required=True,
        index=True,
        tracking=True,
        help="Events with this type are counted. Several meters may count the same events.",
    )
    aggregation = fields.Selection(
        AGGREGATIONS,
        required=True,
        default="count",
        tracking=True,
        help="How the events of an account become a quantity.\n"
        "Count of events: how many there were, such as requests.\n"
        "Sum of a value: the values added up, such as tokens.\n"
        "Lowest, highest, average: of the values that were sent.\n"
        "Latest value: the one with the latest time, such as the seats in use at the end.\n"
        "Count of different values: how many different ones there were, such as active users.\n"
        "Level over time: each value holds until the next one and counts by the hours that it held, "
        "such as gigabytes stored (gigabyte-hours).",
    )
    value_path = fields.Char(
        tracking=True,
        help="Where in the event's data the value stands: a name, or names joined by points, such as tokens.input.",
    )
    dimensions = fields.Char(
        tracking=True,
        help="Names in the event's data to keep quantities apart by, joined by commas, such as model, region.",
    )
    convert_from_id = fields.Many2one(
        "uom.uom",
        string="Sent In",
        ondelete="restrict",
        tracking=True,
        help="Unit in which the product sends the value. Empty: the value counts as it was sent.",
    )
    convert_to_id = fields.Many2one(
        "uom.uom",
        string="Counted In",
        ondelete="restrict",
        tracking=True,
        help="Unit in which the value is counted. Both units need the same reference unit.",
    )
    conversion_factor = fields.Char(
        compute="_compute_conversion_factor",
        store=True,
        help="What one unit as sent is in the unit counted, exactly. It stays as it is when the units are "
        "changed later: propose a change of the meter to use the new ones.",
    )
    rounding_step = fields.Char(
        string="Rounded To",
        tracking=True,
        help="Each event's value is rounded to a multiple of this, such as 1 or 0.01. Empty: it is not rounded.",
    )
    rounding_method = fields.Selection(
        [("up", "Up"), ("down", "Down"), ("half_up", "To the nearest, halves up")],
        string="Rounded",
        tracking=True,
        help="Which multiple is taken when the value lies between two.",
    )
    payload_schema = fields.Text(
        string="JSON Schema",
        help="What the data of an event must look like to be taken, as JSON Schema (draft 2020-12). "
        "Empty: only the value and the dimensions are checked.",
    )

    @api.depends("convert_from_id", "convert_to_id")
    def _compute_conversion_factor(self):
        for definition in self:
            sent, counted = definition.convert_from_id, definition.convert_to_id
            factor = sent and counted and self._factor(sent) / self._factor(counted)
            definition.conversion_factor = str(factor) if factor else False

    @api.model
    def _factor(self, unit):
        """How many of its reference unit a unit is, as an exact Fraction: Odoo's own factor is a float."""
        chain = self._chain(unit)
        unit.flush_model(["relative_factor"])
        query = SQL("SELECT relative_factor::text FROM uom_uom WHERE id = ANY(%s)", chain.ids)
        factor = Fraction(1)
        for [text] in self.env.execute_query(query):
            factor *= Fraction(text)
        return factor

    @api.model
    def _chain(self, unit):
        """A unit with those that it is defined by, the reference unit last."""
        chain = unit
        while chain[-1].relative_uom_id:
            chain += chain[-1].relative_uom_id
        return chain

    # -- checks -----------------------------------------------------------------------------

    @api.constrains("aggregation", "value_path", "dimensions")
    def _check_paths(self):
        for definition in self:
            if definition.aggregation != "count" and not definition.value_path:
                raise ValidationError(
                    self.env._("%s reads a value: say where it stands in the data.", definition.display_name)
                )
            for path in [definition.value_path or "value", *definition._dimension_names()]:
                self._check_path(path)

    @api.model
    def _check_path(self, path):
        if not PATH.fullmatch(path):
            raise ValidationError(
                self.env._("%(path)s is no path: use names of letters, digits, _ and -, joined by points.", path=path)
            )

    @api.constrains("aggregation", "convert_from_id", "convert_to_id", "rounding_step", "rounding_method")
    def _check_conversion(self):
        for definition in self:
            sent, counted = definition.convert_from_id, definition.convert_to_id
            if bool(sent) != bool(counted):
                raise ValidationError(self.env._("Name both units, the one sent and the one counted, or neither."))
            if sent and self._chain(sent)[-1] != self._chain(counted)[-1]:
                raise ValidationError(
                    self.env._(
                        "%(sent)s cannot be converted to %(counted)s: they have no reference unit in common.",
                        sent=sent.name,
                        counted=counted.name,
                    )
                )
            definition._check_rounding()
            if definition.aggregation in WITHOUT_NUMBER and (sent or definition.rounding_step):
                raise ValidationError(
                    self.env._("Nothing is converted or rounded where events or different values are counted.")
                )

    def _check_rounding(self):
        if bool(self.rounding_step) != bool(self.rounding_method):
            raise ValidationError(self.env._("Say to what values are rounded and which way, or neither."))
        try:
            step = Decimal(self.rounding_step or "1")
        except InvalidOperation:
            step = Decimal("NaN")
        if not (step.is_finite() and 0 < step < 10**MAX_DECIMALS and step.as_tuple().exponent >= -MAX_DECIMALS):
            raise ValidationError(
                self.env._(
                    "Values cannot be rounded to %(step)s: write a number above 0, such as 1 or 0.01.",
                    step=self.rounding_step,
                )
            )

    @api.constrains("payload_schema")
    def _check_payload_schema(self):
        for definition in self:
            try:
                definition._schema()
            except BadSchema as exc:
                raise ValidationError(self.env._("JSON Schema: %s", exc)) from exc

    def _schema(self):
        """The check of an event's data by the JSON Schema, None without one: see :func:`~.schemas.read_schema`."""
        text = (self.payload_schema or "").strip()
        return read_schema(text) if text else None

    # -- for counting -----------------------------------------------------------------------

    def _dimension_names(self):
        self.ensure_one()
        return [name.strip() for name in (self.dimensions or "").split(",") if name.strip()]

    def _value_names(self):
        """Names from the data down to the value, empty when events are counted."""
        return [] if self.aggregation == "count" else self.value_path.split(".")

    def _filters(self):
        """What an event must fulfil to be counted: tuple of :class:`~..ingestion.facts.Filter`."""
        return tuple(
            Filter(tuple(line.path.split(".")), line.operator, frozenset(line._value_texts()))
            for line in self.filter_ids
        )

    def _sql_converted(self, value):
        """What one event's value counts in the unit of the meter, rounded as the definition says.

        Exact: the quotient is taken of whole numbers. Without a rounding of its own it is kept to 18 decimals.

        :param SQL value: NUMERIC, not negative; repeated in the result
        :return: SQL of a NUMERIC, ``value`` itself when nothing is converted or rounded
        """
        self.ensure_one()
        if self.aggregation in WITHOUT_NUMBER or not (self.conversion_factor or self.rounding_step):
            return value
        step = Decimal(self.rounding_step or Decimal(1).scaleb(-MAX_DECIMALS))
        ratio = Fraction(self.conversion_factor or 1) / Fraction(step)  # how many steps one unit as sent is
        above, below = SQL("%s::numeric", str(ratio.numerator)), SQL("%s::numeric", str(ratio.denominator))
        steps = {
            "down": SQL("div(%(value)s * %(above)s, %(below)s)", value=value, above=above, below=below),
            "up": SQL(
                "(div(%(value)s * %(above)s, %(below)s) + (mod(%(value)s * %(above)s, %(below)s) > 0)::int)",
                value=value,
                above=above,
                below=below,
            ),
            "half_up": SQL(
                "div(2 * (%(value)s) * %(above)s + %(below)s, 2 * %(below)s)", value=value, above=above, below=below
            ),
        }
        return SQL("trim_scale(%s * %s::numeric)", steps[self.rounding_method or "half_up"], f"{step:f}")

    def _definition_values(self):
        """The definition as values for ``create``, of another record that shall say the same."""
        self.ensure_one()
        values = self._convert_to_write({name: self[name] for name in DEFINITION if name != "filter_ids"})
        return {**values, "filter_ids": self.filter_ids._as_commands()}
