from odoo import api, fields, models


class UsageDeliveryType(models.Model):
    _name = "usage.delivery.type"
    _description = "Usage Message Type"
    _order = "code"
    _rec_names_search = ["code", "name"]

    # Types are the same for all companies: they come with the addons that tell of the facts.
    code = fields.Char(required=True, readonly=True, help="The message's type as receivers see it.")
    name = fields.Char(required=True, readonly=True, translate=True, help="What such a message tells.")
    is_test = fields.Boolean(readonly=True, help="Sent from an endpoint's form only: nobody subscribes to it.")

    _code_uniq = models.Constraint("UNIQUE(code)", "There is a message type with this code already.")

    @api.depends("name", "code")
    def _compute_display_name(self):
        for kind in self:
            kind.display_name = f"{kind.name} ({kind.code})"
