from odoo import api, models


class BasePartnerMerge(models.TransientModel):
    """When contacts are merged, their accounts go along, and outside systems are told."""

    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        # sudo: whoever merges contacts need not know of their usage
        accounts = self.env["usage.account"].sudo().with_context(active_test=False)
        moved = accounts.search([("partner_id", "in", src_partners.ids)])
        before = {account.id: account.partner_id for account in moved}
        res = super()._update_foreign_keys(src_partners, dst_partner)
        self.env.invalidate_all()
        for model in self._usage_models():
            self._recompute_company_of_customer(model, dst_partner)
        moved._message_log_batch(
            {
                account.id: self.env._(
                    "Contact %(contact)s was merged into %(into)s.",
                    contact=before[account.id].display_name,
                    into=dst_partner.display_name,
                )
                for account in moved
            }
        )
        moved._tell_mapped(before)
        return res

    @api.model
    def _usage_models(self):
        """Models that keep the company of their customer; addons that have more extend this."""
        return ["usage.account", "usage.account.assignment"]

    def _recompute_company_of_customer(self, model, partner):
        """Odoo's merge writes the contact itself, which may be one of a company."""
        # sudo: as above
        records = self.env[model].sudo().with_context(active_test=False).search([("partner_id", "=", partner.id)])
        self.env.add_to_compute(records._fields["commercial_partner_id"], records)
        records.flush_recordset(["commercial_partner_id"])
