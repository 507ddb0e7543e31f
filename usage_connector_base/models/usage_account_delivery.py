from odoo import models


class UsageAccount(models.Model):
    """Endpoints are told when an account gets another customer, in the transaction that gives it one."""

    _inherit = "usage.account"

    def _tell_mapped(self, before):
        """Enqueue ``usage.account.mapped``.

        :param dict before: of account id to the customer that it had
        """
        for company, accounts in self.grouped("company_id").items():
            payloads = [account._mapped_payload(before.get(account.id)) for account in accounts]
            self.env["usage.delivery"]._enqueue_each("usage.account.mapped", payloads, company)

    def _mapped_payload(self, previous):
        return {
            "account": {"id": self.id, "external_id": self.external_id, "name": self.name or None},
            "source": self.source_id.code,
            "customer": self._customer_payload(self.partner_id),
            "previous_customer": self._customer_payload(previous),
            "changed_by": self.env.user.name,
        }

    def _customer_payload(self, partner):
        return {"id": partner.id, "name": partner.name, "reference": partner.ref or None} if partner else None
