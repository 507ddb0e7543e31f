from odoo import api, models
from odoo.tools import SQL


class BasePartnerMerge(models.TransientModel):
    """When customers are merged, their signals go along; what was signalled of both is kept once."""

    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        self.env["usage.signal"].flush_model()
        query = SQL(
            """
            SELECT id FROM (
                SELECT id, row_number() OVER (
                    PARTITION BY rule_id, company_id, meter_id, subscription_line_id, period_start
                    ORDER BY partner_id = %s DESC, id
                ) AS number
                FROM usage_signal WHERE partner_id = ANY(%s)
            ) signals WHERE number > 1
            """,
            dst_partner.id,
            (src_partners | dst_partner).ids,
        )
        # sudo: whoever merges contacts need not know of their signals
        self.env["usage.signal"].sudo().browse(row[0] for row in self.env.execute_query(query)).unlink()
        return super()._update_foreign_keys(src_partners, dst_partner)
