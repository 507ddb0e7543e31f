from odoo import fields, models


class UsageBatch(models.Model):
    _inherit = "usage.batch"

    import_id = fields.Many2one(
        "usage.import",
        string="File Import",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The file whose rows these events were; empty when a system sent them.",
    )
