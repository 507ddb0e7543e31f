"""Corrections and summaries at the same moment, on real connections with real commits."""

from datetime import timedelta

from psycopg2.errors import DeadlockDetected, UniqueViolation

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.controllers.common import ATTEMPTS
from odoo.addons.usage_connector_base.tools import read_committed_cursor

from .test_concurrency import ConcurrencyCommon


@tagged("post_install", "-at_install")
class TestCorrectingAtOnce(ConcurrencyCommon):
    def send(self, method, items):
        """As the controller does: again, when others stored the same at the same moment."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._transaction() as env, read_committed_cursor(env) as cr:
                    return getattr(env(cr=cr)["usage.ingestion"], method)(self.sender, items)
            except (DeadlockDetected, UniqueViolation):
                if attempt == ATTEMPTS:
                    raise

    def correct(self, corrections):
        return self.send("_correct", corrections)

    def summarize(self, summaries):
        return self.send("_summarize", summaries)

    def amendment(self, ref, event_id, n):
        return {
            "id": f"{self._testMethodName} {ref}",
            "action": "amend",
            "event": f"{self._testMethodName} {event_id}",
            "reason": "Measured wrong",
            "data": {"n": n},
        }

    def counting(self):
        """Numbers in the rows of this test's events that count."""
        with self._transaction() as env:
            query = SQL(
                """
                SELECT (data ->> 'n')::int FROM usage_event e WHERE source_id = %s AND event_id LIKE %s
                AND NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
                """,
                self.source_id,
                f"{self._testMethodName} %",
            )
            return [row[0] for row in env.execute_query(query)]

    def chain(self):
        """(event_id, replacement_id) of the corrections of this test's events, in their order."""
        with self._transaction() as env:
            query = SQL(
                """
                SELECT c.event_id, c.replacement_id FROM usage_correction c JOIN usage_event e ON e.id = c.root_id
                WHERE c.source_id = %s AND e.event_id LIKE %s ORDER BY c.id
                """,
                self.source_id,
                f"{self._testMethodName} %",
            )
            return env.execute_query(query)

    def test_amendments_of_one_event(self):
        """Each is carried out, one after the other: none is lost, and one row counts."""
        self.ingest([self.event("a")])
        answers = self.at_once(self.correct, [[self.amendment(f"m-{n}", "a", n)] for n in range(2, 6)])
        self.assertEqual([answer["quarantined"] + answer["accepted"] for answer in answers], [1] * 4)
        self.assertEqual(len(self.counting()), 1)
        chain = self.chain()
        self.assertEqual(len(chain), 4)
        self.assertEqual([row[1] for row in chain[:-1]], [row[0] for row in chain[1:]], "each amends the one before")

    def test_the_same_correction(self):
        self.ingest([self.event("a")])
        answers = self.at_once(self.correct, [[self.amendment("m", "a", 2)]] * 4)
        self.assertEqual(sum(answer["duplicate"] for answer in answers), 3)
        self.assertEqual((self.counting(), len(self.chain())), ([2], 1))

    def test_void_and_amend(self):
        """Whichever comes first, the event does not count in the end, or the amendment is told of the void."""
        self.ingest([self.event("a")])
        void = {**self.amendment("v", "a", 0), "action": "void"}
        amended, voided = self.at_once(self.correct, [[self.amendment("m", "a", 2)], [void]])
        self.assertEqual(voided["accepted"], 1)
        self.assertEqual(self.counting(), [])
        self.assertEqual(len(self.chain()), 1 if amended["rejected"] else 2)

    def test_many_events_in_opposite_orders(self):
        """Requests that wait for one another's events are run again, and none is lost."""
        self.ingest([self.event(n) for n in range(20)])
        batches = [[self.amendment(f"{who} {n}", n, who) for n in range(20)] for who in (2, 3, 4)]
        batches[1].reverse()
        self.at_once(self.correct, batches)
        self.assertEqual((len(self.counting()), len(self.chain())), (20, 60))

    def summary(self, quantity, start=0, hours=1, sequence=1):
        begin = fields.Datetime.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
        return {
            "account": self._testMethodName,
            "meter": "concurrent",
            "start": f"{(begin + timedelta(hours=start)).isoformat()}Z",
            "end": f"{(begin + timedelta(hours=start + hours)).isoformat()}Z",
            "quantity": quantity,
            "sequence": sequence,
        }

    def windows(self):
        with self._transaction() as env:
            query = SQL(
                """
                SELECT (e.data ->> 'quantity')::int FROM usage_event e JOIN usage_account a ON a.id = e.account_id
                WHERE a.source_id = %s AND a.external_id = %s AND e.type = 'usage.summary'
                AND NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
                """,
                self.source_id,
                self._testMethodName,
            )
            return [row[0] for row in env.execute_query(query)]

    def test_sequences_of_one_window(self):
        """The highest one counts, however they arrive."""
        self.at_once(self.summarize, [[self.summary(n, sequence=n)] for n in (3, 1, 4, 2)])
        self.assertEqual(self.windows(), [4])

    def test_the_same_summary(self):
        answers = self.at_once(self.summarize, [[self.summary(1)]] * 4)
        self.assertEqual(sum(answer["duplicate"] for answer in answers), 3)
        self.assertEqual(self.windows(), [1])

    def test_overlapping_windows(self):
        """No two windows that overlap count, although no index could tell."""
        answers = self.at_once(self.summarize, [[self.summary(n, start=n, hours=4)] for n in range(4)])
        self.assertEqual(sum(answer["conflict"] for answer in answers), 3)
        self.assertEqual(len(self.windows()), 1)

    def test_a_summary_and_its_void(self):
        window = self.summarize([self.summary(1)])["summaries"][0]["id"]
        void = {"id": f"{self._testMethodName} v", "action": "void", "event": window, "reason": "No"}

        def send(what):
            return self.summarize([self.summary(2, sequence=2)]) if what == "summary" else self.correct([void])

        self.at_once(send, ["summary", "void"])
        self.assertEqual(self.windows(), [], "the void comes last, or no sequence brings it back")
