from odoo import models
from odoo.tools import SQL

from odoo.addons.usage_connector_base.aggregations import Window

SETTLED = "posted"  # in the ledger, or closed because there was nothing to invoice


class UsageRetention(models.AbstractModel):
    _inherit = "usage.retention"

    def _retention_blockers(self, month):
        """Also refuse usage in production that is not billed, posted and reconciled."""
        return [*super()._retention_blockers(month), *self._blockers_billing(month)]

    def _blockers_billing(self, month):
        rows = self._unsettled_usage(month)
        if not rows:
            return
        waiting = self._waiting_statements(rows)
        unbilled = [row for row in rows if row["partner_id"] not in waiting]
        if waiting:
            # sudo: of all companies, since the month holds the usage of all
            statements = (
                self.env["usage.statement"]
                .sudo()
                .browse([statement for found in waiting.values() for statement in found])
            )
            yield self.env._(
                "Statements are not posted and reconciled without differences: %s. Settle them.",
                self._listed(statements.mapped("name")),
            )
        if unbilled and not self._may_go_unbilled():
            partners = self.env["res.partner"].sudo().browse([row["partner_id"] for row in unbilled])
            yield self.env._(
                "%(count)s events are billed by no subscription: of %(customers)s. Bill them, or allow in the settings "
                "that they are deleted.",
                count=sum(row["events"] for row in unbilled),
                customers=self._listed(partners.mapped("display_name")),
            )

    def _may_go_unbilled(self):
        # sudo: whoever previews or runs the retention need not read all settings
        return bool(self.env["ir.config_parameter"].sudo().get_param("usage.retention_unbilled"))

    def _unsettled_usage(self, month):
        """Usage of customers, in production, that no settled statement covers.

        :return: list of dicts of partner_id (its company), events, first and last (naive UTC)
        """
        self.env.flush_all()
        spans = self._settled_spans(month)
        query = SQL(
            """
            SELECT coalesce(p.commercial_partner_id, p.id) AS partner_id, e.company_id, count(*) AS events,
                min(e.time) AS first, max(e.time) AS last
            FROM %(table)s e
            JOIN usage_account a ON a.id = e.account_id AND a.environment = 'production'
            JOIN usage_account_assignment s ON s.account_id = coalesce(a.payer_id, a.id)
                AND tsrange(s.date_from, s.date_to) @> e.time
            JOIN res_partner p ON p.id = s.partner_id
            LEFT JOIN unnest(%(accounts)s::int[], %(starts)s::timestamp[], %(ends)s::timestamp[])
                AS settled(account_id, first, last)
                ON settled.account_id = e.account_id AND e.time >= settled.first AND e.time < settled.last
            WHERE settled.account_id IS NULL AND NOT EXISTS (
                SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
            GROUP BY 1, 2 ORDER BY 3 DESC
            """,
            table=SQL.identifier(month.table),
            accounts=[span.account_id for span in spans],
            starts=[span.start for span in spans],
            ends=[span.end for span in spans],
        )
        return self.env.execute_query_dict(query)

    def _settled_spans(self, month):
        """Of which accounts, from when to when, usage was billed and found to be right in the ledger."""
        [[first, last]] = self.env.execute_query(
            SQL("SELECT min(time), max(time) FROM %s", SQL.identifier(month.table))
        )
        if not first:
            return []
        # sudo: of all companies, as above
        statements = (
            self.env["usage.statement"]
            .sudo()
            .search(
                [
                    *[("state", "=", SETTLED), ("interim_of_id", "=", False)],
                    *[("period_start", "<=", last), ("period_end", ">", first)],
                ]
            )
        )
        # Events of a part of a period are needed until the statement of the whole period is settled.
        settled = statements.filtered(
            lambda statement: all(
                each.state == SETTLED and each.reconciled_date and not each.is_different
                for each in statement | statement.interim_ids
            )
        )
        spans = settled.subscription_id._spans()
        return [
            span
            for statement in settled
            for span in Window.within(
                None, spans[statement.subscription_id], statement.period_start, statement.period_end
            ).spans
        ]

    def _waiting_statements(self, rows):
        """Statements that are still to be settled: dict of customer to list of ids, in the time of its usage."""
        found = {}
        for row in rows:
            statements = (
                self.env["usage.statement"]
                .sudo()
                .search(
                    [
                        ("commercial_partner_id", "=", row["partner_id"]),
                        ("company_id", "=", row["company_id"]),
                        ("period_start", "<=", row["last"]),
                        ("period_end", ">", row["first"]),
                    ]
                )
            )
            unsettled = statements.filtered(
                lambda statement: statement.state != SETTLED or not statement.reconciled_date or statement.is_different
            )
            if unsettled:
                found[row["partner_id"]] = unsettled.ids
        return found
