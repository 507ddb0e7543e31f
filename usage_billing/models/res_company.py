from odoo import api, fields, models
from odoo.exceptions import ValidationError

from odoo.addons.base.models.res_partner import _tz_get


class ResCompany(models.Model):
    _inherit = "res.company"

    usage_auto_rate = fields.Boolean(
        string="Rate Ended Periods",
        default=True,
        help="Statements are rated by themselves once their period is over. Off: preparers rate them.",
    )
    usage_rating_delay = fields.Integer(
        string="Waiting Time (hours)",
        default=6,
        help="Hours to wait after the end of a period before its statement is rated, for usage that arrives late.",
    )
    usage_journal_id = fields.Many2one(
        "account.journal",
        string="Journal for Usage Invoices",
        domain="[('type', '=', 'sale')]",
        check_company=True,
        help="Journal of the invoices made from statements; empty: the first sales journal.",
    )
    usage_tz = fields.Selection(
        _tz_get,
        string="Time Zone of Subscriptions",
        help="Time zone proposed for new subscriptions; empty: that of whoever makes them.",
    )

    usage_credit_alerts = fields.Char(
        string="Tell of Used Credit at (%)",
        default="80, 100",
        help="Shares of a prepaid credit, joined by commas: when so much is used, its responsible person is told, "
        "once each. Empty: nobody is told.",
    )

    _usage_rating_delay = models.Constraint(
        "CHECK(usage_rating_delay >= 0)", "The waiting time before rating cannot be negative."
    )

    @api.constrains("usage_credit_alerts")
    def _check_usage_credit_alerts(self):
        for company in self:
            try:
                valid = all(0 < percent <= 100 for percent in company._usage_credit_percentages())
            except ValueError:
                valid = False
            if not valid:
                raise ValidationError(
                    self.env._("'Tell of Used Credit' takes whole percentages from 1 to 100, such as 50, 80, 100.")
                )

    def _usage_credit_percentages(self):
        """Return the percentages as ints, in the order in which they were typed."""
        return [int(part) for part in (self.usage_credit_alerts or "").split(",") if part.strip()]
