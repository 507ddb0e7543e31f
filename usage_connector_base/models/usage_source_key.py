from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from odoo.addons.base.models.res_users import INDEX_SIZE

from ..guard import unlocked
from ..tools import read_committed_cursor

USED_MINUTES = 5  # "last used" is written as seldom: keys are used all the time
WARNING_DAYS = 14  # before its last key expires a source's responsible is told
ACTIVITY = "usage_connector_base.activity_type_key_expiry"


class UsageSourceKey(models.Model):
    """What is known of one API key of a source: everything but the key.

    Odoo keeps a hash of the key, and deletes that when the key has expired; this record stays, so
    that it can always be said with which key a request was sent, and who made it.
    """

    _name = "usage.source.key"
    _description = "API Key of a Usage Source"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"

    name = fields.Char(readonly=True, required=True, help="What the key was called by who made it.")
    source_id = fields.Many2one("usage.source", readonly=True, required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    apikey_id = fields.Integer(readonly=True, required=True, index=True, help="Id of Odoo's own record of the key.")
    expires = fields.Datetime(readonly=True, required=True, help="When the key stops working (UTC).")
    last_used = fields.Datetime(
        readonly=True, help="When usage was last sent with the key (UTC), to within some minutes; empty: never."
    )
    replaced_by_id = fields.Many2one("usage.source.key", readonly=True, index="btree_not_null", ondelete="set null")
    revoked_by_id = fields.Many2one("res.users", readonly=True)
    revoked_date = fields.Datetime(string="Revoked On", readonly=True, help="When the key was revoked (UTC).")
    state = fields.Selection(
        [("valid", "Valid"), ("expired", "Expired"), ("revoked", "Revoked")],
        compute="_compute_state",
        search="_search_state",
        help="Expired and revoked keys are refused with 401.",
    )

    @api.depends("expires", "revoked_date")
    def _compute_state(self):
        now = fields.Datetime.now()
        for key in self:
            key.state = "revoked" if key.revoked_date else "valid" if key.expires > now else "expired"

    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        now, kept = fields.Datetime.now(), Domain("revoked_date", "=", False)
        domains = {
            "valid": kept & Domain("expires", ">", now),
            "expired": kept & Domain("expires", "<=", now),
            "revoked": ~kept,
        }
        return Domain.OR(domains[state] for state in value if state in domains)

    # -- making and using -------------------------------------------------------------------

    @api.model
    def _remember(self, source, key, name, expiry):
        """The record of a key that was just made."""
        # sudo: administrators make keys through the methods of a source, which ask who they are
        record = unlocked(self.sudo()).create(
            {
                "name": name,
                "source_id": source.id,
                "company_id": source.company_id.id,
                "apikey_id": self._apikey_id(source, key),
                "expires": expiry,
            }
        )
        source._close_key_warning()
        return record.sudo(False)

    def _apikey_id(self, source, key):
        """Id of Odoo's record of a verified key, None where it cannot be told from another."""
        query = SQL(
            "SELECT id FROM res_users_apikeys WHERE user_id = %s AND index = %s",
            source.user_id.id,
            key[:INDEX_SIZE],
        )
        found = self.env.execute_query(query)
        return found[0][0] if len(found) == 1 else None

    @api.model
    def _used(self, source, key):
        """The record of a key that was just verified, which is now known to be in use."""
        apikey_id = self._apikey_id(source, key)
        found = self.search([("apikey_id", "=", apikey_id)], limit=1) if apikey_id else self
        if found and found._is_use_to_be_written():
            # Not in the request's own transaction, where others that use the key would be in its way.
            with read_committed_cursor(self.env) as cr:
                cr.execute(
                    SQL("UPDATE usage_source_key SET last_used = now() AT TIME ZONE 'UTC' WHERE id = %s", found.id)
                )
        return found

    def _is_use_to_be_written(self):
        if self.env.cr.readonly:  # a question, which changes nothing
            return False
        written = self.last_used
        return not written or written < fields.Datetime.now() - timedelta(minutes=USED_MINUTES)

    # -- ending -----------------------------------------------------------------------------

    def action_revoke(self):
        """Remove these keys: from this moment nothing is taken that is sent with them."""
        self.source_id._check_administrator()
        self.check_access("read")
        if any(key.state != "valid" for key in self):
            raise UserError(self.env._("Only valid keys can be revoked: leave the others out."))
        self._apikeys().unlink()

    def _apikeys(self):
        # sudo: keys belong to API users; administrators end them, and read none
        return self.env["res.users.apikeys"].sudo().browse(self.mapped("apikey_id")).exists()

    def _expire_by(self, moment, successor):
        """Let the keys expire at ``moment``, unless they do so sooner, since another replaces them."""
        if moment <= fields.Datetime.now():
            self._apikeys().unlink()
        later = self.filtered(lambda key: key.expires > moment)
        # As in Odoo's own record, which is what decides.
        self.env.cr.execute(
            SQL(
                "UPDATE res_users_apikeys SET expiration_date = %s WHERE id = ANY(%s)",
                moment,
                later.mapped("apikey_id"),
            )
        )
        # sudo: as in _remember
        unlocked(later.sudo()).write({"expires": moment})
        unlocked(self.sudo()).write({"replaced_by_id": successor.id})
        self.env.registry.clear_cache()

    @api.model
    def _note_removed(self, apikeys):
        """Keep who removed keys, and when; they may have been removed past their source."""
        records = self.search([("apikey_id", "in", apikeys.ids), ("state", "=", "valid")])
        unlocked(records).write({"revoked_by_id": self.env.uid, "revoked_date": fields.Datetime.now()})


class UsageSource(models.Model):
    _inherit = "usage.source"

    key_ids = fields.One2many("usage.source.key", "source_id", string="Keys")

    @api.model
    def _cron_watch(self):
        """Tell of keys that expire soon, and settle refusals that have ended."""
        self._warn_of_expiry()
        self.env["usage.exception"]._resolve_quiet(fields.Datetime.now() - timedelta(hours=1))

    def _warn_of_expiry(self):
        """Have the responsible of a source rotate its key, once, when the last one expires soon."""
        days = int(self.env["ir.config_parameter"].sudo().get_param("usage.key_warning_days", WARNING_DAYS))
        until = fields.Datetime.now() + timedelta(days=days)
        keys = self.env["usage.source.key"]
        latest = keys._read_group(
            [("source_id.state", "=", "approved"), ("state", "=", "valid")], ["source_id"], ["expires:max"]
        )
        for source, expires in latest:
            if expires <= until and not source.activity_search([ACTIVITY]):
                source._schedule_key_warning(expires)

    def _schedule_key_warning(self, expires):
        self.activity_schedule(
            ACTIVITY,
            date_deadline=expires.date(),
            summary=self.env._("The last API key expires: rotate it"),
            note=self.env._("After %s nothing that this source sends is taken, until it has a new key.", expires),
            user_id=(self.owner_id or self.approved_by_id).id,
        )

    def _close_key_warning(self):
        # sudo: the activity is its owner's; who makes a new key has done what it asks for
        self.sudo().activity_unlink([ACTIVITY])
