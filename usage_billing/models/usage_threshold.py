"""At which amounts a period that runs is billed in part: of a plan, or of one subscription."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..numbers import exact

KINDS = [("at", "When the period costs"), ("every", "And again for each further")]


class UsageThreshold(models.Model):
    _name = "usage.threshold"
    _description = "Threshold of Interim Statements"
    _order = "currency_id, kind, amount, id"

    plan_id = fields.Many2one("usage.plan", index="btree_not_null", ondelete="cascade")
    subscription_id = fields.Many2one("usage.subscription", index="btree_not_null", ondelete="cascade")
    company_id = fields.Many2one(
        "res.company", compute="_compute_company_id", store=True, precompute=True, required=True, index=True
    )
    currency_id = fields.Many2one(
        "res.currency",
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
        required=True,
        help="Whose subscriptions the amount is for: those that are billed in this currency.",
    )
    kind = fields.Selection(
        KINDS,
        string="Billed",
        required=True,
        default="at",
        help="When the period costs: once it has cost this amount. And again for each further: whenever it has cost so "
        "much more than the highest of those amounts, or than nothing where there is none.",
    )
    amount = fields.Monetary(
        required=True,
        help="What usage of the period has cost, before tax, when an interim statement charges what is new.",
    )

    _owner = models.Constraint(
        "CHECK((plan_id IS NULL) <> (subscription_id IS NULL))",
        "Threshold: it belongs to a plan or to a subscription. Enter it on one of them.",
    )

    @api.depends("plan_id.company_id", "subscription_id.company_id")
    def _compute_company_id(self):
        for threshold in self:
            threshold.company_id = threshold.subscription_id.company_id or threshold.plan_id.company_id

    @api.depends("plan_id.currency_id", "subscription_id.currency_id")
    def _compute_currency_id(self):
        """The subscription's own; of a plan its currency, unless another one is chosen."""
        for threshold in self:
            owner = threshold.subscription_id.currency_id or threshold.currency_id or threshold.plan_id.currency_id
            threshold.currency_id = owner

    @api.depends("kind", "amount", "currency_id")
    @api.depends_context("lang")
    def _compute_display_name(self):
        labels = dict(self._fields["kind"]._description_selection(self.env))
        for threshold in self:
            amount = threshold.currency_id.format(threshold.amount) if threshold.currency_id else threshold.amount
            threshold.display_name = f"{labels.get(threshold.kind, '')} {amount}"

    @api.constrains("amount", "kind", "currency_id", "plan_id", "subscription_id")
    def _check_ascending(self):
        """Refuse amounts that cannot be passed, or not one after the other."""
        for threshold in self:
            amount = threshold.currency_id.format(threshold.amount)
            if threshold.currency_id.compare_amounts(threshold.amount, 0) <= 0:
                raise ValidationError(
                    self.env._("Amount: a threshold is above 0, and %s is not. Enter a higher amount.", amount)
                )
            others = threshold._siblings() - threshold
            if threshold.kind == "every" and "every" in others.mapped("kind"):
                raise ValidationError(
                    self.env._(
                        "Billed: '%s' stands twice. Keep one of them.",
                        dict(self._fields["kind"]._description_selection(self.env))["every"],
                    )
                )
            same = others.filtered(lambda other, own=threshold: other.kind == own.kind == "at")
            if any(not threshold.currency_id.compare_amounts(threshold.amount, other.amount) for other in same):
                raise ValidationError(
                    self.env._(
                        "Amount: %s stands twice, but each threshold is above the one before. Change or remove one.",
                        amount,
                    )
                )

    def _siblings(self):
        """Return the thresholds that apply together with this one, itself included."""
        owner = self.subscription_id or self.plan_id
        return owner.threshold_ids.filtered(lambda other: other.currency_id == self.currency_id)

    # -- who may ------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Thresholds are changed by those who may change what they belong to."""
        thresholds = super().create(vals_list)
        thresholds._check_owner_access()
        return thresholds

    def write(self, vals):
        """Refuse changes by who may not change the plan."""
        self._check_owner_access()
        res = super().write(vals)
        self._check_owner_access()
        return res

    @api.ondelete(at_uninstall=False)
    def _unlink_with_owner(self):
        self._check_owner_access()

    def _check_owner_access(self):
        for owners in (self.plan_id, self.subscription_id):
            if owners:
                owners.check_access("write")


class UsagePlan(models.Model):
    _inherit = "usage.plan"

    threshold_ids = fields.One2many("usage.threshold", "plan_id", string="Interim Statements", copy=True)


class UsageSubscription(models.Model):
    _inherit = "usage.subscription"

    interim_billing = fields.Selection(
        [("plan", "As the plan says"), ("own", "At amounts of its own"), ("never", "Never")],
        string="Interim Statements",
        required=True,
        default="plan",
        tracking=True,
        help="When a period that runs is billed in part: an interim statement charges what is new as soon as the usage "
        "of the period has cost one of the amounts. The period costs the same in all.",
    )
    threshold_ids = fields.One2many("usage.threshold", "subscription_id", string="Thresholds", copy=True)

    @api.constrains("interim_billing", "threshold_ids")
    def _check_thresholds(self):
        for subscription in self:
            if subscription.interim_billing == "own" and not subscription.threshold_ids:
                raise ValidationError(
                    self.env._(
                        "Interim Statements: there are no amounts of its own. Enter one, or choose as the plan says."
                    )
                )

    def _thresholds(self):
        """Return (amounts, step): at which amounts, as Decimals, the running period is billed in part.

        The step of further amounts is None where there is none; without amounts they begin with it.
        """
        if self.interim_billing == "never":
            return [], None
        owner = self if self.interim_billing == "own" else self.plan_id
        own = owner.threshold_ids.filtered(lambda threshold: threshold.currency_id == self.currency_id)
        amounts = [exact(threshold.amount) for threshold in own if threshold.kind == "at"]
        steps = [exact(threshold.amount) for threshold in own if threshold.kind == "every"]
        return amounts or steps, steps[0] if steps else None
