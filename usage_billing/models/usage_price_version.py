"""Prices: how one version follows another, what differs, and the way back."""

from datetime import date, timedelta

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import date_utils
from odoo.tools.misc import format_date

from odoo.addons.usage_connector_base.guard import unlocked

from ..rating.periods import local_date
from ..remember import remembered
from .usage_statement import RATEABLE

DAY = timedelta(days=1)
# In the context: the id of a version that applies at all times, whatever others there are.
ALONE = "usage_price_alone"
SAME = ("plan_id", "meter_id", "currency_id", "partner_id")
_TABLE = Markup(
    '<table class="table table-sm"><thead><tr><th></th><th>{}</th><th>{}</th></tr></thead><tbody>{}</tbody></table>'
)
_ROW = Markup("<tr><th>{}</th><td>{}</td><td>{}</td></tr>")


class UsagePrice(models.Model):
    _inherit = "usage.price"

    supersedes_id = fields.Many2one(
        "usage.price",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The version before this one. Subscriptions to it pay this one from 'Valid From' on.",
    )
    origin_id = fields.Many2one(
        "usage.price",
        string="First Version",
        compute="_compute_origin_id",
        store=True,
        recursive=True,
        index="btree_not_null",
        ondelete="restrict",
        help="The first version of this price; empty on that one.",
    )
    later_ids = fields.One2many("usage.price", "origin_id", string="Later Versions")
    version_ids = fields.Many2many("usage.price", string="Versions", compute="_compute_version_ids")
    superseded_on = fields.Date(
        compute="_compute_superseded_on", help="Day from which an approved later version applies instead."
    )
    changes_html = fields.Html(
        string="What Changes",
        compute="_compute_changes_html",
        sanitize=False,
        help="What this version says differently than the one before it.",
    )

    @api.depends("supersedes_id.origin_id")
    def _compute_origin_id(self):
        for price in self:
            price.origin_id = price.supersedes_id.origin_id or price.supersedes_id

    def _origin_price(self):
        """Return the first version of this price."""
        return self.origin_id or self

    @api.depends("origin_id.later_ids", "later_ids")
    def _compute_version_ids(self):
        for price in self:
            price.version_ids = price._all_versions()

    def _all_versions(self):
        """Return all versions of this price, drafts and withdrawn ones too, in the order made."""
        origin = self._origin_price()
        return origin | origin.later_ids

    def _versions(self):
        """Return the approved versions of this price in the order in which they apply.

        The price itself where none is approved.
        """
        approved = self._all_versions().filtered(lambda price: price.state == "approved")
        return approved.sorted(lambda price: (price.date_start or date.min, price.id)) or self

    @remembered
    def _validity(self):
        """Return [(version, first day, last day)] of the approved versions; None has no end."""
        if self.id and self.env.context.get(ALONE) == self.id:
            return [(self, None, None)]
        versions = self._versions()
        ends = [following.date_start - DAY for following in versions[1:] if following.date_start]
        ends += [None] * (len(versions) - len(ends))
        return [
            (version, version.date_start or None, min(filter(None, (version.date_end, end)), default=None))
            for version, end in zip(versions, ends, strict=True)
        ]

    @api.depends("origin_id", "state")
    def _compute_superseded_on(self):
        for price in self:
            later = price._versions() - price if price.state == "approved" and price.id else self.browse()
            starts = [other.date_start for other in later if other.date_start]
            price.superseded_on = min(
                (start for start in starts if start > (price.date_start or date.min)), default=False
            )

    # -- making a version ---------------------------------------------------------------------

    def action_new_version(self):
        """Draft a version that supersedes this price, valid from the first of the next month.

        :return: action that opens the draft
        """
        self.ensure_one()
        latest = self._versions()[-1]
        draft = latest._draft_version(max(self._next_month(), (latest.date_start or date.min) + DAY))
        return draft._action_open()

    def _next_month(self):
        return date_utils.start_of(fields.Date.context_today(self), "month") + date_utils.relativedelta(months=1)

    def _draft_version(self, day, terms_of=None):
        """Return a new draft that supersedes this price from ``day`` on, with the terms of ``terms_of``."""
        if self.parent_id or self.state != "approved":
            raise UserError(self.env._("Only an approved price is superseded: change the draft itself."))
        values = {"supersedes_id": self.id, "date_start": day, "date_end": False}
        return (terms_of or self).copy(values)

    def _action_open(self):
        return {
            "type": "ir.actions.act_window",
            "res_model": "usage.price",
            "res_id": self.id,
            "view_mode": "form",
            "name": self.display_name,
        }

    @api.constrains("supersedes_id", "date_start", *SAME)
    def _check_version(self):
        """Refuse a version that is not one of the same price, or of no later day."""
        for price in self.filtered("supersedes_id"):
            before = price.supersedes_id
            for name in SAME:
                if price[name] != before[name]:
                    raise ValidationError(
                        self.env._(
                            "%(field)s: a version has that of the price it supersedes. Restore %(value)s, "
                            "or make a price of its own.",
                            field=self._fields[name]._description_string(self.env),
                            value=before[name].display_name or "–",
                        )
                    )
            if not price.date_start or price.date_start <= (before.date_start or date.min):
                raise ValidationError(
                    self.env._(
                        "Valid From: the version of %(price)s begins on %(day)s or later: choose a day.",
                        price=price._subject(),
                        day=format_date(self.env, (before.date_start or date.min) + DAY) if before.date_start else "…",
                    )
                )

    def _check_supersedes(self):
        """Refuse to approve a version for days that are approved or billed already."""
        if not self.supersedes_id:
            return
        if self.supersedes_id.state != "approved":
            raise UserError(
                self.env._("%s, which this version supersedes, is not approved.", self.supersedes_id.display_name)
            )
        first = self._first_free_day()
        if self.date_start < first:
            raise UserError(
                self.env._(
                    "Valid From: earlier days of %(price)s are billed, or have a later version. "
                    "Choose %(day)s or a later day.",
                    price=self._subject(),
                    day=format_date(self.env, first),
                )
            )

    def _first_free_day(self):
        """Return the first day for which nothing was submitted and no version was approved."""
        versions = self._all_versions()
        days = [other.date_start + DAY for other in versions - self if other.state == "approved" and other.date_start]
        charge = self.env["usage.charge"].search(
            [("price_id", "in", versions.ids), ("statement_state", "not in", RATEABLE)],
            order="usage_end desc",
            limit=1,
        )
        if charge:
            days.append(local_date(charge.usage_end - timedelta(seconds=1), charge.statement_id.tz) + DAY)
        return max(days, default=date.min)

    # -- the way back -------------------------------------------------------------------------

    def action_roll_back(self):
        """Return to the version before: at once where nothing was billed with this one.

        Otherwise a draft with the terms of the version before is made, valid from the first day
        that is not billed, and waits for a second administrator.

        :return: action that opens the version before, or the draft
        """
        self._check_administrator()
        self.ensure_one()
        before = self.supersedes_id
        if not before or self.state != "approved" or self != self._versions()[-1]:
            raise UserError(self.env._("Only the latest approved version of a price can be rolled back."))
        billed = [("price_id", "=", self.id), ("statement_state", "not in", RATEABLE)]
        if self.env["usage.charge"].search_count(billed, limit=1):
            return self._draft_version(self._first_free_day(), terms_of=before)._action_open()
        unlocked(self).write({"state": "withdrawn"})
        self.message_post(body=self.env._("Rolled back: the version before it applies again."))
        self._origin_price().line_ids.subscription_id._wake_cron()
        return before._action_open()

    # -- what differs -------------------------------------------------------------------------

    @api.depends("supersedes_id", "description", "date_start", "product_id")
    @api.depends_context("lang")
    def _compute_changes_html(self):
        for price in self:
            before = price.supersedes_id
            rows = price._changed_rows(before) if before else []
            header = (self.env._("Until now"), self.env._("From %s", format_date(self.env, price.date_start)))
            body = Markup().join(_ROW.format(*row) for row in rows)
            price.changes_html = _TABLE.format(*header, body) if rows else False

    def _changed_rows(self, before):
        """Return (field, text before, text now) of everything that differs, the words first."""
        rows = [(self.env._("In words"), before.description, self.description)]
        for name in ("product_id", *sorted(self._term_fields() - {"sequence"})):
            label = self._fields[name]._description_string(self.env)
            old, new = before._term_text(name), self._term_text(name)
            if old != new:
                rows.append((label, old, new))
        return rows

    def _term_text(self, name):
        """Return what a field says, as text for people."""
        field, value = self._fields[name], self[name]
        if field.type == "one2many":
            return "; ".join(value.mapped(lambda line: line._line_text()))
        if field.type == "many2one":
            return value.display_name or ""
        if field.type == "selection":
            return dict(field._description_selection(self.env)).get(value, "")
        if field.type == "boolean":
            return self.env._("Yes") if value else self.env._("No")
        return field.convert_to_display_name(value, self) or ""

    def _line_text(self):
        """Return a part for the table of changes: what it is for, and its price."""
        values = [value for value in (self.value_1, self.value_2, self.value_3) if value]
        if self._has_hours():
            values.append(f"{self.time_from:g}–{self.time_to:g}")
        return f"{' · '.join(values) or self.env._('all others')}: {self.description}"
