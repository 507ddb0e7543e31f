import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from dateutil.relativedelta import relativedelta
from psycopg2.errors import LockNotAvailable

from odoo import api, fields, models
from odoo.tools import SQL

from ..guard import unlocked
from .usage_event import MAX_EVENTS

_logger = logging.getLogger(__name__)

MIN_KEY_DAYS = 400  # an id counts once for as long
SLICE_PAGES = 2_000  # of the table of event ids, read and deleted from in one transaction
SLICE_ROWS = 20_000  # requests, and exceptions, deleted in one transaction
NAMED = 5  # accounts, types or statements that a reason names
LOCK_TIMEOUT = "3s"  # senders wait no longer for a partition to be dropped


class Month(NamedTuple):
    """Events received in one month."""

    start: datetime
    table: str

    @property
    def end(self):
        return self.start + relativedelta(months=1)

    @property
    def label(self):
        return f"{self.start:%Y-%m}"


class UsageRetention(models.AbstractModel):
    """The end of what was kept for long enough: by kind of data, and never what is still needed.

    Events go by whole months of receipt, whose partition is dropped. Hourly usage stays for ever.
    """

    _name = "usage.retention"
    _description = "Retention of Usage"

    # -- settings ---------------------------------------------------------------------------

    def _setting(self, name, default):
        # sudo: whoever previews or runs the retention need not read all settings
        return int(self.env["ir.config_parameter"].sudo().get_param(f"usage.{name}", default) or 0)

    def _events_before(self):
        """Months that ended at or before this moment are due (naive UTC); None: events are kept for ever.

        Never later than the oldest usage that is still taken: events to come could belong to the hours.
        """
        months = self._setting("keep_events_months", 0)
        if not months:
            return None
        now = fields.Datetime.now()
        oldest = timedelta(days=self._setting("max_age_days", 400), hours=self._setting("max_future_hours", 24))
        return min(now - relativedelta(months=months), now - oldest)

    def _before(self, name):
        days = self._setting(name, 0)
        return fields.Datetime.now() - timedelta(days=days) if days else None

    # -- events -----------------------------------------------------------------------------

    @api.model
    def _months(self):
        """Months whose partitions are stored, oldest first."""
        rows = self.env.execute_query(
            SQL("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage_event'::regclass ORDER BY 1")
        )
        return [Month(datetime.strptime(table, "usage_event_%Y_%m"), table) for (table,) in rows]

    @api.model
    def _due_months(self):
        """Months whose events have been kept for long enough, oldest first."""
        before = self._events_before()
        return [month for month in self._months() if before and month.end <= before]

    @api.model
    def _retention_blockers(self, month):
        """Why the events of a month are still needed; other addons add what they know.

        :param Month month: whose partition is stored
        :return: list of texts for a person, each with what to do; empty when they may go
        """
        return [
            *self._blockers_counting(month),
            *self._blockers_accounts(month),
            *self._blockers_types(month),
            *self._blockers_conflicts(month),
        ]

    def _blockers_counting(self, month):
        # sudo: of all companies, since a partition holds the events of all
        meters = self.env["usage.meter"].sudo().with_context(active_test=False)
        pending = meters.search([("recount_pending", "=", True)])
        if pending:
            yield self.env._(
                "Meters are being counted again: %s. Wait until they are.", self._listed(pending.mapped("code"))
            )
        [[waiting]] = self.env.execute_query(
            SQL(
                "SELECT count(*) FROM %s e JOIN usage_batch b ON b.id = e.batch_id WHERE b.folded_at IS NULL",
                SQL.identifier(month.table),
            )
        )
        if waiting:
            yield self.env._("%s events are not counted yet: see that the job that counts new events runs.", waiting)

    def _blockers_accounts(self, month):
        """Usage in production of nobody, unless a person decided that it does not matter."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT a.external_id, count(*) FROM %s e JOIN usage_account a ON a.id = e.account_id
                WHERE a.environment = 'production' AND NOT EXISTS (
                    SELECT 1 FROM usage_account_assignment s
                    WHERE s.account_id = coalesce(a.payer_id, a.id) AND tsrange(s.date_from, s.date_to) @> e.time)
                AND NOT EXISTS (
                    SELECT 1 FROM usage_exception x WHERE x.account_id = a.id AND x.state = 'ignored'
                    AND x.reason IN ('account_unmapped', 'account_inactive'))
                GROUP BY a.id ORDER BY 2 DESC
                """,
                SQL.identifier(month.table),
            )
        )
        if rows:
            yield self.env._(
                "%(count)s events of accounts without customers: %(accounts)s. Assign them or ignore their exceptions.",
                count=sum(count for _name, count in rows),
                accounts=self._listed(name for name, _count in rows),
            )

    def _blockers_types(self, month):
        """Usage in production that no meter counts, unless a person decided that it does not matter."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT e.company_id, e.type, count(*) FROM %s e JOIN usage_account a ON a.id = e.account_id
                WHERE a.environment = 'production' AND NOT EXISTS (
                    SELECT 1 FROM usage_exception x WHERE x.source_id = e.source_id AND x.event_type = e.type
                    AND x.reason = 'meter_unknown' AND x.state = 'ignored')
                GROUP BY 1, 2 ORDER BY 3 DESC
                """,
                SQL.identifier(month.table),
            )
        )
        # sudo: as for the meters that are being counted again
        counted = self.env["usage.event"].sudo()._counted_types()
        held = [(kind, count) for company, kind, count in rows if (company, kind) not in counted]
        if held:
            yield self.env._(
                "%(count)s events of types without a meter: %(types)s. Set one up or ignore their exceptions.",
                count=sum(count for _kind, count in held),
                types=self._listed(kind for kind, _count in held),
            )

    def _blockers_conflicts(self, month):
        rows = self.env.execute_query(
            SQL(
                """
                SELECT x.event_ref FROM usage_exception x WHERE x.reason = 'conflict' AND x.state = 'open' AND EXISTS (
                    SELECT 1 FROM %s e WHERE e.source_id = x.source_id AND e.event_id = x.event_ref)
                ORDER BY x.id
                """,
                SQL.identifier(month.table),
            )
        )
        if rows:
            yield self.env._(
                "%(count)s conflicts wait for a decision: %(events)s. Settle their exceptions.",
                count=len(rows),
                events=self._listed(ref for (ref,) in rows),
            )

    def _listed(self, names):
        """The first of some names, for a text."""
        names = list(names)
        return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")

    @api.model
    def _end_month(self, month):
        """Drop the events of a month unless something of them is needed; both are logged.

        :return: whether they are gone
        """
        blockers = self._retention_blockers(month)
        if blockers:
            self._log_refusal(month, "\n".join(blockers))
            return False
        # Nobody counts meanwhile, whose statements would wait for the partition, and find it gone.
        self.env["usage.aggregate"]._lock_fold()
        rows, size, until = self._measure(month)
        try:
            with self.env.cr.savepoint():
                self.env.cr.execute(SQL("SET LOCAL lock_timeout = %s", LOCK_TIMEOUT))
                self.env.cr.execute(SQL("DROP TABLE %s", SQL.identifier(month.table)))
                self.env.cr.execute("SET LOCAL lock_timeout = 0")
        except LockNotAvailable:
            self._log_refusal(month, self.env._("The events were in use: it is tried again tomorrow."))
            return False
        self._log("events", month.label, rows, month=month.start, byte_count=size, events_until=until)
        self.env["usage.event"].invalidate_model()
        return True

    def _measure(self, month):
        """Rows and bytes of a month, and the hour after its latest event."""
        [row] = self.env.execute_query(
            SQL(
                "SELECT count(*), pg_total_relation_size(%s::regclass), "
                "coalesce(date_trunc('hour', max(time)) + interval '1 hour', %s) FROM %s",
                month.table,
                month.start,
                SQL.identifier(month.table),
            )
        )
        return row

    # -- logging ----------------------------------------------------------------------------

    def _log(self, kind, subject, rows, **values):
        now = fields.Datetime.now()
        # sudo: nobody writes the log but this; who ran it stands in it
        return unlocked(self.env["usage.retention.run"].sudo()).create(
            {
                "kind": kind,
                "subject": subject,
                "row_count": rows,
                "state": "deleted",
                "user_id": self.env.uid,
                "date": now,
                "checked_date": now,
                **values,
            }
        )

    def _log_refusal(self, month, reason):
        """One row for as long as the reason stays the same."""
        latest = self.env["usage.retention.run"].sudo().search([("month", "=", month.start)], limit=1)
        if latest.state == "refused" and latest.reason == reason:
            unlocked(latest).checked_date = fields.Datetime.now()
        else:
            self._log("events", month.label, 0, month=month.start, state="refused", reason=reason)

    # -- other kinds ------------------------------------------------------------------------

    def _first_stored_batch(self):
        """Id of the first batch whose events are stored, None when none are."""
        [[event_id]] = self.env.execute_query(SQL("SELECT min(id) FROM usage_event"))
        return None if event_id is None else event_id // MAX_EVENTS

    def _batches_before(self, moment):
        """Id of a batch before which all were received before ``moment``, and have no stored events."""
        [[since]] = self.env.execute_query(
            SQL(
                "SELECT coalesce(min(id), nextval('usage_batch_id_seq')) FROM usage_batch WHERE received_at >= %s",
                moment,
            )
        )
        stored = self._first_stored_batch()
        return since if stored is None else min(since, stored)

    def _delete_keys(self, commit):
        """Forget ids of events that are gone, of which no repetition is to be expected any more."""
        days = max(self._setting("keep_key_days", MIN_KEY_DAYS), MIN_KEY_DAYS, self._setting("max_age_days", 400))
        bound = self._batches_before(fields.Datetime.now() - timedelta(days=days)) * MAX_EVENTS
        [[pages]] = self.env.execute_query(
            SQL("SELECT pg_relation_size('usage_event_key') / current_setting('block_size')::int")
        )
        deleted = 0
        # There is no index on the age of a key, which would cost each event: the table is read in slices.
        for page in range(0, pages, SLICE_PAGES):
            self.env.cr.execute(
                SQL(
                    "DELETE FROM usage_event_key WHERE ctid >= %s::tid AND ctid < %s::tid AND event_id < %s",
                    f"({page},0)",
                    f"({page + SLICE_PAGES},0)",
                    bound,
                )
            )
            deleted += self.env.cr.rowcount
            if not commit(self.env.cr.rowcount):
                break
        return deleted

    def _delete_batches(self, commit):
        """Delete records of requests whose events are gone."""
        before = self._before("keep_batch_days")
        if not before:
            return 0
        query = SQL(
            "DELETE FROM usage_batch WHERE id IN (SELECT id FROM usage_batch "
            "WHERE received_at < %s AND id < %s AND folded_at IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.batch_id = usage_batch.id) ORDER BY id LIMIT %s)",
            before,
            self._batches_before(before),
            SLICE_ROWS,
        )
        return self._delete_in_slices(query, commit)

    def _delete_exceptions(self, commit):
        """Delete settled exceptions, with their payloads and messages."""
        before = self._before("keep_exception_days")
        deleted = 0
        while before:
            # sudo: nobody may delete exceptions by hand
            domain = [("state", "!=", "open"), ("resolved_date", "<", before)]
            exceptions = self.env["usage.exception"].sudo().search(domain, limit=500)
            deleted += len(exceptions)
            unlocked(exceptions).unlink()
            if not exceptions or not commit(len(exceptions)):
                break
        return deleted

    def _delete_in_slices(self, query, commit):
        deleted = 0
        while True:
            self.env.cr.execute(query)
            rows = self.env.cr.rowcount
            deleted += rows
            if not commit(rows) or rows < SLICE_ROWS:
                return deleted

    # -- running ----------------------------------------------------------------------------

    @api.model
    def _cron_retention(self):
        """End what was kept for long enough; killed anywhere, it goes on tomorrow."""
        self._run(self.env["ir.cron"]._commit_progress)

    def _run(self, commit=lambda _done: True):
        """End what is due.

        :param commit: called after each step with how much it did; false when there is no time left
        """
        for month in self._due_months():
            self._end_month(month)
            if not commit(1):
                return
        for kind, delete in (
            ("keys", self._delete_keys),
            ("batches", self._delete_batches),
            ("exceptions", self._delete_exceptions),
        ):
            deleted = delete(commit)
            if deleted:
                self._log(kind, f"{fields.Datetime.now():%Y-%m-%d}", deleted)
                _logger.info("Retention: %s %s deleted", deleted, kind)
        commit(0)
