import json
from decimal import Decimal
from hashlib import sha256

from markupsafe import Markup

from odoo import api, fields, models

from ..explanation import Explanation
from ..fields import Exact
from ..numbers import format_amount, format_number
from ..rating.decimals import CONTEXT


class UsageCharge(models.Model):
    """What one line of a subscription costs for one period: an immutable rating result."""

    _name = "usage.charge"
    _description = "Usage Charge"
    _inherit = ["usage.guarded.mixin"]
    _order = "statement_id desc, id"

    statement_id = fields.Many2one("usage.statement", required=True, readonly=True, index=True, ondelete="restrict")
    statement_state = fields.Selection(related="statement_id.state", string="Statement Status", store=True)
    subscription_id = fields.Many2one(related="statement_id.subscription_id", store=True, index=True)
    subscription_line_id = fields.Many2one(
        "usage.subscription.line", readonly=True, required=True, index=True, ondelete="restrict"
    )
    price_id = fields.Many2one("usage.price", readonly=True, required=True, index=True, ondelete="restrict")
    meter_id = fields.Many2one(
        "usage.meter",
        readonly=True,
        index=True,
        ondelete="restrict",
        help="Whose quantities are charged; empty for a fee that has none.",
    )
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    product_id = fields.Many2one("product.product", readonly=True, required=True, index=True, ondelete="restrict")
    partner_id = fields.Many2one(
        "res.partner", string="Customer", readonly=True, required=True, index=True, ondelete="restrict"
    )
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    currency_id = fields.Many2one("res.currency", readonly=True, required=True)
    usage_start = fields.Datetime(readonly=True, required=True, help="First instant whose usage is charged (UTC).")
    usage_end = fields.Datetime(
        readonly=True, required=True, help="Instant at which the charged usage ends, not included (UTC)."
    )
    source_accounts = fields.Json(readonly=True, help="Ids of the accounts whose usage is charged.")
    quantity = Exact(
        readonly=True,
        help="What was used, in units of the meter; since the interim statement before, where there is one.",
    )
    metered = fields.Char(readonly=True, help="What the meter counted, as exact text.")
    amount_unrounded = Exact(
        string="Unrounded",
        readonly=True,
        min_display_digits=2,
        help="The exact price of the usage, before it is rounded to the currency.",
    )
    amount = fields.Monetary(readonly=True, help="What is charged before tax: rounded once, to the currency.")
    exact_quantity = fields.Char(
        string="Usage",
        compute="_compute_exact",
        help="What was used, with every digit it has; of a price that begins anew on every statement of a period, "
        "since the one before.",
    )
    exact_amount = fields.Char(
        string="Before Rounding",
        compute="_compute_exact",
        help="The exact price of the usage, with every digit it has.",
    )
    definition = fields.Json(string="Price Applied", readonly=True, help="The price as the calculation read it.")
    result = fields.Json(readonly=True, help="The calculation's whole result, numbers as exact text.")
    explanation = fields.Json(
        compute="_compute_explanation", help="The steps of the calculation, as data with exact numbers."
    )
    explanation_html = fields.Html(
        string="How It Was Calculated",
        compute="_compute_explanation_html",
        sanitize=False,
        help="The steps of the calculation, in words.",
    )
    credit_units = fields.Json(
        string="Paid by Prepaid Units",
        readonly=True,
        help="Units that credit covers, by the id of the credit, numbers as exact text.",
    )
    fingerprint = fields.Char(
        readonly=True, help="SHA-256 of the canonical result: the same facts give the same fingerprint."
    )
    price_description = fields.Char(
        string="Price in Words", compute="_compute_price_description", help="The price that was applied, as a sentence."
    )
    move_line_id = fields.Many2one(
        "account.move.line",
        string="Invoice Line",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The invoice line that bills this charge; empty: not invoiced yet.",
    )
    move_id = fields.Many2one(related="move_line_id.move_id", string="Invoice")

    _line_uniq = models.Constraint(
        "UNIQUE(statement_id, subscription_line_id, price_id)",
        "A line of a subscription is charged once in a period for each version of its price.",
    )
    _move_line_uniq = models.UniqueIndex(
        "(move_line_id) WHERE move_line_id IS NOT NULL", "An invoice line bills one charge."
    )

    @api.depends("meter_id", "price_id", "statement_id")
    def _compute_display_name(self):
        for charge in self:
            charge.display_name = f"{charge.statement_id.name} · {charge.price_id._subject()}"

    @api.depends("result", "metered", "unit_name")
    @api.depends_context("lang")
    def _compute_exact(self):
        for charge in self:
            result = charge.result or {"quantity": "0", "unrounded": "0"}
            quantity = format_number(charge.env, charge._priced() if charge.meter_id else result["quantity"])
            charge.exact_quantity = f"{quantity} {charge.unit_name or ''}".strip()
            charge.exact_amount = format_amount(charge.env, result["unrounded"], charge.currency_id)

    @api.depends("result")
    def _compute_explanation(self):
        for charge in self:
            charge.explanation = (charge.result or {}).get("explanation", [])

    @api.depends("result")
    @api.depends_context("lang")
    def _compute_explanation_html(self):
        for charge in self:
            tz = charge.statement_id.tz or "UTC"
            explanation = Explanation(charge.env, charge.currency_id, charge.unit_name or "", tz)
            charge.explanation_html = explanation.render(charge.explanation) if charge.result else Markup()

    @api.depends("price_id.description", "subscription_line_id.included_quantity")
    @api.depends_context("lang")
    def _compute_price_description(self):
        for charge in self:
            included = (charge.definition or {}).get("included_quantity", 0)
            charge.price_description = charge.price_id._describe(float(included))

    def _metered(self):
        """Return what the meter counted, as exact text; what is priced may be something else."""
        return self.metered or (self.result or {}).get("quantity", "0")

    def _priced(self):
        """Return what the meter counted of what is priced here, as a Decimal.

        Without what earlier statements of the period charged, unless that is priced again and taken off.
        """
        taken_off = self._taken_off()
        before = self.statement_id._charges_before(self._key(), {})
        done = [charge for interim, charge in before if interim.name not in taken_off]
        metered = [Decimal(charge._metered()) for charge in (self, *done[-1:])]
        return CONTEXT.subtract(*metered) if done else metered[0]

    def _taken_off(self):
        """Return {number of an earlier statement of the period: what it charged, as a Decimal} of what is taken off."""
        steps = [step for step in self.explanation or () if step["step"] == "billed"]
        return {step["invoice"]: -Decimal(step["amount"]) for step in steps}

    def _rests_on_charged(self):
        """Say whether what is taken off, and what is new, is what earlier statements of the period left."""
        before = self.statement_id._charges_before(self._key(), {})
        charged = {interim.name: Decimal(charge.result["amount"]) for interim, charge in before}
        new = CONTEXT.subtract(Decimal(self._metered()), self._metered_before())
        return self._taken_off().items() <= charged.items() and (not before or self.quantity == float(new))

    def _key(self):
        """Return what tells the charges of a statement apart: line and version of its price."""
        return self.subscription_line_id.id, self.price_id.id

    def _is_intact(self):
        """Say whether the stored result is still the one that was fingerprinted."""
        self.ensure_one()
        canonical = json.dumps(self.result, sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest() == self.fingerprint

    def _matches(self, vals_list):
        """Say whether one of ``vals_list`` would make this very charge again."""
        self.ensure_one()
        names = ("fingerprint", "definition", "source_accounts", "usage_start", "usage_end", "metered")
        names += ("credit_units",)
        return any(
            (vals["subscription_line_id"], vals["price_id"]) == self._key()
            and all((self[name] or []) == (vals[name] or []) for name in names)
            and self.quantity == float(vals["quantity"])
            for vals in vals_list
        )

    # -- comparing ---------------------------------------------------------------------------

    def _billed_amounts(self):
        """Return {charge: (invoiced, posted)}, credit notes taken off, before tax.

        Invoiced is what invoice lines say, posted what the ledger says.
        """
        lines = self.env["account.move.line"].search(
            [("usage_charge_id", "in", self.ids), ("parent_state", "!=", "cancel")]
        )
        return {
            charge: (
                sum(-line.move_id.direction_sign * line.price_subtotal for line in own),
                -sum(own.filtered(lambda line: line.parent_state == "posted").mapped("amount_currency")),
            )
            for charge, own in lines.grouped("usage_charge_id").items()
        }

    def _reconciliation_vals(self, events, by_hour, invoiced, posted):
        """Return the row that compares this charge: quantities as Decimals, amounts as floats.

        ``events`` is what all stored events come to, ``by_hour`` what the hourly usage says.
        """
        charged, before = Decimal(self._metered()), self._metered_before()
        difference = self._amount_difference(invoiced, posted)
        # What comes late to an interim statement is charged by the next one of its period.
        is_counted = events == by_hour and (events == charged or bool(self.statement_id.interim_of_id))
        same = is_counted and self.currency_id.is_zero(difference)
        return {
            "statement_id": self.statement_id.id,
            "charge_id": self.id,
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "meter_id": self.meter_id.id,
            "product_id": self.product_id.id,
            "period_start": self.usage_start,
            "period_end": self.usage_end,
            "quantity_events": events - before,
            "quantity_aggregates": by_hour - before,
            "quantity_charged": charged - before,
            "difference_quantity": events - charged,
            "amount_charged": self.amount,
            "amount_invoiced": invoiced,
            "amount_posted": posted,
            "difference_amount": difference,
            "state": "matched" if same else "different",
            "date": fields.Datetime.now(),
        }

    def _metered_before(self):
        """Return what the meter had counted when an earlier statement of the period charged it, as a Decimal."""
        before = self.statement_id._charges_before(self._key(), {})
        return Decimal(before[-1][1]["metered"] or 0) if before else Decimal(0)

    def _amount_difference(self, invoiced, posted):
        """Return what is missing in the ledger, or on the draft invoice, of this charge."""
        reached = {"posted": posted, "invoiced": invoiced}.get(self.statement_state, self.amount)
        return self.amount - reached

    # -- walking down and up ----------------------------------------------------------------

    def action_view_usage(self):
        """The hours of usage that this charge was calculated from."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        domain = [
            ("account_id", "in", self.source_accounts or []),
            *self.subscription_id._usage_domain(),
            ("meter_id", "=", self.meter_id.id),
            ("hour", ">=", self.usage_start.replace(minute=0)),
            ("hour", "<", self.usage_end),
        ]
        name = self.env._("Usage by Hour: %s", self.display_name)
        return {**action, "name": name, "domain": domain, "context": {}}

    def action_view_invoice(self):
        """The invoice whose line bills this charge."""
        return self.statement_id.action_view_invoice()
