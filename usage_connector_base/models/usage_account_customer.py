"""Accounts: whose usage it is, and since when."""

from datetime import datetime

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL

from ..aggregations import Span
from ..guard import is_unlocked, unlocked

# What follows from assignments, parents and merges: written by guarded code alone.
FOLLOWING = frozenset({"payer_id", "is_dated", "merged_into_id"})
# What decides at which account, and so for which customer, an account's usage is billed.
DECIDING = frozenset({"parent_id", "billed_at_parent"})


class UsageAccount(models.Model):
    _inherit = "usage.account"

    assignment_ids = fields.One2many("usage.account.assignment", "account_id", string="Assignments")
    billed_at_parent = fields.Boolean(
        tracking=True,
        help="The usage of this account is billed to the customer of its parent account, whoever that is.",
    )
    payer_id = fields.Many2one(
        "usage.account",
        string="Billed At",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="The account whose customer pays for this one's usage; empty: its own.",
    )
    is_dated = fields.Boolean(
        string="Changes Customer",
        readonly=True,
        help="The account belongs to its customers from or until a date: usage outside of these times is held.",
    )
    child_ids = fields.One2many("usage.account", "parent_id", string="Child Accounts")
    child_count = fields.Integer(
        string="Children", compute="_compute_child_count", help="Accounts whose parent this is, archived ones too."
    )

    @api.depends("child_ids")
    def _compute_child_count(self):
        children = self.with_context(active_test=False)
        counts = dict(children._read_group([("parent_id", "in", self.ids)], ["parent_id"], ["__count"]))
        for account in self:
            account.child_count = counts.get(account, 0)

    # -- changing ---------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Create accounts; a customer among the values is theirs for all time."""
        if any(FOLLOWING & vals.keys() for vals in vals_list):
            raise UserError(self._message_following())
        accounts = super().create(vals_list)
        mapped = accounts.filtered("partner_id")
        mapped._check_own_customer()
        unlocked(self.env["usage.account.assignment"]).create(
            [{"account_id": account.id, "partner_id": account.partner_id.id} for account in mapped]
        )
        accounts._follow({})
        return accounts

    def write(self, vals):
        """Write accounts; a customer among the values is theirs for all time from now on."""
        if is_unlocked(self.env):
            return super().write(vals)
        if FOLLOWING & vals.keys():
            raise UserError(self._message_following())
        others = {name: value for name, value in vals.items() if name != "partner_id"}
        res = super().write(others)
        if DECIDING & vals.keys():
            self._follow()
        if "partner_id" in vals:
            self._assign(self.env["res.partner"].browse(vals["partner_id"] or ()))
        return res

    def _message_following(self):
        return self.env._("Where an account is billed follows from its assignments and its parent: change these.")

    def _billed_at(self):
        """The account at which this one is billed in turn, empty when at itself."""
        return self.merged_into_id or (self.parent_id if self.billed_at_parent else self.browse())

    def _check_own_customer(self):
        """Raise ``UserError`` for accounts whose customer is another account's."""
        for account in self:
            if account._billed_at():
                raise UserError(
                    self.env._(
                        "%(account)s is billed at %(payer)s: assign that account to the customer, or have this one "
                        "billed on its own first.",
                        account=account.display_name,
                        payer=account._billed_at().display_name,
                    )
                )

    @api.constrains("parent_id", "billed_at_parent", "merged_into_id")
    def _check_billed_somewhere(self):
        for account in self:
            passed, at = account, account._billed_at()
            while at:
                if at in passed:
                    raise ValidationError(
                        self.env._(
                            "%(account)s would be billed at itself, by way of %(other)s: change one of the two.",
                            account=account.display_name,
                            other=account._billed_at().display_name,
                        )
                    )
                passed, at = passed | at, at._billed_at()

    # -- assigning --------------------------------------------------------------------------

    def _assign(self, partner, date_from=False, date_to=False):
        """Give the accounts' usage in [date_from, date_to) to a customer.

        Without dates for all time, past and future: earlier assignments are replaced. With dates,
        other assignments give way: they end where this one begins, and go on where it ends.

        :param partner: a ``res.partner``, empty (without dates) to assign them to nobody
        :param datetime date_from: naive UTC, on the hour; falsy: from the beginning
        :param datetime date_to: naive UTC, on the hour; falsy: for ever
        :raises UserError: an assignment lies wholly inside, or an account is billed elsewhere
        """
        self._check_own_customer()
        self._lock_assignments()
        changed = self if date_from or date_to else self.filtered(lambda account: not account._belongs_to(partner))
        if date_from or date_to:
            for assignment in changed.assignment_ids:
                assignment._make_room(date_from, date_to)
        else:
            unlocked(changed.assignment_ids).unlink()
        dates = {"date_from": date_from, "date_to": date_to}
        unlocked(self.env["usage.account.assignment"]).create(
            [{"account_id": account.id, "partner_id": partner.id, **dates} for account in changed if partner]
        )
        self._follow()

    def _belongs_to(self, partner):
        """Whether the account is this customer's, and nobody else's, for all time."""
        found = self.assignment_ids
        return found.partner_id == partner and not any(found.mapped("date_from") + found.mapped("date_to"))

    def _lock_assignments(self):
        """Let nobody else change these accounts' assignments at the same moment.

        The second of two waits, fails to serialize, and is run again on what the first one made.
        """
        self.flush_recordset(["write_date"])
        query = "UPDATE usage_account SET write_date = now() AT TIME ZONE 'UTC' WHERE id = ANY(%s)"
        self.env.cr.execute(SQL(query, sorted(self.ids)))
        self.invalidate_recordset(["write_date"])

    # -- following --------------------------------------------------------------------------

    def _follow(self, before=None):
        """Bring up to date what follows from the accounts' assignments, parents and merges.

        Their customers and those of the accounts that are billed at them, the exceptions that hold
        their usage; and outside systems are told.

        :param dict before: of account id to the customer that it had; as it is stored when absent
        """
        self.env.flush_all()
        family = self._billed_family()
        if before is None:
            before = {account.id: account.partner_id for account in family}
        for values, accounts in family._following().items():
            vals = dict(zip(("payer_id", "partner_id", "is_dated"), values, strict=True))
            outdated = accounts.filtered(
                lambda account, values=values: (account.payer_id.id, account.partner_id.id, account.is_dated) != values
            )
            unlocked(outdated).write(vals)
        for model in ("usage.aggregate", "usage.event"):
            self.env[model].invalidate_model()
        family._sync_exceptions()
        self.env["usage.account.suggestion"]._forget(family.filtered("partner_id"))
        nobody = self.env["res.partner"]
        family.filtered(lambda account: account.partner_id != before.get(account.id, nobody))._tell_mapped(before)

    def _billed_family(self):
        """The accounts, and all that are billed at one of them."""
        query = SQL(
            """
            WITH RECURSIVE family(id) AS (
                SELECT unnest(%s::int[])
                UNION
                SELECT a.id FROM family f JOIN usage_account a
                    ON a.merged_into_id = f.id OR a.parent_id = f.id AND a.billed_at_parent
            )
            SELECT id FROM family ORDER BY id
            """,
            self.ids,
        )
        return self.browse(row[0] for row in self.env.execute_query(query))

    def _following(self):
        """What follows now: dict of (payer id, customer id, whether dated) to accounts; False for none.

        The customer is that of the assignment which applies now, or else of the latest one.
        """
        query = SQL(
            """
            WITH RECURSIVE chain(account_id, at_id, depth) AS (
                SELECT id, id, 0 FROM unnest(%(ids)s::int[]) id
                UNION ALL
                SELECT c.account_id, coalesce(a.merged_into_id, a.parent_id), c.depth + 1
                FROM chain c JOIN usage_account a ON a.id = c.at_id
                    AND (a.merged_into_id IS NOT NULL OR a.billed_at_parent AND a.parent_id IS NOT NULL)
            ), payers AS (
                SELECT DISTINCT ON (account_id) account_id, at_id FROM chain ORDER BY account_id, depth DESC
            )
            SELECT p.account_id, nullif(p.at_id, p.account_id), s.partner_id, coalesce(s.is_dated, false)
            FROM payers p LEFT JOIN LATERAL (
                SELECT partner_id, date_from IS NOT NULL OR date_to IS NOT NULL AS is_dated
                FROM usage_account_assignment WHERE account_id = p.at_id
                ORDER BY tsrange(date_from, date_to) @> %(now)s::timestamp DESC, date_from DESC NULLS LAST LIMIT 1
            ) s ON true
            """,
            ids=self.ids,
            now=fields.Datetime.now(),
        )
        found = {}
        for account_id, payer_id, partner_id, dated in self.env.execute_query(query):
            found.setdefault((payer_id or False, partner_id or False, dated), []).append(account_id)
        return {values: self.browse(ids) for values, ids in found.items()}

    @api.model
    def _cron_follow(self):
        """Change customers where an assignment has begun or ended, and settle what waited for that."""
        dated = self.with_context(active_test=False).search([("is_dated", "=", True)])
        outdated = self.browse()
        for (_payer_id, partner_id, _dated), accounts in dated._following().items():
            outdated |= accounts.filtered(lambda account, now=partner_id: account.partner_id.id != now)
        waiting = self.env["usage.exception"].search([("reason", "=", "account_inactive"), ("state", "=", "open")])
        (outdated | waiting.account_id)._follow()

    # -- reading ----------------------------------------------------------------------------

    @api.model
    def _customer_spans(self, partners, environment):
        """When which accounts were whose: what is billed to customers, however their accounts changed hands.

        Those of a company and of all its contacts, archived accounts too: their usage happened.

        :param partners: commercial ``res.partner`` records
        :param str environment: of the sources, such as "production"
        :return: dict of (customer's id, company id) to list of :class:`~..aggregations.Span`, ordered;
            open ends are ``datetime.min`` and ``datetime.max``
        """
        self.env["usage.account.assignment"].flush_model()
        self.flush_model(["payer_id", "environment", "company_id"])
        query = SQL(
            """
            SELECT s.commercial_partner_id, a.company_id, a.id, s.date_from, s.date_to
            FROM usage_account_assignment s
            JOIN usage_account a ON a.id = s.account_id AND a.payer_id IS NULL OR a.payer_id = s.account_id
            WHERE s.commercial_partner_id = ANY(%s) AND a.environment = %s ORDER BY a.id, s.date_from NULLS FIRST
            """,
            partners.ids,
            environment,
        )
        found = {}
        for partner_id, company_id, account_id, begin, end in self.env.execute_query(query):
            span = Span(account_id, begin or datetime.min, end or datetime.max)
            found.setdefault((partner_id, company_id), []).append(span)
        return found

    # -- usage outside of the assignments ---------------------------------------------------

    def _held_counts(self):
        """Events outside of every assignment: dict of account id to how many, for accounts with a customer."""
        self.env.flush_all()
        query = SQL(
            """
            SELECT account_id, sum(held) FROM (
                SELECT g.account_id, (
                    SELECT count(*) FROM usage_event e WHERE e.account_id = g.account_id AND %s
                ) AS held
                FROM (%s) g
            ) counted WHERE held > 0 GROUP BY account_id
            """,
            self.env["usage.aggregate"]._sql_is_between(SQL("g.begins"), SQL("g.ends")),
            self._sql_gaps(),
        )
        return {account: int(count) for account, count in self.env.execute_query(query)}

    def _sql_gaps(self):
        """Times outside of every assignment: account_id, begins, ends, for accounts with dated ones."""
        return SQL(
            """
            WITH spans AS (
                SELECT a.id AS account_id, coalesce(s.date_from, '-infinity') AS begins,
                    coalesce(s.date_to, 'infinity') AS ends
                FROM usage_account a JOIN usage_account_assignment s ON s.account_id = coalesce(a.payer_id, a.id)
                WHERE a.id = ANY(%s) AND a.is_dated
            ), gaps AS (
                SELECT account_id, '-infinity'::timestamp AS begins, min(begins) AS ends FROM spans GROUP BY account_id
                UNION ALL
                SELECT account_id, ends,
                    lead(begins, 1, 'infinity') OVER (PARTITION BY account_id ORDER BY begins)
                FROM spans
            )
            SELECT account_id, begins, ends FROM gaps WHERE begins < ends
            """,
            self.ids,
        )
