from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.constants import GC_UNLINK_LIMIT

from ..delivery import signing

HINT_LENGTH = 4  # last characters of a secret, to tell one from another


class UsageEndpointSecret(models.Model):
    _name = "usage.endpoint.secret"
    _description = "Signing Secret of a Usage Endpoint"
    _order = "id desc"
    _rec_name = "hint"
    _auto = False  # so that the secret is a column which no field, and so no reader, knows of
    _allow_sudo_commands = False

    endpoint_id = fields.Many2one("usage.endpoint", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="endpoint_id.company_id")
    hint = fields.Char(string="Ends With", readonly=True, help="Last characters of the secret.")
    create_uid = fields.Many2one("res.users", string="Made By", readonly=True)
    create_date = fields.Datetime(string="Made On", readonly=True, help="When the secret was made (UTC).")
    expires_at = fields.Datetime(
        string="Signs Until",
        readonly=True,
        help="Messages are signed with the secret until then (UTC); empty for the current one.",
    )

    def init(self):
        self.env.cr.execute(
            """
            CREATE TABLE IF NOT EXISTS usage_endpoint_secret (
                id serial PRIMARY KEY,
                endpoint_id integer NOT NULL REFERENCES usage_endpoint (id) ON DELETE CASCADE,
                hint varchar NOT NULL,
                secret varchar NOT NULL,
                create_uid integer REFERENCES res_users (id) ON DELETE SET NULL,
                create_date timestamp NOT NULL,
                expires_at timestamp
            );
            CREATE INDEX IF NOT EXISTS usage_endpoint_secret_endpoint_idx ON usage_endpoint_secret (endpoint_id);
            """
        )

    @api.model
    def _rotate(self, endpoint, overlap):
        """A new secret for an endpoint; the one that it replaces goes on signing beside it for a while.

        A secret that was replaced before ends at once: two sign, never more.

        :param endpoint: one ``usage.endpoint``, whose administrator the caller has checked
        :param timedelta overlap: how long the replaced secret goes on signing
        :return: the secret, which cannot be read again later
        """
        now = fields.Datetime.now()
        self._end(endpoint, now, replaced=True)
        self._end(endpoint, now + overlap, replaced=False)
        secret = signing.new_secret()
        self.env.cr.execute(
            SQL(
                "INSERT INTO usage_endpoint_secret (endpoint_id, hint, secret, create_uid, create_date) "
                "VALUES (%s, %s, %s, %s, %s)",
                endpoint.id,
                secret[-HINT_LENGTH:],
                secret,
                self.env.uid,
                now,
            )
        )
        self._forget(endpoint)
        return secret

    @api.model
    def _end(self, endpoint, at, replaced):
        """Set the end of the endpoint's secrets that were replaced before, or of the current one."""
        state = SQL("expires_at > %s", at) if replaced else SQL("expires_at IS NULL")
        query = SQL(
            "UPDATE usage_endpoint_secret SET expires_at = %s WHERE endpoint_id = %s AND %s", at, endpoint.id, state
        )
        self.env.cr.execute(query)
        self._forget(endpoint)

    def _forget(self, endpoint):
        self.invalidate_model()
        endpoint.invalidate_recordset(["secret_ids", "has_secret"])

    @api.model
    def _signing(self, endpoint, now):
        """The secrets that an endpoint's messages are signed with, the current one first.

        :param datetime now: naive UTC
        :return: list of texts, empty when nobody made one yet
        """
        query = SQL(
            "SELECT secret FROM usage_endpoint_secret "
            "WHERE endpoint_id = %s AND (expires_at IS NULL OR expires_at > %s) ORDER BY id DESC",
            endpoint.id or None,
            now,
        )
        return [secret for [secret] in self.env.execute_query(query)]

    @api.autovacuum
    def _gc_expired(self):
        """Remove secrets that have not signed anything for a week."""
        domain = [("expires_at", "<", fields.Datetime.now() - timedelta(days=7))]
        expired = self.search(domain, limit=GC_UNLINK_LIMIT)
        expired.unlink()
        return len(expired), len(expired) == GC_UNLINK_LIMIT
