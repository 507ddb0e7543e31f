"""Statements: what prepaid credit pays of them."""

from dataclasses import replace
from decimal import Decimal

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from .. import rating
from ..numbers import exact
from .usage_statement_rating import Blocked

BILLED = ("invoiced", "posted")


def by_part(starts, reached):
    """Return [(start, increase)] of parts, of the Decimals that were reached at the end of each."""
    parts, most = [], Decimal(0)
    for start, so_far in zip(starts, reached, strict=True):
        if so_far > most:
            parts.append((start, so_far - most))
            most = so_far
    return parts


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    credit_entry_ids = fields.One2many("usage.credit.entry", "statement_id", string="Credit Used")
    amount_credit = fields.Monetary(
        string="Paid by Credit",
        compute="_compute_amount_credit",
        help="What prepaid credit pays of the charges: expected until there is an invoice, then as invoiced.",
    )
    amount_due = fields.Monetary(
        string="Left to Pay", compute="_compute_amount_credit", help="The charges less what credit pays, before tax."
    )

    @api.depends("charge_ids.amount", "state", "credit_entry_ids.amount")
    def _compute_amount_credit(self):
        for statement in self:
            if statement.state in BILLED:
                statement.amount_credit = -sum(statement.credit_entry_ids.mapped("amount"))
            else:
                statement.amount_credit = float(sum(statement._expected_credit().values(), Decimal(0)))
            statement.amount_due = statement.amount_untaxed - statement.amount_credit

    # -- expecting --------------------------------------------------------------------------

    @api.model
    def _unbilled(self, partner, company, currency=None):
        """A customer's statements that have taken no credit yet, the oldest period first; of all currencies or one."""
        found = self.search(
            [
                ("commercial_partner_id", "=", partner.commercial_partner_id.id),
                ("company_id", "=", company.id),
                ("currency_id", "in", currency.ids) if currency else (1, "=", 1),
                ("state", "not in", BILLED),
            ],
            order="period_start, period_end, id",
        )
        return found.filtered(lambda statement: not statement._standing_entries())

    def _grants(self):
        # sudo: who may see a statement sees what pays it; whether they may see the credit is decided there
        credits = self.env["usage.credit.grant"].sudo()
        return credits._of_customer(self.commercial_partner_id, self.company_id, self.currency_id)

    def _expected_credit(self):
        """Return {grant: amount} that will pay this statement, after older ones have taken theirs."""
        grants = self._grants()
        if not grants:
            return {}
        unbilled = self._unbilled(self.commercial_partner_id, self.company_id, self.currency_id)
        own = self._origin
        older = unbilled.filtered(lambda other: other._order_key() < own._order_key())
        return (older | own)._credit_shares(grants)[own]

    def _credit_shares(self, grants):
        """Return {statement: {grant: Decimal}} of what statements, oldest first, take of grants, in their order.

        Usage burns credit when it happens: where a grant begins or expires inside a period, the
        charges so far at that instant are what it can pay or not. What no credit pays of one
        statement stays with it: credit that begins in a later period does not pay for it.
        """
        left = {grant.id: grant._as_core() for grant in grants}
        shares = {}
        for statement in self:
            used = rating.burned(left.values(), statement._costs(grants) if left else ())
            left = {key: replace(grant, amount=grant.amount - used.get(key, 0)) for key, grant in left.items()}
            shares[statement] = {grant: used[grant.id] for grant in grants if used.get(grant.id)}
        return shares

    def _costs(self, grants):
        """Return [(instant, cost)] of the period, cut where a grant begins or expires inside it."""
        cuts = self._cuts(grants)
        total = self._cost_now()
        return by_part([self.period_start, *cuts], [min(self._cost_until(at), total) for at in cuts] + [total])

    def _cuts(self, grants):
        """Return the instants inside the period at which a grant begins or expires, in order."""
        edges = {at for grant in grants for at in (grant.effective_at, grant.expires_at) if at}
        return sorted(at for at in edges if self.period_start < at < self.period_end)

    def _cost_now(self):
        """Return what the statement costs as a Decimal before tax: of a running period, by its usage at this moment."""
        if self.state != "open":
            return exact(self.amount_untaxed)
        return self._cost_until(self.period_end)

    def _cost_until(self, at):
        """Return what the usage of the period cost until an instant, as a Decimal before tax.

        Of a statement that cannot be rated, what its charges say: its state tells the reason.
        """
        # sudo: who sees the statement is told what it costs; prices are read to find out
        statement = self.sudo()
        try:
            vals_list = statement._all_charge_vals(statement._measured(at)[statement], statement._unit_pool())
        except (Blocked, UserError, rating.RatingError):
            return exact(self.amount_untaxed)
        return sum((exact(vals["amount"]) for vals in vals_list), Decimal(0))

    # -- using ------------------------------------------------------------------------------

    def _invoice_vals(self):
        """Add what credit pays to the invoice, as negative lines, and take it from the credit."""
        vals = super()._invoice_vals()
        vals["invoice_line_ids"] += [Command.create(self._credit_line_vals(entry)) for entry in self._use_credit()]
        return vals

    def _use_credit(self):
        """Take from the customer's credit what pays this statement; return the entries."""
        return [
            grant._enter("used", -float(amount), statement_id=self.id)
            for grant, amount in self._expected_credit().items()
            if amount
        ]

    def _credit_line_vals(self, entry):
        grant = entry.grant_id
        return {
            "product_id": grant.product_id.id,
            "name": self.env._("Prepaid credit %s", grant.name),
            "quantity": 1,
            "price_unit": entry.amount,
            "discount": 0,
            "usage_credit_entry_id": entry.id,
        }

    def _standing_entries(self):
        """The entries that use credit for this statement and were not released again."""
        used = self.credit_entry_ids.filtered(lambda entry: entry.kind == "used")
        return used - used._released()

    def _check_invoice(self, move):
        """Raise ``UserError`` unless the invoice also takes exactly the credit that was used for it."""
        for entry in self._standing_entries():
            line = move.invoice_line_ids.filtered(lambda line, entry=entry: line.usage_credit_entry_id == entry)
            if self.currency_id.compare_amounts(sum(line.mapped("price_subtotal")), entry.amount):
                raise UserError(
                    self.env._(
                        "%(credit)s pays %(amount)s of %(statement)s, but the invoice takes another amount. Restore "
                        "the line, or cancel the invoice; if a tax of the product is included in its price, use one "
                        "that is not.",
                        credit=entry.grant_id.name,
                        amount=self.currency_id.format(-entry.amount),
                        statement=self.name,
                    )
                )
        return super()._check_invoice(move)

    def _release_invoice(self):
        """Give the credit back that a cancelled or deleted invoice used."""
        # sudo: whoever deletes an invoice need not be a billing user
        self.sudo().credit_entry_ids.filtered(lambda entry: entry.kind == "used")._release()
        return super()._release_invoice()
