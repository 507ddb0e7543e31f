from odoo import api, fields, models
from odoo.exceptions import UserError


class UsagePlan(models.Model):
    _name = "usage.plan"
    _description = "Usage Plan"
    _inherit = ["mail.thread"]
    _order = "name"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True, tracking=True)
    code = fields.Char(required=True, tracking=True, help="Short name in reports, unique in the company.")
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        tracking=True,
        default=lambda self: self.env.company.currency_id,
        help="Currency of the plan's prices and of the invoices of those who subscribe to it, unless they choose "
        "another one that the plan has prices in.",
    )
    price_ids = fields.One2many(
        "usage.price", "plan_id", string="Prices", copy=True, domain=[("parent_id", "=", False)]
    )
    subscription_ids = fields.One2many("usage.subscription", "plan_id", string="Subscriptions")
    subscription_count = fields.Integer(compute="_compute_subscription_count")
    active = fields.Boolean(default=True, tracking=True)
    note = fields.Html(string="Notes")

    _code_uniq = models.Constraint(
        "UNIQUE(company_id, code)", "Code: another plan of this company has it. Choose another one."
    )

    @api.depends("subscription_ids")
    def _compute_subscription_count(self):
        counts = dict(
            self.env["usage.subscription"]._read_group([("plan_id", "in", self.ids)], ["plan_id"], ["__count"])
        )
        for plan in self:
            plan.subscription_count = counts.get(plan, 0)

    def _prices_for(self, customer, currency):
        """Return the first versions of the prices that a customer pays in a currency.

        A price that was agreed on with the customer takes the place of those for everybody.
        """
        prices = self.price_ids.filtered(
            lambda price: (
                price.currency_id == currency
                and not price.supersedes_id
                and price.state != "withdrawn"
                and price.partner_id in (customer, self.env["res.partner"])
            )
        )
        agreed = prices.filtered("partner_id")
        has_minimum = "plan_minimum" in agreed.mapped("model")
        return prices.filtered(
            lambda price: (
                price.partner_id
                or not (price.meter_id and price.meter_id in agreed.meter_id)
                and not (has_minimum and price.model == "plan_minimum")
            )
        )

    def copy_data(self, default=None):
        """A copy has a code of its own; its prices wait for approval."""
        vals_list = super().copy_data(default)
        for plan, vals in zip(self, vals_list, strict=True):
            if not (default or {}).get("code"):
                vals.update(name=self.env._("%s (copy)", plan.name), code=f"{plan.code}-copy")
        return vals_list

    @api.ondelete(at_uninstall=False)
    def _unlink_only_unused(self):
        """Keep plans that somebody is on, and prices that were approved."""
        for plan in self:
            used = plan.with_context(active_test=False)
            if used.subscription_ids:
                raise UserError(
                    self.env._(
                        "Plan: %(plan)s has subscriptions, such as %(subscription)s. Archive the plan instead of "
                        "deleting it: then nobody new subscribes to it.",
                        plan=plan.name,
                        subscription=used.subscription_ids[0].name,
                    )
                )
            approved = used.price_ids.filtered(lambda price: price.state != "draft")
            if approved:
                raise UserError(
                    self.env._(
                        "Prices: %(plan)s has approved prices, such as that of %(price)s. Archive the plan instead of "
                        "deleting it, or take their approval back first.",
                        plan=plan.name,
                        price=approved[0]._subject(),
                    )
                )

    def action_view_subscriptions(self):
        """The subscriptions to this plan."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_subscription")
        return {**action, "domain": [("plan_id", "in", self.ids)], "context": {"default_plan_id": self[:1].id}}
