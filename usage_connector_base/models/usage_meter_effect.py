from datetime import timedelta
from decimal import Decimal

from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import SQL

from ..aggregations import AGGREGATIONS, Span
from .usage_aggregate_quantities import Piece
from .usage_meter_definition import DEFINITION

EFFECT_DAYS = 30
TOP_ACCOUNTS = 10
NOTHING = Decimal(0)


class UsageMeterVersion(models.Model):
    """What a change of a meter means, shown to whoever approves it: in words, and in quantities."""

    _inherit = "usage.meter.version"

    compared_to_id = fields.Many2one(
        "usage.meter.version",
        compute="_compute_compared_to_id",
        store=True,
        help="The version that counts where this one does not.",
    )
    difference = fields.Html(compute="_compute_difference", sanitize=False, help="What changes, the old and the new.")
    effect = fields.Html(
        readonly=True,
        copy=False,
        sanitize=False,
        help="What the events of the last 30 days would count under the old and under the new definition.",
    )
    effect_date = fields.Datetime(string="Effect Of", readonly=True, copy=False, help="When the effect was computed.")
    warning = fields.Text(compute="_compute_warning")

    @api.depends("state", "valid_from", "meter_id")
    def _compute_compared_to_id(self):
        for version in self:
            if version.state in ("draft", "to_approve"):  # later it stays what it was compared to
                version.compared_to_id = version._replaced() or version.meter_id._definitions()[:1]

    @api.depends(*DEFINITION, "compared_to_id")
    def _compute_difference(self):
        for version in self:
            before = version.compared_to_id
            names = version._differences(before) if before else ()
            rows = [(version._label(name), before._shown(name), version._shown(name)) for name in names]
            version.difference = rows and self._html_table(("", self.env._("Old"), self.env._("New")), rows)

    @api.depends("state", "valid_from")
    def _compute_warning(self):
        now = fields.Datetime.now()
        for version in self:
            if version.state not in ("draft", "to_approve") or version.valid_from and version.valid_from > now:
                version.warning = False
            else:
                version.warning = self.env._(
                    "This changes the past: events %s are counted again when the version is approved. Open "
                    "statements follow; those that were submitted stay as they are.",
                    version._since(),
                )

    def _label(self, name):
        return self._fields[name]._description_string(self.env)

    def _shown(self, name):
        """What a field says, as people read it."""
        if name == "filter_ids":
            return ", ".join(self.filter_ids.mapped("display_name"))
        field = self._fields[name]
        if field.type == "many2one":
            return self[name].display_name
        if field.type == "selection":
            return dict(field._description_selection(self.env)).get(self[name], "")
        return self[name] or ""

    @api.model
    def _html_table(self, head, rows):
        """HTML of a table; all texts are escaped."""
        cell = Markup("<td>{}</td>").format
        body = Markup().join(Markup("<tr>{}</tr>").format(Markup().join(map(cell, row))) for row in rows)
        names = Markup().join(Markup("<th>{}</th>").format(name) for name in head)
        return Markup(
            '<table class="table table-sm o_usage_table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
        ).format(names, body)

    # -- effect -----------------------------------------------------------------------------

    def action_compute_effect(self):
        """Compute what the events of the last 30 days would count under the old and the new definition."""
        self._check_administrator()
        for version in self:
            version.check_access("write")
            facts = {"effect": version._effect_table(), "effect_date": fields.Datetime.now()}
            version._write_facts(facts)

    def _effect_table(self):
        before, after = self._effect()
        accounts = self.env["usage.account"].browse(before.keys() | after.keys())
        rows = [
            (account.display_name, before.get(account.id, NOTHING), after.get(account.id, NOTHING))
            for account in accounts
        ]
        rows.sort(key=lambda row: (-abs(row[2] - row[1]), row[0]))
        total = (self.env._("All accounts"), sum(before.values(), NOTHING), sum(after.values(), NOTHING))
        shown = [total, *rows[:TOP_ACCOUNTS]]
        head = ("", self.env._("Old"), self.env._("New"), self.env._("Difference"))
        return self._html_table(head, [(name, f"{old:f}", f"{new:f}", f"{new - old:+f}") for name, old, new in shown])

    def _effect(self):
        """Quantities of the last days by account, under the old and under the new definition.

        Both as if they had been valid all the time, of all stored events.

        :return: two dicts of account id to Decimal
        """
        end = fields.Datetime.now()
        start = end - timedelta(days=EFFECT_DAYS)
        return self.compared_to_id._count_range(start, end), self._count_range(start, end)

    def _count_range(self, start, end):
        """What the stored events of [start, end), naive UTC, come to by this definition alone.

        :return: dict of account id to Decimal
        """
        if not self:
            return {}
        definition = self._always()
        aggregates = self.env["usage.aggregate"]
        spans = [Span(account, start, end) for account in self._accounts_with_events(start, end)]
        if not spans:
            return {}
        aggregation = AGGREGATIONS[definition.aggregation]
        pieces = [Piece(key, definition, span) for key, span in enumerate(spans)]
        rows = aggregates._sql_rows_of_all_events(aggregation, pieces)
        query = SQL(
            "SELECT account_id, trim_scale(quantity)::text FROM (%s) counted WHERE quantity IS NOT NULL",
            aggregates._sql_by_account(aggregation, rows),
        )
        return {account: Decimal(quantity) for account, quantity in self.env.execute_query(query)}

    def _always(self):
        """The same definition, valid at any time: not a record of the database."""
        values = {
            **self._definition_values(),
            "meter_id": self.meter_id.id,
            "conversion_factor": self.conversion_factor,
        }
        return self.new(values)

    def _accounts_with_events(self, start, end):
        query = SQL(
            "SELECT DISTINCT account_id FROM usage_event e WHERE company_id = %s AND time >= %s AND time < %s AND %s",
            self.company_id.id,
            start,
            end,
            self.env["usage.aggregate"]._sql_is_of_type(self),
        )
        return [account for [account] in self.env.execute_query(query)]
