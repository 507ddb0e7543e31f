import hashlib
import time
from datetime import timedelta
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import AccessDenied, UserError
from odoo.fields import Command
from odoo.tools import SQL, ormcache

from ..guard import is_unlocked, unlocked

KEY_SCOPE = "usage"  # keys of this scope open nothing but the ingestion routes
KEY_CACHE_SECONDS = 30

# Written by Approve and Suspend alone, see ``guard``.
APPROVAL = {"state", "user_id", "prepared_by_id", "approved_by_id", "approved_date"}
# What a Sender holds: a change is known at once, in every process.
CACHED = {*APPROVAL, "company_id", "environment", "allowed_networks", "rate_limit", "rate_unit", "rate_burst"}


class Sender(NamedTuple):
    """Who a valid key belongs to, as plain values: cached across requests."""

    source_id: int
    company_id: int
    user_id: int
    state: str
    environment: str
    networks: tuple = ()  # of ipaddress networks; () when every address may send
    rate: float = 0.0  # events a second; 0 when there is no limit
    burst: int = 0  # events that may come at once, where there is a limit
    key_id: int | None = None  # the usage.source.key that was sent, where there is a record of it


class UsageSource(models.Model):
    _name = "usage.source"
    _description = "Usage Source"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True)
    code = fields.Char(
        required=True,
        tracking=True,
        help="Short name of the sending system, unique in the company.",
    )
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    environment = fields.Selection(
        [("production", "Production"), ("staging", "Staging"), ("development", "Development")],
        required=True,
        default="production",
        tracking=True,
        help="Only usage of production sources is billed and raises signals.",
    )
    owner_id = fields.Many2one(
        "res.users",
        string="Responsible",
        default=lambda self: self.env.user,
        tracking=True,
        help="Whom to ask about this system, and who is told of its exceptions.",
    )
    user_id = fields.Many2one(
        "res.users",
        string="API User",
        readonly=True,
        copy=False,
        index=True,
        help="Technical user whose key the system sends. It can send events for this source and nothing else.",
    )
    state = fields.Selection(
        [("draft", "Awaiting Approval"), ("approved", "Approved"), ("suspended", "Suspended")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Events are taken only while a source is approved, by a second administrator.",
    )
    prepared_by_id = fields.Many2one(
        "res.users",
        readonly=True,
        copy=False,
        help="Who set up what there is to approve, and so cannot approve it.",
    )
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False)
    approved_date = fields.Datetime(
        string="Approved On", readonly=True, copy=False, help="When the source was last approved (UTC)."
    )
    account_ids = fields.One2many("usage.account", "source_id", string="Accounts")
    account_count = fields.Integer(compute="_compute_counts")
    unmapped_count = fields.Integer(
        string="Unmapped Accounts",
        compute="_compute_counts",
        help="Accounts that nobody has assigned to a customer yet: their usage waits.",
    )
    open_exception_count = fields.Integer(compute="_compute_counts", string="Open Exceptions")
    key_count = fields.Integer(
        string="Valid Keys", compute="_compute_key_count", help="API keys that have not expired."
    )
    last_received = fields.Datetime(
        compute="_compute_last_received", help="When the last request of this source arrived (UTC)."
    )

    _code_uniq = models.Constraint(
        "UNIQUE(company_id, code)", "Another source of this company has this code: choose another one."
    )

    def _compute_counts(self):
        accounts = dict(
            self.env["usage.account"]._read_group([("source_id", "in", self.ids)], ["source_id"], ["__count"])
        )
        unmapped = dict(
            self.env["usage.account"]._read_group(
                [("source_id", "in", self.ids), ("partner_id", "=", False)], ["source_id"], ["__count"]
            )
        )
        exceptions = dict(
            self.env["usage.exception"]._read_group(
                [("source_id", "in", self.ids), ("state", "=", "open")], ["source_id"], ["__count"]
            )
        )
        for source in self:
            source.account_count = accounts.get(source, 0)
            source.unmapped_count = unmapped.get(source, 0)
            source.open_exception_count = exceptions.get(source, 0)

    def _compute_key_count(self):
        keys = self._keys()
        for source in self:
            source.key_count = len(keys.filtered(lambda key, user=source.user_id: key.user_id == user))

    def _compute_last_received(self):
        latest = dict(
            self.env["usage.batch"]._read_group([("source_id", "in", self.ids)], ["source_id"], ["received_at:max"])
        )
        for source in self:
            source.last_received = latest.get(source, False)

    def _keys(self):
        """Keys of the sources' API users that have not expired."""
        # sudo: keys are readable by their own user only; we show no more than how many there are
        return (
            self.env["res.users.apikeys"]
            .sudo()
            .search(
                [
                    ("user_id", "in", self.user_id.ids),
                    ("scope", "=", KEY_SCOPE),
                    "|",
                    ("expiration_date", "=", False),
                    ("expiration_date", ">", fields.Datetime.now()),
                ]
            )
        )

    # -- approval ---------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        # A source starts unapproved, whoever creates it, and whatever defaults the context names.
        unapproved = {**dict.fromkeys(APPROVAL, False), "state": "draft", "prepared_by_id": self.env.uid}
        return super().create([{**vals, **unapproved} for vals in vals_list])

    def write(self, vals):
        if APPROVAL & vals.keys() and not is_unlocked(self.env):
            raise UserError(self.env._("Use Approve or Suspend to change the state of a source."))
        if CACHED & vals.keys():
            self.env.registry.clear_cache()
        changed = self.filtered(lambda source: source._changes_what_is_approved(vals))
        res = super().write(vals)
        if changed:
            unapproved = {"state": "draft", "approved_by_id": False, "approved_date": False}
            changed._set_state({**unapproved, "prepared_by_id": self.env.uid})
        return res

    def _set_state(self, vals):
        return unlocked(self).write(vals)

    def _changes_what_is_approved(self, vals):
        """Whether the values make another thing of the source, such as one that is billed of a test system."""
        company_id = vals.get("company_id", self.company_id.id)
        if company_id != self.company_id.id and (self.account_ids or self.user_id):
            raise UserError(
                self.env._("%s is in use: create a source for the other company instead.", self.display_name)
            )
        environment = vals.get("environment", self.environment)
        if environment == "production" != self.environment and self._has_events():
            raise UserError(
                self.env._(
                    "%s has usage of a test system, which must not be billed: create a source for production instead.",
                    self.display_name,
                )
            )
        return environment != self.environment

    def _has_events(self):
        query = SQL(
            "SELECT 1 FROM usage_batch WHERE source_id = %s AND accepted_count + quarantined_count > 0 LIMIT 1", self.id
        )
        return bool(self.env.execute_query(query))

    @api.ondelete(at_uninstall=False)
    def _unlink_unapproved(self):
        for source in self.filtered("user_id"):
            raise UserError(self.env._("%s has an API user: suspend it instead of deleting it.", source.name))

    def action_approve(self):
        """Approve the sources: by an administrator other than the one who prepared them."""
        self._check_administrator()
        for source in self:
            if source.prepared_by_id == self.env.user:
                raise UserError(
                    self.env._("%s was set up by you: a second administrator must approve it.", source.name)
                )
            source._ensure_api_user()
        self._set_state({"state": "approved", "approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()})

    def action_suspend(self):
        """Stop taking events of the sources until they are approved again."""
        self._check_administrator()
        self._set_state({"state": "suspended"})

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator may do this."))

    def _ensure_api_user(self):
        if self.user_id:
            return
        # sudo: a usage administrator need not administer users; this one can do nothing but send
        users = self.env["res.users"].sudo().with_context(no_reset_password=True)
        user = users.create(
            {
                "name": self.env._("Usage API: %s", self.name),
                "login": f"usage-{self.company_id.id}-{self.code}",
                "company_id": self.company_id.id,
                "company_ids": [Command.set(self.company_id.ids)],
                "group_ids": [Command.set(self.env.ref("usage_connector_base.group_usage_ingestion").ids)],
            }
        )
        self._set_state({"user_id": user.id})

    # -- keys -------------------------------------------------------------------------------

    def action_generate_key(self):
        """Open the dialog that makes a key and shows it once."""
        self.ensure_one()
        self._check_administrator()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("New API Key"),
            "res_model": "usage.key.wizard",
            "view_mode": "form",
            "target": "new",
            "context": {"default_source_id": self.id},
        }

    def action_revoke_keys(self):
        """Remove every key of the sources: from this moment nothing they send is taken."""
        self._check_administrator()
        self._keys().unlink()

    def action_rotate_key(self):
        """Open the dialog that makes a key, and lets the others expire once it is installed."""
        action = self.action_generate_key()
        return {
            **action,
            "name": self.env._("Rotate API Key"),
            "context": {**action["context"], "default_rotate": True},
        }

    def _generate_key(self, name=None, days=365):
        """A new key of the source's API user; older ones stay valid until they expire.

        :param str name: what the key is called in the list of keys
        :param int days: how long it is valid
        :return: the key, which cannot be read again later
        """
        return self._make_key(name or self.name, days)[0]

    def _rotate_key(self, name, days, overlap_days):
        """A new key; those before it expire after the overlap, if not sooner.

        :param int overlap_days: how long the replaced keys stay valid; 0: they end now
        :return: the key, which cannot be read again later
        """
        key, record = self._make_key(name, days)
        replaced = self.key_ids.filtered(lambda x: x.state == "valid") - record
        replaced._expire_by(fields.Datetime.now() + timedelta(days=overlap_days), record)
        return key

    def _make_key(self, name, days):
        """Make a key.

        :return: (the key, its ``usage.source.key``)
        """
        self.ensure_one()
        self._check_administrator()
        if self.state != "approved":
            raise UserError(self.env._("%s is not approved: approve it before you make a key.", self.name))
        expiry = fields.Datetime.now() + timedelta(days=days)
        # sudo: the key belongs to the API user, who cannot log in to make it
        keys = self.env["res.users.apikeys"].with_user(self.user_id).sudo()
        key = keys._generate(KEY_SCOPE, name, expiry)
        return key, self.env["usage.source.key"]._remember(self, key, name, expiry)

    @api.model
    def _authenticate(self, key):
        """Who sends with this key.

        :param str key: as in the Authorization header
        :return: :class:`Sender`
        :raises AccessDenied: the key is wrong, expired or revoked
        """
        key_hash = hashlib.sha256(key.encode()).digest()
        return self._sender_of_key(key_hash, int(time.time() / KEY_CACHE_SECONDS), key)

    # Verifying a key is slow on purpose. The cache knows it by its hash only, forgets it when any
    # key is removed (see res.users.apikeys) and in any case when the next time slot begins.
    @ormcache("key_hash", "slot")
    def _sender_of_key(self, key_hash, slot, key):
        # sudo: nobody is logged in yet; the key itself is what is being checked
        uid = self.env["res.users.apikeys"].sudo()._check_credentials(scope=KEY_SCOPE, key=key) if key else None
        source = uid and self.sudo().search([("user_id", "=", uid)], limit=1)
        if not source:
            raise AccessDenied()
        return source._as_sender(self.env["usage.source.key"].sudo()._used(source, key))

    def _as_sender(self, key=None):
        """The source as a sender.

        :param key: the ``usage.source.key`` that was sent, if there was one
        """
        self.ensure_one()
        return Sender(
            self.id,
            self.company_id.id,
            self.user_id.id,
            self.state,
            self.environment,
            self._networks(),
            self._rate(),
            self._burst(),
            key and key.id or None,
        )

    # -- smart buttons ----------------------------------------------------------------------

    def action_view_accounts(self):
        return self._action_of_source("usage_connector_base.action_usage_account")

    def action_view_exceptions(self):
        return self._action_of_source("usage_connector_base.action_usage_exception")

    def action_view_batches(self):
        return self._action_of_source("usage_connector_base.action_usage_batch")

    def _action_of_source(self, xmlid):
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        return {**action, "domain": [("source_id", "in", self.ids)], "context": {}}
