from odoo import api, models
from odoo.exceptions import ValidationError


class BasePartnerMerge(models.TransientModel):
    """When customers are merged, subscriptions and statements go along, and none bills the other's usage."""

    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        customers = (src_partners | dst_partner).commercial_partner_id
        # sudo: whoever merges contacts need not know of their subscriptions
        subscriptions = self.env["usage.subscription"].sudo()
        active = subscriptions.search([("commercial_partner_id", "in", customers.ids), ("state", "=", "active")])
        billed = active._accounts()
        res = super()._update_foreign_keys(src_partners, dst_partner)
        active._keep_apart(billed)
        return res

    @api.model
    def _usage_models(self):
        return [*super()._usage_models(), "usage.subscription", "usage.statement"]


class UsageSubscription(models.Model):
    _inherit = "usage.subscription"

    def _keep_apart(self, billed):
        """Have each subscription bill the accounts that it billed, where they now bill the same usage twice.

        :param dict billed: of subscription to the accounts that it billed before its customer was merged
        :raises ValidationError: they do even so
        """
        try:
            self.line_ids._check_billed_once()
            return
        except ValidationError:
            open_to_all = self.filtered(lambda subscription: not subscription.account_filter_ids)
        for subscription in open_to_all:
            subscription.account_filter_ids = billed[subscription]
            subscription.message_post(
                body=self.env._(
                    "The customer was merged with another one that has a subscription too: this one goes on billing "
                    "the accounts that it billed. Choose accounts that are new here, or they are not billed."
                )
            )
        self.line_ids._check_billed_once()
