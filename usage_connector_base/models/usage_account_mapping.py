import logging

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.tools import split_every

from ..guard import unlocked

_logger = logging.getLogger(__name__)

AT_ONCE = 200  # accounts that are assigned while the person waits
CHUNK = 100  # accounts that are assigned and committed together in the background


class UsageAccountMapping(models.Model):
    """Many accounts to be assigned in the background, for the person who asked for it."""

    _name = "usage.account.mapping"
    _description = "Assignment of Many Accounts"
    _inherit = ["usage.guarded.mixin", "mail.thread"]
    _order = "id desc"

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    user_id = fields.Many2one("res.users", string="Asked By", required=True, readonly=True)
    create_date = fields.Datetime(string="Asked On", readonly=True)
    date_from = fields.Datetime(string="From", readonly=True, help="First hour of the assignments; empty: no begin.")
    date_to = fields.Datetime(string="Until", readonly=True, help="Hour at which they end; empty: no end.")
    state = fields.Selection(
        [("running", "Running"), ("done", "Done")],
        string="Status",
        required=True,
        readonly=True,
        default="running",
        index=True,
    )
    finished_date = fields.Datetime(string="Finished On", readonly=True, help="When the last account was done (UTC).")
    line_ids = fields.One2many("usage.account.mapping.line", "mapping_id", string="Accounts")
    account_count = fields.Integer(string="Accounts in All", compute="_compute_counts")
    done_count = fields.Integer(string="Assigned", compute="_compute_counts")
    failed_count = fields.Integer(string="Failed", compute="_compute_counts")
    progress = fields.Float(compute="_compute_counts", help="Part of the accounts that are done, in percent.")

    _guarded_fields = frozenset({"company_id", "user_id", "date_from", "date_to", "state", "finished_date", "line_ids"})

    @api.depends("line_ids.state")
    def _compute_counts(self):
        groups = self.env["usage.account.mapping.line"]._read_group(
            [("mapping_id", "in", self.ids)], ["mapping_id", "state"], ["__count"]
        )
        counts = {(mapping.id, state): count for mapping, state, count in groups}
        for mapping in self:
            waiting, done, failed = (counts.get((mapping.id, state), 0) for state in ("waiting", "done", "failed"))
            mapping.account_count = waiting + done + failed
            mapping.done_count, mapping.failed_count = done, failed
            mapping.progress = 100 * (done + failed) / mapping.account_count if mapping.account_count else 0

    @api.depends("account_count", "user_id")
    def _compute_display_name(self):
        for mapping in self:
            mapping.display_name = self.env._(
                "%(count)s accounts, %(user)s", count=mapping.account_count, user=mapping.user_id.name
            )

    # -- asking -----------------------------------------------------------------------------

    @api.model
    def _map(self, pairs, date_from=False, date_to=False):
        """Assign accounts to customers: a few at once, many in the background.

        :param pairs: list of (``usage.account``, ``res.partner``), each account once
        :return: action that closes the dialog, or shows how far it has come
        """
        if len(pairs) <= AT_ONCE:
            for partner, accounts in _by_customer(pairs).items():
                accounts._assign(partner, date_from, date_to)
            return {"type": "ir.actions.act_window_close"}
        mapping = self._start(pairs, date_from, date_to)
        return {
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": mapping.id,
            "view_mode": "form",
            "name": self.env._("Assigning %s Accounts", len(pairs)),
        }

    def _start(self, pairs, date_from, date_to):
        accounts = self.env["usage.account"].union(*(account for account, _partner in pairs))
        accounts.check_access("write")
        mapping = unlocked(self).create(
            {
                "company_id": self.env.company.id,
                "user_id": self.env.uid,
                "date_from": date_from,
                "date_to": date_to,
            }
        )
        unlocked(self.env["usage.account.mapping.line"]).create(
            [
                {"mapping_id": mapping.id, "account_id": account.id, "partner_id": partner.id}
                for account, partner in pairs
            ]
        )
        self._wake()
        return mapping

    def _wake(self):
        # sudo: operators may not read scheduled jobs
        self.env.ref("usage_connector_base.cron_map").sudo()._trigger()

    def action_retry(self):
        """Try the accounts that failed once more."""
        self.check_access("write")
        unlocked(self.line_ids.filtered(lambda line: line.state == "failed")).write(
            {"state": "waiting", "message": False}
        )
        unlocked(self).write({"state": "running", "finished_date": False})
        self._wake()

    # -- doing ------------------------------------------------------------------------------

    @api.model
    def _cron_map(self):
        """Assign the accounts that wait, some at a time, and say so when a mapping is done."""
        commit = self.env["ir.cron"]._commit_progress
        mappings = self.search([("state", "=", "running")], order="id")
        lines = self.env["usage.account.mapping.line"]
        commit(remaining=lines.search_count([("mapping_id", "in", mappings.ids), ("state", "=", "waiting")]))
        for mapping in mappings:
            waiting = lines.search([("mapping_id", "=", mapping.id), ("state", "=", "waiting")], order="id")
            for ids in split_every(CHUNK, waiting.ids):
                lines.browse(ids)._assign()
                if not commit(len(ids)):
                    return
            mapping._finish()
            commit(0)

    def _finish(self):
        unlocked(self).write({"state": "done", "finished_date": fields.Datetime.now()})
        text = self.env._("%(done)s of %(all)s accounts are assigned.", done=self.done_count, all=self.account_count)
        if self.failed_count:
            text += " " + self.env._("%s could not be: see why.", self.failed_count)
        self.message_notify(
            partner_ids=self.user_id.partner_id.ids, subject=self.env._("Accounts are assigned"), body=text
        )
        self.user_id._bus_send(
            "simple_notification",
            {
                "type": "warning" if self.failed_count else "success",
                "title": self.env._("Accounts are assigned"),
                "message": text,
                "sticky": True,
            },
        )


