from odoo import models


class ResUsersApikeys(models.Model):
    _inherit = "res.users.apikeys"

    def unlink(self):
        """A removed key is forgotten at once, in every process, by the cache of verified keys."""
        self.env.registry.clear_cache()
        return super().unlink()
