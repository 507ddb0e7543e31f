import json
from decimal import Decimal

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestCorrections(UsageCommon):
    """What corrections make of stored events; what is counted by it is in ``test_correction_counts``."""

    def current(self, event_id):
        """Rows of an event that count: their data, as they were sent."""
        query = SQL(
            """
            SELECT e.data::text FROM usage_event e WHERE e.source_id = %s AND e.event_id = %s
            AND NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
            """,
            self.source.id,
            event_id,
        )
        return [json.loads(row[0]) for row in self.env.execute_query(query)]

    # -- voiding ----------------------------------------------------------------------------

    def test_void(self):
        self.ingest([self.event("a"), self.event("b")])
        answer = self.correct(self.void("v-1", "a"))
        self.assertEqual(self.outcomes(answer), {"accepted": 1})
        self.assertEqual(answer["corrections"], [])
        self.assertEqual((self.current("a"), len(self.current("b"))), ([], 1))
        correction = self.corrections("a")
        self.assertEqual((correction.action, correction.reason), ("void", "Sent in error"))
        self.assertEqual((correction.correction_ref, correction.user_id), ("v-1", self.source.user_id))
        self.assertEqual((correction.event_id, correction.root_id), (self.stored("a"), self.stored("a")))
        self.assertFalse(correction.replacement_id)
        self.assertEqual(correction.batch_id.id, answer["batch"])

    def test_the_event_stays_as_it_came(self):
        self.ingest([self.event("a", tokens=7)])
        before = self.stored("a").read(["data", "time", "type", "batch_id"])
        self.correct(self.amend("m-1", "a", data={"tokens": 8, "model": "large"}))
        first = self.env["usage.event"].browse(before[0]["id"])
        self.assertEqual(first.read(["data", "time", "type", "batch_id"]), before)

    def test_record_of_the_request(self):
        self.ingest([self.event("a")])
        answer = self.correct(self.void("v-1", "a"), self.void("v-2", "b"), correlation_id="c-1")
        batch = self.env["usage.batch"].browse(answer["batch"])
        self.assertEqual((batch.kind, batch.event_count, batch.correlation_id), ("corrections", 2, "c-1"))
        self.assertEqual((batch.accepted_count, batch.rejected_count), (1, 1))
        self.assertFalse(batch.folded_at, "it waits to be counted, as batches of events do")

    # -- amending ---------------------------------------------------------------------------

    def test_amend(self):
        self.ingest([self.event("a", tokens=7, tenant="t", region="eu")])
        answer = self.correct(self.amend("m-1", "a", data={"tokens": Decimal("8.10"), "model": "small"}))
        self.assertEqual(self.outcomes(answer), {"accepted": 1})
        first, second = self.stored("a").sorted("id")
        self.assertEqual(second.data, {"tokens": 8.1, "model": "small"})
        self.assertEqual((second.type, second.time, second.account_id), (first.type, first.time, first.account_id))
        self.assertEqual((second.tenant_ref, second.attributes), ("t", {"source": "/test", "region": "eu"}))
        self.assertEqual(second.batch_id.id, answer["batch"])
        correction = self.corrections("a")
        self.assertEqual((correction.event_id, correction.replacement_id), (first, second))
        self.assertEqual(correction.action, "amend")

    def test_what_may_be_amended(self):
        self.ingest([self.event("a", user="u")])
        self.correct(
            self.amend("m-1", "a", type="other", subject="new", time=self.time(90), tenant="t", user=None, data=None)
        )
        event = self.corrections("a").replacement_id
        self.assertEqual((event.type, event.account_id.external_id), ("other", "new"))
        self.assertEqual(event.time, fields.Datetime.add(self.hour, minutes=90))
        self.assertEqual((event.tenant_ref, event.user_ref), ("t", False))
        self.assertEqual(event.data, {"tokens": 1, "model": "large"}, "null leaves the data as they were")

    def test_amend_an_amendment(self):
        self.ingest([self.event("a", tokens=1)])
        for number in (2, 3, 4):
            self.correct(self.amend(f"m-{number}", "a", data={"tokens": number, "model": "large"}))
        self.assertEqual([data["tokens"] for data in self.current("a")], [4])
        chain = self.corrections("a")
        self.assertEqual(chain.mapped("root_id"), self.stored("a").sorted("id")[0])
        self.assertEqual(chain[0].replacement_id, chain[1].event_id)
        self.assertEqual(chain[1].replacement_id, chain[2].event_id)

    def test_void_an_amendment(self):
        self.ingest([self.event("a")])
        self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "large"}))
        self.assertEqual(self.outcomes(self.correct(self.void("v-1", "a"))), {"accepted": 1})
        self.assertEqual(self.current("a"), [])

    def test_several_of_one_event_in_one_request(self):
        """Each corrects what those before it made."""
        self.ingest([self.event("a", tokens=1)])
        answer = self.correct(
            self.amend("m-1", "a", data={"tokens": 2, "model": "large"}),
            self.amend("m-2", "a", time=self.time(60)),
            self.amend("m-3", "a", data={"tokens": 3, "model": "large"}),
            self.void("v-1", "a"),
            self.amend("m-4", "a", data={"tokens": 4, "model": "large"}),
        )
        self.assertEqual(self.outcomes(answer), {"accepted": 4, "rejected": 1})
        self.assertEqual(self.codes({"events": answer["corrections"]}), {4: "event_voided"})
        self.assertEqual(self.current("a"), [])
        amended = self.corrections("a")[2].replacement_id
        self.assertEqual((amended.data["tokens"], amended.time), (3, fields.Datetime.add(self.hour, minutes=60)))

    def test_time_of_old_events_is_not_judged_again(self):
        self.env["ir.config_parameter"].set_param("usage.max_age_days", "400")
        old = f"{fields.Datetime.subtract(self.now, days=300).replace(microsecond=0).isoformat()}Z"
        self.ingest([self.event("a", time=old)])
        self.env["ir.config_parameter"].set_param("usage.max_age_days", "30")
        self.assertEqual(
            self.outcomes(self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "x"}))), {"accepted": 1}
        )
        answer = self.correct(self.amend("m-2", "a", time=old))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "time_too_old"})

    def test_numbers_are_exact(self):
        self.ingest([self.event("a", data={"tokens": Decimal("0.000000000000000001"), "model": "x"})])
        self.correct(self.amend("m-1", "a", time=self.time(1)))
        [[text]] = self.env.execute_query(
            SQL(
                "SELECT data ->> 'tokens' FROM usage_event e JOIN usage_correction c ON c.replacement_id = e.id "
                "WHERE c.source_id = %s",
                self.source.id,
            )
        )
        self.assertEqual(text, "0.000000000000000001")

    # -- once, and only once ----------------------------------------------------------------

    def test_sent_again(self):
        self.ingest([self.event("a")])
        sent = [self.amend("m-1", "a", data={"tokens": 2, "model": "large"}), self.void("v-1", "a")]
        self.correct(*sent)
        answer = self.correct(*sent)
        self.assertEqual(self.outcomes(answer), {"duplicate": 2})
        self.assertEqual({one["code"] for one in answer["corrections"]}, {"id_known"})
        self.assertEqual(len(self.corrections("a")), 2)

    def test_twice_in_one_request(self):
        self.ingest([self.event("a")])
        self.assertEqual(
            self.outcomes(self.correct(self.void("v-1", "a"), self.void("v-1", "a"))), {"accepted": 1, "duplicate": 1}
        )

    def test_the_same_id_says_something_else(self):
        self.ingest([self.event("a"), self.event("b")])
        self.correct(self.void("v-1", "a"))
        answer = self.correct(self.void("v-1", "b"))
        self.assertEqual(self.outcomes(answer), {"conflict": 1})
        self.assertEqual(answer["corrections"][0]["code"], "id_conflict")
        self.assertIn("correction", answer["corrections"][0]["message"])
        self.assertEqual(len(self.current("b")), 1, "the first one stands")
        conflict = self.exceptions(reason="conflict")
        self.assertEqual((conflict.kind, conflict.event_ref), ("corrections", "b"))
        self.assertEqual(json.loads(conflict.payload)["event"], "b")
        self.assertEqual(json.loads(conflict.other_payload)["event"], "a")

    def test_no_event_collides_with_it(self):
        """A correction may have the id of an event, and an event that of a correction."""
        self.ingest([self.event("same")])
        self.assertEqual(self.outcomes(self.correct(self.void("same", "same"))), {"accepted": 1})
        self.ingest([self.event("a")])
        self.correct(self.void("x", "a"))
        self.assertEqual(self.outcomes(self.ingest([self.event("x")])), {"accepted": 1})

    def test_the_event_is_known_as_it_first_came(self):
        """Sent again as it was, it is a duplicate, and as it was amended, a conflict."""
        self.ingest([self.event("a", tokens=1)])
        self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "large"}))
        self.assertEqual(self.outcomes(self.ingest([self.event("a", tokens=1)])), {"duplicate": 1})
        self.assertEqual(self.outcomes(self.ingest([self.event("a", tokens=3)])), {"conflict": 1})
        other = json.loads(self.exceptions(reason="conflict").other_payload)
        self.assertEqual(other["data"]["tokens"], 2, "what counts is shown beside what was received")

    # -- what is held -----------------------------------------------------------------------

    def test_event_of_an_unmapped_account(self):
        self.ingest([self.event("a", subject="new"), self.event("b", subject="new")])
        answer = self.correct(self.void("v-1", "a"), self.amend("m-1", "b", data={"tokens": 2, "model": "large"}))
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "quarantined": 1})
        self.assertEqual(self.codes({"events": answer["corrections"]}), {1: "account_unmapped"})
        self.assertEqual((self.current("a"), self.current("b")), ([], [{"tokens": 2, "model": "large"}]))

    def test_event_of_an_unknown_type(self):
        self.ingest([self.event("a", type="unknown"), self.event("b")])
        answer = self.correct(self.amend("m-1", "a", data={"n": 1}), self.amend("m-2", "b", type="unknown too"))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "meter_unknown", 1: "meter_unknown"})
        self.assertEqual(len(self.exceptions(reason="meter_unknown", event_type="unknown too")), 1)

    def test_amended_to_an_account_to_come(self):
        self.ingest([self.event("a")])
        answer = self.correct(self.amend("m-1", "a", subject="stranger"))
        self.assertEqual(self.outcomes(answer), {"quarantined": 1})
        self.assertEqual(self.corrections("a").replacement_id.account_id.external_id, "stranger")
        self.assertEqual(len(self.exceptions(reason="account_unmapped", state="open")), 1)

    # -- what is refused --------------------------------------------------------------------

    def test_nothing_happens_when_it_is_rejected(self):
        self.ingest([self.event("a")])
        answer = self.correct(self.amend("m-1", "a", data={"tokens": "many"}))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "value_not_number"})
        self.assertEqual((self.current("a"), len(self.corrections("a"))), ([{"tokens": 1, "model": "large"}], 0))
        batch = self.env["usage.batch"].browse(answer["batch"])
        self.assertTrue(batch.folded_at, "nothing of it is to be counted")
        mended = self.correct(self.amend("m-1", "a", data={"tokens": 5, "model": "large"}))
        self.assertEqual(self.outcomes(mended), {"accepted": 1}, "the id is free until it is accepted")

    def test_of_another_source(self):
        other = self._source("other-cloud")
        self.ingest([self.event("a")])
        answer = self.correct(self.void("v-1", "a"), source=other)
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "event_unknown"})
        self.assertEqual(len(self.current("a")), 1)

    def test_deleted_at_the_end_of_its_retention(self):
        self.ingest([self.event("a")])
        self.env.cr.execute("DELETE FROM usage_event WHERE event_id = 'a'")
        answer = self.correct(self.void("v-1", "a"))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "event_deleted"})

    def test_an_event_of_the_type_of_summaries(self):
        self.ingest([self.event("a")])
        answer = self.correct(self.amend("m-1", "a", type="usage.summary"))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "type_reserved"})

    def test_replay(self):
        """Sent before its event: rejected, kept, and carried out when someone replays it."""
        self.correct(self.void("v-1", "a"))
        early = self.exceptions(reason="event_unknown")
        self.assertEqual((early.kind, early.event_ref, early.category), ("corrections", "a", "operational"))
        early.with_user(self.operator).action_replay()
        self.assertEqual(early.state, "open")
        self.ingest([self.event("a")])
        early.with_user(self.operator).action_replay()
        self.assertEqual((early.state, self.current("a")), ("resolved", []))

    def test_other_attributes_are_kept(self):
        self.ingest([self.event("a")])
        self.correct(self.void("v-1", "a", ticket="T-7", data={"tokens": 5}))
        self.assertEqual(self.corrections("a").attributes, {"ticket": "T-7", "data": {"tokens": 5}})

    def test_statements_do_not_grow_with_corrections(self):
        self.ingest([self.event(f"e-{n}") for n in range(120)])
        self.correct(self.void("warm", "e-0"))
        counts = []
        for first, last in ((1, 31), (31, 120)):
            before = self.env.cr.sql_log_count
            self.correct(*[self.amend(f"m-{n}", f"e-{n}", time=self.time(n)) for n in range(first, last)])
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(counts[0], counts[1])

    def test_stored_content_is_that_of_events(self):
        """What is sent as an amendment is judged as the event would be."""
        self._meter("bytes", value_path="bytes")
        self.ingest([self.event("a", data={"tokens": 1, "bytes": 1})])
        answer = self.correct(self.amend("m-1", "a", data={"tokens": 1}))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "value_missing"})
        self.assertIn("Meter bytes", answer["corrections"][0]["message"])


