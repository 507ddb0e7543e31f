from odoo import api, models
from odoo.exceptions import AccessError

from ..guard import is_unlocked


class UsageGuardedMixin(models.AbstractModel):
    """Records whose facts change through their own methods alone, ``sudo`` included.

    ``_guarded_fields`` names the fields under guard; ``None`` stands for all of them. Creating
    and deleting is guarded in any case. See :mod:`odoo.addons.usage_connector_base.guard`.
    """

    _name = "usage.guarded.mixin"
    _description = "Guarded Facts"

    _guarded_fields: frozenset | None = None

    @api.model_create_multi
    def create(self, vals_list):
        """Create records in guarded code; raises ``AccessError`` for anyone else."""
        self._check_unlocked()
        return super().create(vals_list)

    def write(self, vals):
        """Write unguarded fields; raises ``AccessError`` for guarded ones outside their code."""
        guarded = vals if self._guarded_fields is None else self._guarded_fields & vals.keys()
        if guarded:
            self._check_unlocked()
        return super().write(vals)

    def unlink(self):
        """Delete records in guarded code; raises ``AccessError`` for anyone else."""
        self._check_unlocked()
        return super().unlink()

    def _check_unlocked(self):
        if not is_unlocked(self.env):
            raise AccessError(
                self.env._(
                    "%s: this is a fact, which the buttons of its screen change and nothing else. Use them instead.",
                    self._description,
                )
            )