class UsageAccountMappingLine(models.Model):
    _name = "usage.account.mapping.line"
    _description = "Account to Be Assigned"
    _inherit = ["usage.guarded.mixin"]
    _order = "state desc, id"
    _rec_name = "account_id"

    mapping_id = fields.Many2one("usage.account.mapping", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="mapping_id.company_id", store=True, index=True)
    account_id = fields.Many2one("usage.account", required=True, readonly=True, index=True, ondelete="cascade")
    partner_id = fields.Many2one(
        "res.partner", string="Customer", required=True, readonly=True, index=True, ondelete="cascade"
    )
    state = fields.Selection(
        [("waiting", "Waiting"), ("failed", "Failed"), ("done", "Assigned")],
        string="Status",
        required=True,
        readonly=True,
        default="waiting",
    )
    message = fields.Char(readonly=True, help="Why the account could not be assigned, and what to do.")

    def _assign(self):
        """Assign these accounts together, or one by one where that fails."""
        try:
            with self.env.cr.savepoint():
                self._assign_together()
        except OperationalError:
            raise
        except Exception:
            _logger.info("Accounts are assigned one by one", exc_info=True)
            for line in self:
                line._assign_alone()

    def _assign_together(self):
        for mapping, lines in self.grouped("mapping_id").items():
            user = mapping.user_id
            # As the person who asked, with what that person may do now.
            asked = lines.with_user(user).with_context(allowed_company_ids=user.company_ids.ids)
            pairs = [(line.account_id, line.partner_id) for line in asked]
            for partner, accounts in _by_customer(pairs).items():
                accounts.check_access("write")
                accounts._assign(partner, mapping.date_from, mapping.date_to)
        self.env.flush_all()
        unlocked(self).write({"state": "done"})

    def _assign_alone(self):
        try:
            with self.env.cr.savepoint():
                self._assign_together()
        except OperationalError:
            raise
        except Exception as error:
            _logger.info("Account %s was not assigned", self.account_id.id, exc_info=True)
            unlocked(self).write({"state": "failed", "message": str(error)})


def _by_customer(pairs):
    """Accounts by their customer, of pairs of both."""
    found = {}
    for account, partner in pairs:
        found[partner] = found.get(partner, account.browse()) | account
    return found
