import csv
import io
import logging
import time
from collections import Counter

from psycopg2.errors import CheckViolation, DeadlockDetected, UniqueViolation

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ..ingestion import cells, facts
from ..ingestion.envelope import decode
from ..tools import read_committed_cursor
from .usage_batch import OUTCOMES
from .usage_exception import MAX_PAYLOAD, exception_digest

_logger = logging.getLogger(__name__)

BATCH_ROWS = 1000  # events that go through the pipeline in one transaction
READ_ROWS = 10_000  # rows kept in memory while the file is being read
READ_SECONDS = 30.0  # a step of reading lasts about as long
ATTEMPTS = 5  # of a batch, should a request store the same events at the same moment


class UsageImport(models.Model):
    """The work in the background: the file's rows into ``usage.import.row``, and they into events.

    A row's outcome is written in the transaction that stores its event, so that a killed job knows
    which rows have had their turn; and if it did not, their ids would say so.
    """

    _inherit = "usage.import"

    batch_ids = fields.One2many("usage.batch", "import_id", string="Requests", readonly=True)
    row_ids = fields.One2many("usage.import.row", "import_id", string="File Rows", readonly=True)

    @api.model
    def _wake(self):
        # sudo: operators start imports and have no rights to jobs
        self.env.ref("usage_connector_base.cron_import").sudo()._trigger()

    @api.model
    def _cron_import(self):
        """Work on the imports that run, the oldest first, a step in a transaction of its own."""
        commit = self.env["ir.cron"]._commit_progress
        running = self.search([("state", "=", "running")], order="id")
        commit(remaining=len(running))
        for job in running:
            while job._step_committed():
                if not commit(1, remaining=len(running)):
                    return
        commit(remaining=0)

    def _step_committed(self):
        """One step in a transaction of its own; an import that cannot go on is stopped with the reason.

        :return: whether there is more to do
        """
        for _attempt in range(ATTEMPTS):
            try:
                with read_committed_cursor(self.env) as cr:
                    return self.with_env(self.env(cr=cr))._step()
            except (DeadlockDetected, UniqueViolation):
                continue  # a request wrote the same at this moment: now it is there
            except CheckViolation:
                with read_committed_cursor(self.env) as cr:
                    self.env(cr=cr)["usage.event"]._ensure_partitions()
            except UserError as error:
                return self._stop_committed(str(error))
            except Exception:
                _logger.exception("Usage import %s stopped", self.id)
                break
        return self._stop_committed(
            self.env._("Something failed: continue, and see the server's log if it stops again.")
        )

    def _stop_committed(self, trouble):
        with read_committed_cursor(self.env) as cr:
            self.with_env(self.env(cr=cr))._write_facts({"state": "paused", "trouble": trouble})
        self.invalidate_recordset()
        return False

    def _step(self):
        """Read the next rows of the file, or import the next batch, in the current transaction.

        :return: whether there is more to do
        """
        self.env.cr.execute(SQL("SELECT 1 FROM usage_import WHERE id = %s FOR NO KEY UPDATE", self.id))
        self.invalidate_recordset()
        if self.state != "running":
            return False
        self._check_source()
        if not self.is_read:
            return self._read_some()
        if self._import_some():
            return True
        self._write_facts({"state": "done", "ended_at": fields.Datetime.now()})
        return False

    # -- reading the file -------------------------------------------------------------------

    def _read_some(self):
        """Store the next rows of the file as events to be, for as long as ``READ_SECONDS``.

        What was read in an earlier step is gone through again, which is quick, and ids that are derived
        count the same rows among it.

        :return: True, there is more to do
        """
        known, began = self._last_read(), time.monotonic()
        limit = self._limit("usage.import_max_rows", 300_000)
        count, rows = 0, []
        for count, row in enumerate(self._events_of_file(), 1):
            self._check_length(count, limit)
            if row[0] > known:
                rows.append(row)
            if len(rows) == READ_ROWS:
                self._store_rows(rows)
                rows = []
                if time.monotonic() > began + READ_SECONDS:
                    return True
        self._store_rows(rows)
        self._write_facts({"is_read": True, "row_count": count})
        return True

    def _last_read(self):
        query = SQL("SELECT coalesce(max(number), 0) FROM usage_import_row WHERE import_id = %s", self.id)
        [[last]] = self.env.execute_query(query)
        return last

    def _check_length(self, count, limit):
        if count > limit:
            raise UserError(self.env._("The file has more than %s rows: import it in parts.", limit))

    def _events_of_file(self):
        """Of each row: its number, cells, event, and the rejection of a cell that cannot be read, or None."""
        columns, reading, seen = self._columns(), self._reading(), {}
        for number, row in self._data_rows():
            event, trouble = cells.read_row(row, columns, reading)
            cells.give_id(event, seen)
            yield number, row, event, trouble

    def _store_rows(self, rows):
        """Keep rows: list of (number, cells, event, rejection or None)."""
        lines = io.StringIO()
        writer = csv.writer(lines)
        for number, row, event, trouble in rows:
            payload = facts.dump(event)
            event_ref = str(event["id"]).replace("\0", "\ufffd")[: facts.MAX_IDENTIFIER]
            judged = ("rejected", trouble.code, trouble.message, exception_digest(payload)) if trouble else (None,) * 4
            packed = facts.dump(list(map(cells.pack, row))).replace(r"\u0000", "\ufffd")
            writer.writerow((self.id, self.company_id.id, number, packed, payload, event_ref, *judged))
        lines.seek(0)
        self.env.cr.copy_expert(
            "COPY usage_import_row (import_id, company_id, number, cells, event, event_ref, outcome, code, message, "
            "digest) FROM STDIN (FORMAT csv)",
            lines,
        )
        troubled = [(event, trouble) for _number, _row, event, trouble in rows if trouble]
        self.env["usage.exception"]._record([self._unreadable(*pair) for pair in troubled])
        self._add_counts({"rejected": len(troubled)})

    def _unreadable(self, event, trouble):
        """The exception of a row with a cell that could not be read."""
        payload = facts.dump(event)
        shortened = {name: str(event.get(name) or "")[: facts.MAX_IDENTIFIER] or None for name in ("id", "type")}
        return {
            "source_id": self.source_id.id,
            "company_id": self.company_id.id,
            "reason": trouble.code,
            "digest": exception_digest(payload),
            "event_ref": shortened["id"],
            "event_type": shortened["type"],
            "message": trouble.message,
            "payload": payload[:MAX_PAYLOAD],
        }

    # -- importing --------------------------------------------------------------------------

    def _import_some(self):
        """Send the next batch of rows through the pipeline.

        :return: whether there was one
        """
        query = SQL(
            "SELECT id, event FROM usage_import_row WHERE import_id = %s AND outcome IS NULL ORDER BY number LIMIT %s",
            self.id,
            BATCH_ROWS,
        )
        rows = self.env.execute_query(query)
        if not rows:
            return False
        body = f"[{','.join(event for _id, event in rows)}]".encode()
        events = decode(body)
        # As the source, in the name of the person. sudo: storing events is for the pipeline alone
        sender = self.source_id._as_sender()._replace(user_id=self.user_id.id)
        answer = (
            self.env["usage.ingestion"]
            .sudo()
            ._ingest(sender, events, media_type="file", body_bytes=len(body), import_id=self.id)
        )
        self.env["usage.aggregate"]._wake_fold()
        self._note_outcomes([row_id for row_id, _event in rows], events, answer)
        return True

    def _note_outcomes(self, row_ids, events, answer):
        judged = {verdict["index"]: verdict for verdict in answer["events"]}
        accepted = {"outcome": "accepted", "code": None, "message": None}
        verdicts = [judged.get(index, accepted) for index in range(len(row_ids))]
        digests = [
            exception_digest(facts.dump(event)) if verdict["outcome"] in ("rejected", "conflict") else None
            for event, verdict in zip(events, verdicts, strict=True)
        ]
        self.env.cr.execute(
            SQL(
                """
                UPDATE usage_import_row r
                SET outcome = v.outcome, code = v.code, message = v.message, digest = v.digest, batch_id = %s
                FROM unnest(%s, %s::text[], %s::text[], %s::text[], %s::text[]) v(id, outcome, code, message, digest)
                WHERE r.id = v.id
                """,
                answer["batch"],
                row_ids,
                *([verdict[name] for verdict in verdicts] for name in ("outcome", "code", "message")),
                digests,
            )
        )
        self._add_counts(Counter(verdict["outcome"] for verdict in verdicts))

    def _add_counts(self, counts):
        names = {f"{outcome}_count": counts.get(outcome, 0) for outcome in OUTCOMES}
        self._write_facts({name: self[name] + count for name, count in names.items()})

    # -- looking ----------------------------------------------------------------------------

    def action_view_batches(self):
        return self._view("usage_connector_base.action_usage_batch", [("import_id", "in", self.ids)])

    def action_view_rows(self):
        return self._view("usage_connector_base.action_usage_import_row", [("import_id", "in", self.ids)])

    def action_view_events(self):
        return self._view("usage_connector_base.action_usage_event", [("batch_id.import_id", "in", self.ids)])

    def action_view_exceptions(self):
        return self._view("usage_connector_base.action_usage_exception", self._exception_domain())

    def _exception_domain(self):
        """Exceptions that the rows led to, those included that were open already."""
        self.ensure_one()
        query = SQL("(SELECT digest FROM usage_import_row WHERE import_id = %s AND digest IS NOT NULL)", self.id)
        own = Domain("source_id", "=", self.source_id.id) & Domain("digest", "in", query)
        held = Domain("account_id", "in", self._held_accounts()) & Domain("state", "=", "open")
        return list(own | held | Domain("batch_id.import_id", "=", self.id))

    def _held_accounts(self):
        """Accounts without a customer that hold events of the file: ids."""
        events = Domain("batch_id.import_id", "=", self.id) & Domain("account_id.partner_id", "=", False)
        return [account.id for [account] in self.env["usage.event"]._read_group(list(events), ["account_id"])]

    def _view(self, xmlid, domain):
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        return {**action, "domain": domain, "context": {}}
