"""What several transactions do at once, on real connections with real commits."""

import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

from psycopg2.errors import DeadlockDetected, UniqueViolation

from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import DummyRLock, Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.controllers.common import ATTEMPTS
from odoo.addons.usage_connector_base.guard import unlocked
from odoo.addons.usage_connector_base.models.usage_aggregate import UsageAggregate
from odoo.addons.usage_connector_base.models.usage_event import MAX_EVENTS
from odoo.addons.usage_connector_base.tools import read_committed_cursor

TABLES = ("usage_aggregate", "usage_exception", "usage_correction", "usage_event", "usage_batch", "usage_account")


class ConcurrencyCommon(BaseCase):
    """A source and a meter that are committed, and threads with transactions of their own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(get_db_name())
        # The server holds this lock while it runs tests: other threads would wait for it for ever.
        cls.classPatch(Registry, "_lock", DummyRLock())
        cls.addClassCleanup(cls._clean)
        cls._clean()  # of what a run left that was killed
        with cls._transaction() as env:
            source = env["usage.source"].create({"name": "Concurrent", "code": "concurrent"})
            source._set_state({"user_id": env.ref("base.user_admin").id, "state": "approved"})
            meter = env["usage.meter"].create(
                {
                    "name": "Concurrent",
                    "code": "concurrent",
                    "event_type": "concurrent",
                    "aggregation": "sum",
                    "value_path": "n",
                }
            )
            cls.source_id, cls.meter_id, cls.sender = source.id, meter.id, source._as_sender()
        cls.time = fields.Datetime.now().replace(microsecond=0).isoformat() + "Z"

    @classmethod
    def _transaction(cls):
        """A transaction of Odoo's own kind, committed when it ends well."""
        return _Transaction(cls.registry)

    @classmethod
    def _clean(cls):
        with cls._transaction() as env:
            source = env["usage.source"].search([("code", "=", "concurrent")])
            env.cr.execute(
                SQL(
                    "DELETE FROM usage_event_key USING usage_batch b WHERE usage_event_key.event_id / %s = b.id "
                    "AND b.source_id = ANY(%s)",
                    MAX_EVENTS,
                    source.ids,
                )
            )
            for table in TABLES:
                env.cr.execute(SQL("DELETE FROM %s WHERE source_id = ANY(%s)", SQL.identifier(table), source.ids))
            env["usage.meter"].search([("code", "=", "concurrent")]).unlink()
            source._set_state({"user_id": False})
            source.unlink()

    def setUp(self):
        super().setUp()
        with self._transaction() as env:
            env["usage.aggregate"]._fold_pending()
        self.before = self.quantity()

    # -- steps ------------------------------------------------------------------------------

    def event(self, event_id, **values):
        return {
            "id": f"{self._testMethodName} {event_id}",
            "type": "concurrent",
            "subject": "concurrent",
            "time": self.time,
            "data": {"n": 1},
            **values,
        }

    def ingest(self, events):
        """As the controller does: again, when others stored the same at the same moment."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._transaction() as env, read_committed_cursor(env) as cr:
                    return env(cr=cr)["usage.ingestion"]._ingest(self.sender, events)
            except (DeadlockDetected, UniqueViolation):
                if attempt == ATTEMPTS:
                    raise

    def at_once(self, function, arguments):
        """Results of calls that begin together, each in its own thread."""
        barrier = threading.Barrier(len(arguments))

        def call(argument):
            barrier.wait(timeout=10)
            return function(argument)

        with ThreadPoolExecutor(len(arguments)) as threads:
            return list(threads.map(call, arguments))

    def fold(self, _argument=None):
        with self._transaction() as env:
            return env["usage.aggregate"]._fold_pending()

    def quantity(self):
        with self._transaction() as env:
            query = SQL("SELECT coalesce(sum(quantity), 0) FROM usage_aggregate WHERE meter_id = %s", self.meter_id)
            return int(env.execute_query(query)[0][0])

    def stored(self):
        with self._transaction() as env:
            query = SQL(
                "SELECT count(*), count(DISTINCT event_id), count(DISTINCT id) FROM usage_event "
                "WHERE source_id = %s AND event_id LIKE %s",
                self.source_id,
                f"{self._testMethodName} %",
            )
            return env.execute_query(query)[0]


@tagged("post_install", "-at_install")
class TestConcurrency(ConcurrencyCommon):
    def test_the_same_batch_several_times_at_once(self):
        """Each event is stored by one of them, and is a duplicate to the others."""
        events = [self.event(n, subject=f"new {n % 5}") for n in range(40)]
        answers = self.at_once(self.ingest, [events, events[::-1], events[20:] + events[:20], events])
        self.assertEqual(self.stored(), (40, 40, 40))
        self.assertEqual(sum(answer["accepted"] + answer["quarantined"] for answer in answers), 40)
        self.assertEqual(sum(answer["duplicate"] for answer in answers), 120)
        self.assertEqual(sum(answer["conflict"] + answer["rejected"] for answer in answers), 0)
        with self._transaction() as env:
            accounts = env["usage.account"].search(
                [("external_id", "like", "new %"), ("source_id", "=", self.source_id)]
            )
            self.assertEqual(len(accounts), 5)
            open_ones = env["usage.exception"].search([("account_id", "in", accounts.ids), ("state", "=", "open")])
            self.assertEqual(len(open_ones), 5)
        self.fold()
        self.assertEqual(self.quantity() - self.before, 40)

    def test_conflicting_batches_at_once(self):
        """One content wins, as a whole event; every other is told of the conflict."""
        batches = [[self.event(n, data={"n": value}) for n in range(20)] for value in (1, 2, 3)]
        answers = self.at_once(self.ingest, batches)
        self.assertEqual(self.stored(), (20, 20, 20))
        self.assertEqual(sum(answer["conflict"] for answer in answers), 40)
        self.fold()
        with self._transaction() as env:
            query = SQL(
                "SELECT sum((data->>'n')::int) FROM usage_event WHERE event_id LIKE %s", f"{self._testMethodName} %"
            )
            [[total]] = env.execute_query(query)
        self.assertEqual(self.quantity() - self.before, total)

    def test_exceptions_at_once(self):
        """One open exception, with every occurrence."""
        bad = [self.event("bad", type="concurrent unknown"), self.event("worse", data={"n": "x"})]
        self.at_once(self.ingest, [bad] * 3)
        with self._transaction() as env:
            domain = [("source_id", "=", self.source_id), ("state", "=", "open")]
            rejected = env["usage.exception"].search([*domain, ("reason", "=", "value_not_number")])
            self.assertEqual(rejected.mapped("occurrence_count"), [3])
            unknown = env["usage.exception"].search([*domain, ("reason", "=", "meter_unknown")])
            self.assertEqual(len(unknown), 1)

    def test_folding_at_once(self):
        """Several processes count the same batches: each batch is counted by one of them."""
        for n in range(6):
            self.ingest([self.event(f"{n} {m}") for m in range(5)])
        counts = self.at_once(self.fold, range(3))
        self.assertEqual(sum(counts), 6)
        self.assertEqual(self.quantity() - self.before, 30)
        self.assertEqual(self.fold(), 0)

    def test_counting_hours_again_while_others_are_folded(self):
        """Neither loses what the other counts."""
        for n in range(4):
            self.ingest([self.event(f"{n} {m}") for m in range(5)])
            self.at_once(lambda step: step(), [self.fold, self.count_again, self.fold])
        self.fold()
        self.assertEqual(self.quantity() - self.before, 20)
        self.count_again()
        self.assertEqual(self.quantity() - self.before, 20)

    def count_again(self):
        """Count all hours of the source again, as the button of a difference does."""
        with self._transaction() as env, read_committed_cursor(env) as cr:
            aggregates = env(cr=cr)["usage.aggregate"]
            aggregates._lock_fold()
            query = SQL(
                "SELECT DISTINCT account_id, date_trunc('hour', time) FROM usage_event WHERE source_id = %s",
                self.source_id,
            )
            meter = aggregates.env["usage.meter"].browse(self.meter_id)
            aggregates._recount_hours(aggregates.env.execute_query(query), meter._definitions())

    def test_folding_while_a_batch_is_being_stored(self):
        """A batch that is committed later than a younger one is not passed over."""
        with self._transaction() as env, read_committed_cursor(env) as cr:
            env(cr=cr)["usage.ingestion"]._ingest(self.sender, [self.event("slow")])
            self.ingest([self.event("fast", subject="another")])
            self.assertEqual(self.fold(), 1)
            self.assertEqual(self.quantity() - self.before, 1)
        self.assertEqual(self.fold(), 1)
        self.assertEqual(self.quantity() - self.before, 2)

    def test_meter_changed_while_it_is_counted(self):
        """The change is not lost: the meter is counted once more."""
        self.ingest([self.event("a", data={"n": 1, "m": 100})])
        self.fold()

        def change(path):
            with self._transaction() as env:
                meter = env["usage.meter"].browse(self.meter_id)
                unlocked(meter._definitions()).write({"value_path": path})
                meter._show_version()
                meter._definition_changed()

        mark = UsageAggregate._mark_counted

        def mark_after_a_change(aggregates, versions):
            change("m")
            return mark(aggregates, versions)

        change("n.none")
        with patch.object(UsageAggregate, "_mark_counted", mark_after_a_change):
            self.fold()
        self.fold()
        self.assertEqual(self.quantity(), 100, "counted by the second change")
        change("n")
        self.fold()
        self.assertEqual(self.quantity() - self.before, 1)

    def test_isolation(self):
        """The cursor of ingestion sees what others commit; every other cursor keeps its snapshot."""
        level = "SHOW transaction_isolation"
        with self._transaction() as env:
            with read_committed_cursor(env) as cr:
                cr.execute(level)
                self.assertEqual(cr.fetchall(), [("read committed",)])
            for _ in range(3):
                with env.registry.cursor() as other:
                    other.execute(level)
                    self.assertEqual(other.fetchall(), [("repeatable read",)], "a used connection is as it was")

    def test_nothing_is_committed_after_an_error(self):
        with self.assertRaises(ZeroDivisionError), self._transaction() as env, read_committed_cursor(env) as cr:
            env(cr=cr)["usage.ingestion"]._ingest(self.sender, [self.event("a")])
            raise ZeroDivisionError
        self.assertEqual(self.stored(), (0, 0, 0))


class _Transaction:
    """``with _Transaction(registry) as env``: committed at the end, rolled back after an error."""

    def __init__(self, registry):
        self.registry = registry

    def __enter__(self):
        self.cr = self.registry.cursor()
        self.cr.__enter__()
        return api.Environment(self.cr, SUPERUSER_ID, {})

    def __exit__(self, *error):
        return self.cr.__exit__(*error)