@tagged("post_install", "-at_install")
class TestCorrectedEvents(UsageCommon):
    """What the screens of events show."""

    def test_states(self):
        self.ingest([self.event("a"), self.event("b"), self.event("c")])
        self.correct(self.void("v-1", "a"), self.amend("m-1", "b", data={"tokens": 2, "model": "large"}))
        self.fold()
        rows = self.stored("a", "b", "c").sorted("id")
        self.assertEqual(rows.mapped("state"), ["voided", "superseded", "counted", "counted"])
        for state in ("voided", "superseded", "counted"):
            found = self.env["usage.event"].search([("source_id", "=", self.source.id), ("state", "=", state)])
            self.assertEqual(set(found.mapped("state")), {state})
            self.assertEqual(found, rows.filtered(lambda row, wanted=state: row.state == wanted).sorted())

    def test_every_row_of_an_event_shows_all_corrections(self):
        self.ingest([self.event("a"), self.event("b")])
        self.correct(
            self.amend("m-1", "a", data={"tokens": 2, "model": "large"}), self.amend("m-2", "a", time=self.time(1))
        )
        for row in self.stored("a"):
            self.assertEqual(row.correction_count, 2)
            self.assertEqual(row.correction_ids.mapped("correction_ref"), ["m-2", "m-1"])
            action = row.action_view_corrections()
            self.assertEqual(self.env["usage.correction"].search(action["domain"]), row.correction_ids)
        self.assertEqual(self.stored("b").correction_count, 0)

    def test_names_and_texts_of_corrections(self):
        self.ingest([self.event("a")])
        self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "large"}))
        correction = self.corrections("a").with_user(self.viewer)
        self.assertEqual(correction.display_name, "Amended: a")
        self.assertEqual(correction.account_id, self.account)
        self.assertEqual(json.loads(correction.event_text)["data"]["tokens"], 1)
        self.assertEqual(json.loads(correction.replacement_text)["data"]["tokens"], 2)
