"""Statements: from charges to a draft invoice, and to the ledger."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from odoo.addons.usage_connector_base.guard import unlocked

from ..rating.periods import local_date
from .usage_statement import APPROVER, PREPARER


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    move_id = fields.Many2one(
        "account.move",
        string="Invoice",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The invoice that bills the charges; empty while there is none, or nothing to invoice.",
    )
    move_state = fields.Selection(related="move_id.state", string="Invoice Status", tracking=False)
    nothing_to_invoice = fields.Boolean(
        compute="_compute_nothing_to_invoice",
        help="Every charge is zero: an approved statement is closed without an invoice.",
    )

    @api.depends("charge_ids.amount")
    def _compute_nothing_to_invoice(self):
        for statement in self:
            statement.nothing_to_invoice = all(
                statement.currency_id.is_zero(charge.amount) for charge in statement.charge_ids
            )

    # -- draft invoices ---------------------------------------------------------------------

    def action_invoice(self):
        """Make a draft invoice for each approved statement; its charges name their lines.

        One below zero becomes a credit note.
        A statement of zero charges is closed as ``posted`` without an invoice: its approval said
        that nothing is due. Raises ``UserError`` when an invoice line would not come out at its
        charge, for instance because the product's tax is included in prices.

        :return: action that shows the invoices, or None when none was made
        """
        self._check_group(APPROVER, PREPARER)
        self._check_state("approved")
        empty = self.filtered("nothing_to_invoice")
        empty._close_without_invoice()
        for company, statements in (self - empty).grouped("company_id").items():
            statements._create_invoices(company)
        return self.action_view_invoice() if self.move_id else None

    def _close_without_invoice(self):
        if self:
            unlocked(self).write({"state": "posted"})
            self._log("posted", self.env._("Nothing to invoice: every charge is zero."))

    def _create_invoices(self, company):
        moves = (
            unlocked(self.env["account.move"])
            .with_company(company)
            .create([statement._invoice_vals() for statement in self])
        )
        for statement, move in zip(self, self.env["account.move"].browse(moves.ids), strict=True):
            statement._link_invoice(move)

    def _invoice_vals(self):
        """Return the values of the draft invoice: taxes and accounts follow from the products."""
        partner = self.partner_id
        statement = self.with_context(lang=partner.lang or self.env.lang)
        vals = {
            "move_type": "out_refund" if self._gives_back() else "out_invoice",
            **self.subscription_id._invoice_vals(),
            "currency_id": self.currency_id.id,
            "company_id": self.company_id.id,
            "invoice_origin": self.name,
            "usage_statement_id": self.id,
            "invoice_line_ids": [Command.create(statement._invoice_line_vals(c)) for c in statement.charge_ids],
        }
        if self.company_id.usage_journal_id:
            vals["journal_id"] = self.company_id.usage_journal_id.id
        return vals

    def _invoice_line_vals(self, charge):
        """Return the values of the line that bills ``charge``.

        Quantity 1 times the amount, because Odoo rounds quantities: the usage is in the text.
        """
        return {
            "product_id": charge.product_id.id,
            "name": self._invoice_line_text(charge),
            "quantity": 1,
            "price_unit": -charge.amount if self._gives_back() else charge.amount,
            "discount": 0,
            "usage_charge_id": charge.id,
            **self.subscription_id._invoice_line_vals(),
        }

    def _gives_back(self):
        """Say whether a statement is below zero, because corrections took back what was charged before."""
        return self.currency_id.compare_amounts(self.amount_untaxed, 0) < 0

    def _invoice_line_text(self, charge):
        """Return what the customer reads: product, usage, days and price."""
        last_moment = charge.usage_end - timedelta(seconds=1)
        days = self._days_label(local_date(charge.usage_start, self.tz), local_date(last_moment, self.tz))
        return self.env._(
            "%(product)s: %(usage)s, %(days)s\n%(price)s",
            product=charge.product_id.name,
            usage=charge.exact_quantity,
            days=days,
            price=charge.price_description,
        )

    def _link_invoice(self, move):
        """Tie charges and statement to the invoice they became; refuse one that differs."""
        for line in move.invoice_line_ids:
            unlocked(line.usage_charge_id).write({"move_line_id": line.id})
        unlocked(self).write({"state": "invoiced", "move_id": move.id})
        self._check_invoice(move)

    def _check_invoice(self, move):
        """Raise ``UserError`` unless the invoice bills every charge, once, at its amount."""
        if move.currency_id != self.currency_id or move.commercial_partner_id != self.commercial_partner_id:
            raise UserError(
                self.env._(
                    "The invoice of %(statement)s must go to %(customer)s in %(currency)s, as approved.",
                    statement=self.name,
                    customer=self.commercial_partner_id.name,
                    currency=self.currency_id.name,
                )
            )
        for charge in self.charge_ids:
            line = charge.move_line_id
            billed = -move.direction_sign * line.price_subtotal
            if line.move_id != move or self.currency_id.compare_amounts(billed, charge.amount):
                raise UserError(
                    self.env._(
                        "%(charge)s was approved at %(amount)s before tax, but its invoice line amounts to "
                        "%(line)s. Restore the line; if a tax of the product is included in its price, "
                        "use one that is not.",
                        charge=charge.display_name,
                        amount=self.currency_id.format(charge.amount),
                        line=self.currency_id.format(billed),
                    )
                )

    # -- posting ----------------------------------------------------------------------------

    def action_post(self):
        """Post the draft invoices (billing approvers who prepared nothing of the statements)."""
        self._check_group(APPROVER)
        self._check_state("invoiced")
        self._check_second_person()
        self.move_id.action_post()
        self._reconcile()

    def _check_may_post(self, move):
        """Raise unless ``move`` may enter the ledger: approved, unaltered, by a second person."""
        if self.move_id != move:
            raise UserError(
                self.env._(
                    "The usage of %(statement)s is not billed by %(invoice)s: delete this draft and use the "
                    "buttons of the statement.",
                    statement=self.name,
                    invoice=move.display_name,
                )
            )
        self._check_state("invoiced")
        self._check_second_person()
        self._check_invoice(move)

    def _follow_invoice(self, move):
        """Take over what happened to the statement's invoice, whoever did it and wherever."""
        if move.state == "cancel":
            self._release_invoice()
        elif move.state == "posted" and self.state != "posted":
            unlocked(self).write({"state": "posted"})
            self._log("posted", move.name)
        elif move.state == "draft" and self.state == "posted":
            unlocked(self).write({"state": "invoiced"})

    def _release_invoice(self):
        """Forget a cancelled or deleted invoice: the statement is approved and can be invoiced again."""
        unlocked(self.charge_ids).write({"move_line_id": False})
        unlocked(self).write({"state": "approved", "move_id": False})
        for statement in self:
            statement.message_post(
                body=self.env._("The invoice was cancelled or deleted: the statement can be invoiced again.")
            )

    def action_view_invoice(self):
        """The invoice of a statement, or the list of those of several."""
        action = {
            "type": "ir.actions.act_window",
            "name": self.env._("Invoices"),
            "res_model": "account.move",
            "view_mode": "list,form",
            "domain": [("id", "in", self.move_id.ids)],
        }
        if len(self.move_id) == 1:
            action.update(view_mode="form", res_id=self.move_id.id)
        return action
