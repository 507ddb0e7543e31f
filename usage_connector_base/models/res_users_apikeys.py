from odoo import models


class ResUsersApikeys(models.Model):
    _inherit = "res.users.apikeys"

    def unlink(self):
        """A removed key is forgotten at once, in every process, by the cache of verified keys."""
        self.env.registry.clear_cache()
        # sudo: whoever may remove a key may have it noted; the note says who did
        self.env["usage.source.key"].sudo()._note_removed(self)
        return super().unlink()
