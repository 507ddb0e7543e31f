from odoo import fields, models

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

    _usage_rating_delay = models.Constraint(
        "CHECK(usage_rating_delay >= 0)", "The waiting time before rating cannot be negative."
    )
