from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL
from odoo.tools.query import Query


class UsageCustomerMixin(models.AbstractModel):
    """Usage of an account at a time, and the customer whose it is: by the assignment at that time.

    To be searched, grouped and shown like any field, though it is stored nowhere: whoever gets an
    account has its usage at once.
    """

    _name = "usage.customer.mixin"
    _description = "Usage of a Customer"

    _customer_time = None  # name of the column that says when

    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        compute="_compute_partner_id",
        search="_search_partner_id",
        help="Whose usage it is: the customer to whom the account was assigned at that time.",
    )

    @api.depends("account_id")
    def _compute_partner_id(self):
        self._flush_assignments()
        query = SQL(
            """
            SELECT u.id, s.partner_id
            FROM unnest(%s::bigint[], %s::int[], %s::timestamp[]) AS u(id, account_id, at)
            JOIN usage_account a ON a.id = u.account_id
            JOIN usage_account_assignment s ON s.account_id = coalesce(a.payer_id, a.id)
                AND tsrange(s.date_from, s.date_to) @> u.at
            """,
            self.ids,
            [usage.account_id.id for usage in self],
            [usage[self._customer_time] for usage in self],
        )
        found = dict(self.env.execute_query(query)) if self.ids else {}
        for usage in self:
            usage.partner_id = found.get(usage.id, False)

    def _flush_assignments(self):
        self.env["usage.account"].flush_model(["payer_id"])
        self.env["usage.account.assignment"].flush_model()

    def _search_partner_id(self, operator, value):
        if operator in ("any", "any!"):
            partners = value if isinstance(value, Query) else self.env["res.partner"]._search(value)
            return self._domain_assigned(partners.subselect())
        if operator in ("child_of", "parent_of"):
            partners = self.env["res.partner"].with_context(active_test=False)
            return self._domain_assigned(partners._search([("id", operator, value)]).subselect())
        if operator != "in":
            return NotImplemented
        wanted = [partner for partner in value if partner]
        domain = self._domain_assigned(SQL("%s", tuple(wanted))) if wanted else Domain.FALSE
        return domain | ~self._domain_assigned() if False in value else domain

    def _domain_assigned(self, partners=None):
        """Usage that is one of these customers', anybody's when absent.

        :param SQL partners: ids, in parentheses
        """
        self._flush_assignments()

        def to_sql(model, alias, query):
            return SQL(
                """
                EXISTS (SELECT FROM usage_account a
                    JOIN usage_account_assignment s ON s.account_id = coalesce(a.payer_id, a.id)
                    WHERE a.id = %(account)s AND tsrange(s.date_from, s.date_to) @> %(at)s AND %(partner)s)
                """,
                account=SQL.identifier(alias, "account_id"),
                at=SQL.identifier(alias, self._customer_time),
                partner=SQL("s.partner_id IN %s", partners) if partners else SQL("true"),
            )

        return Domain.custom(to_sql=to_sql)

    def _field_to_sql(self, alias, field_expr, query=None):
        if field_expr != "partner_id" or query is None:
            return super()._field_to_sql(alias, field_expr, query)
        self._flush_assignments()
        account = query.left_join(alias, "account_id", "usage_account", "id", "customer_account")
        assignment = query.make_alias(alias, "customer_assignment")
        query.add_join(
            "LEFT JOIN",
            assignment,
            "usage_account_assignment",
            SQL(
                "%s = coalesce(%s, %s) AND tsrange(%s, %s) @> %s",
                SQL.identifier(assignment, "account_id"),
                SQL.identifier(account, "payer_id"),
                SQL.identifier(account, "id"),
                SQL.identifier(assignment, "date_from"),
                SQL.identifier(assignment, "date_to"),
                SQL.identifier(alias, self._customer_time),
            ),
        )
        return SQL.identifier(assignment, "partner_id")
