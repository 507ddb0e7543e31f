"""Subscriptions: where their invoices go, and how they are booked and paid."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError


class UsageSubscription(models.Model):
    _name = "usage.subscription"
    _inherit = ["usage.subscription", "analytic.mixin"]

    partner_invoice_id = fields.Many2one(
        "res.partner",
        string="Invoice Address",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        domain="[('commercial_partner_id', '=', commercial_partner_id)]",
        help="Contact of the customer that the invoices go to; empty: the customer's invoice address.",
    )
    fiscal_position_id = fields.Many2one(
        "account.fiscal.position",
        check_company=True,
        ondelete="restrict",
        tracking=True,
        help="How taxes and accounts are mapped; empty: as follows from the customer.",
    )
    payment_term_id = fields.Many2one(
        "account.payment.term",
        string="Payment Terms",
        check_company=True,
        ondelete="restrict",
        tracking=True,
        help="When the invoices are due; empty: as agreed on with the customer.",
    )

    @api.constrains("partner_invoice_id", "partner_id")
    def _check_partner_invoice(self):
        """Refuse the address of another customer: who pays is who subscribed."""
        for subscription in self.filtered("partner_invoice_id"):
            if subscription.partner_invoice_id.commercial_partner_id != subscription.commercial_partner_id:
                raise ValidationError(
                    self.env._(
                        "Invoice Address: %(address)s is no contact of %(customer)s. Choose one of the customer's "
                        "contacts, or empty it.",
                        address=subscription.partner_invoice_id.display_name,
                        customer=subscription.commercial_partner_id.name,
                    )
                )

    def _invoice_vals(self):
        """Return the values of an invoice that the subscription decides; the rest follows from the customer."""
        partner = self.partner_invoice_id
        vals = {
            "partner_id": partner.id or self.partner_id.address_get(["invoice"])["invoice"],
            "invoice_user_id": self.user_id.id,
        }
        if self.fiscal_position_id:
            vals["fiscal_position_id"] = self.fiscal_position_id.id
        if self.payment_term_id:
            vals["invoice_payment_term_id"] = self.payment_term_id.id
        return vals

    def _invoice_line_vals(self):
        """Return the values of every line of an invoice that the subscription decides."""
        return {"analytic_distribution": self.analytic_distribution} if self.analytic_distribution else {}
