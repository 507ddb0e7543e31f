import json
from decimal import Decimal

from odoo.exceptions import ValidationError
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.ingestion.summaries import ID_PREFIX

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestSummaries(UsageCommon):
    """What becomes of the summaries that are sent; what is counted by them is in ``test_correction_counts``."""

    def current(self, meter="tokens"):
        """(start hour, hours, quantity, sequence) of the windows that count."""
        query = SQL(
            """
            SELECT extract(epoch FROM e.time - %s)::int / 3600,
                extract(epoch FROM (e.data ->> 'end')::timestamp - e.time)::int / 3600,
                e.data ->> 'quantity', (e.data ->> 'sequence')::int
            FROM usage_event e WHERE e.source_id = %s AND e.type = 'usage.summary' AND e.data ->> 'meter' = %s
            AND NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
            ORDER BY e.time, e.data ->> 'dimensions'
            """,
            self.hour,
            self.source.id,
            meter,
        )
        return self.env.execute_query(query)

    def judged(self, answer):
        """(outcome, code) of each summary of an answer."""
        return [(one["outcome"], one.get("code")) for one in answer["summaries"]]

    # -- accepted ---------------------------------------------------------------------------

    def test_accepted(self):
        answer = self.summarize(
            self.summary(Decimal("7.50")), self.summary(3, start=1, hours=24), self.summary(1, dimensions=None)
        )
        self.assertEqual(self.outcomes(answer), {"accepted": 3})
        self.assertEqual([one["index"] for one in answer["summaries"]], [0, 1, 2])
        ids = [one["id"] for one in answer["summaries"]]
        self.assertEqual(len(set(ids)), 3)
        self.assertTrue(all(one.startswith(ID_PREFIX) for one in ids))
        self.assertCountEqual(self.current(), [(0, 1, "1", 1), (0, 1, "7.5", 1), (1, 24, "3", 1)])
        event = self.stored(ids[0])
        self.assertEqual((event.type, event.account_id, event.time), ("usage.summary", self.account, self.hour))
        self.assertEqual(event.summary_meter, "tokens")
        self.assertEqual(event.data["dimensions"], {"model": "large"})
        batch = self.env["usage.batch"].browse(answer["batch"])
        self.assertEqual((batch.kind, batch.event_count, batch.folded_at), ("summaries", 3, False))

    def test_what_else_is_sent_is_kept(self):
        answer = self.summarize(self.summary(tenant="t", user="u", job="nightly", dimensions={"model": None, "x": 1}))
        event = self.stored(answer["summaries"][0]["id"])
        self.assertEqual((event.tenant_ref, event.user_ref, event.attributes), ("t", "u", {"job": "nightly"}))
        self.assertEqual(event.data["dimensions"], {"x": 1}, "null is absent, as in events")

    def test_a_zone_is_converted(self):
        hour = self.hour.strftime("%Y-%m-%dT%H:00:00")
        answer = self.summarize(self.summary(start=0, end=None) | {"start": f"{hour}+02:00", "end": f"{hour}Z"})
        self.assertEqual(self.outcomes(answer), {"accepted": 1})
        self.assertEqual(self.current(), [(-2, 2, "1", 1)])

    # -- sequences --------------------------------------------------------------------------

    def test_sequences(self):
        first = self.summarize(self.summary(1, sequence=3))["summaries"][0]["id"]
        for quantity, sequence, judged in (
            (1, 3, ("duplicate", "sequence_known")),
            (2, 2, ("duplicate", "sequence_outdated")),
            (2, 3, ("conflict", "sequence_conflict")),
            (5, 7, ("accepted", None)),
            (1, 3, ("duplicate", "sequence_outdated")),
            (4, 8, ("accepted", None)),
        ):
            answer = self.summarize(self.summary(quantity, sequence=sequence))
            self.assertEqual(self.judged(answer), [judged])
            self.assertEqual(answer["summaries"][0]["id"], first, "the window has one id, whatever its sequence")
        self.assertEqual(self.current(), [(0, 1, "4", 8)])
        replaced = self.corrections(first)
        self.assertEqual(replaced.mapped("action"), ["replace", "replace"])
        self.assertEqual(replaced[0].reason, "Sequence 7 replaces sequence 3.")
        self.assertEqual(replaced[0].replacement_id, replaced[1].event_id)
        self.assertEqual(len(replaced.root_id), 1)

    def test_sequences_in_one_request(self):
        answer = self.summarize(*[self.summary(number, sequence=number) for number in (1, 3, 2, 3, 4)])
        self.assertEqual(
            self.judged(answer),
            [("accepted", None), ("accepted", None), ("duplicate", "sequence_outdated")]
            + [("duplicate", "sequence_known"), ("accepted", None)],
        )
        self.assertEqual(self.current(), [(0, 1, "4", 4)])

    def test_how_a_quantity_is_written_does_not_matter(self):
        self.summarize(self.summary(Decimal("1.50")))
        self.assertEqual(self.judged(self.summarize(self.summary(Decimal("1.5")))), [("duplicate", "sequence_known")])

    def test_order_of_dimensions_does_not_matter(self):
        self.summarize(self.summary(dimensions={"model": "large", "region": "eu"}))
        answer = self.summarize(self.summary(dimensions={"region": "eu", "model": "large", "tier": None}))
        self.assertEqual(self.judged(answer), [("duplicate", "sequence_known")])

    # -- overlaps ---------------------------------------------------------------------------

    def test_overlaps(self):
        self.summarize(self.summary(5, start=10, hours=4))
        for start, hours in ((9, 2), (13, 2), (10, 3), (11, 3), (11, 1), (9, 6), (10, 5), (0, 24)):
            answer = self.summarize(self.summary(1, start=start, hours=hours))
            self.assertEqual(self.judged(answer), [("conflict", "window_overlap")], (start, hours))
        for start, hours in ((9, 1), (14, 1)):
            self.assertEqual(self.judged(self.summarize(self.summary(start=start, hours=hours))), [("accepted", None)])
        self.assertEqual([window[:2] for window in self.current()], [(9, 1), (10, 4), (14, 1)])

    def test_long_windows_overlap(self):
        self.summarize(self.summary(start=-700, hours=700))
        self.assertEqual(
            self.judged(self.summarize(self.summary(start=-1))), [("conflict", "window_overlap")], "it began long ago"
        )
        self.assertEqual(self.judged(self.summarize(self.summary())), [("accepted", None)])

    def test_overlap_in_one_request(self):
        answer = self.summarize(self.summary(1, hours=2), self.summary(2, start=1), self.summary(3, start=2))
        self.assertEqual(self.judged(answer), [("accepted", None), ("conflict", "window_overlap"), ("accepted", None)])

    def test_others_do_not_overlap(self):
        self._meter("calls")
        self.summarize(self.summary(hours=4))
        answer = self.summarize(
            self.summary(start=1, meter="calls"),
            self.summary(start=1, account="another"),
            self.summary(start=1, dimensions={"model": "small"}),
            self.summary(start=1, dimensions={}),
        )
        self.assertEqual(answer["conflict"], 0)

    def test_exception_of_a_conflict(self):
        self.summarize(self.summary(5, hours=2))
        self.summarize(self.summary(6, start=1, hours=2), self.summary(7, hours=2))
        overlap, other_quantity = self.exceptions(reason="conflict").sorted(lambda x: "overlaps" not in x.message)
        self.assertEqual((overlap.kind, overlap.category), ("summaries", "business"))
        self.assertEqual(json.loads(overlap.payload)["quantity"], 6)
        self.assertEqual(json.loads(overlap.other_payload)["quantity"], 5)
        self.assertEqual(json.loads(other_quantity.payload)["quantity"], 7)
        self.summarize(self.summary(1, start=3))
        self.summarize(self.summary(6, start=1, hours=3))
        several = self.exceptions(reason="conflict").sorted("id")[-1]
        self.assertEqual(len(json.loads(several.other_payload)), 2)

    # -- what is held -----------------------------------------------------------------------

    def test_unmapped_account(self):
        answer = self.summarize(self.summary(account="new"))
        self.assertEqual(self.judged(answer), [("quarantined", "account_unmapped")])
        event = self.stored(answer["summaries"][0]["id"])
        self.assertEqual(event.state, "held")
        self.assertEqual(len(self.exceptions(reason="account_unmapped", account_id=event.account_id.id)), 1)
        event.account_id.partner_id = self.customer
        self.fold()
        self.assertEqual(event.state, "counted")

    def test_meter_to_come(self):
        answer = self.summarize(self.summary(meter="gb"), self.summary(meter="gb", start=1))
        self.assertEqual(self.judged(answer), [("quarantined", "meter_unknown")] * 2)
        waiting = self.exceptions(reason="meter_unknown")
        self.assertEqual((waiting.occurrence_count, waiting.held_event_count), (2, 2))
        self.assertIn("gb", waiting.summary)
        events = self.stored(*[one["id"] for one in answer["summaries"]])
        self.assertEqual(self.env["usage.event"].search(waiting.action_view_events()["domain"]), events)
        self.assertEqual(set(events.mapped("state")), {"held"})
        self._meter("gb", "storage", value_path="gb")
        self.fold()
        self.assertEqual(waiting.state, "resolved")
        self.assertEqual(set(events.mapped("state")), {"counted"})
        self.assertEqual(self.env["usage.event"].search([("state", "=", "counted"), ("id", "in", events.ids)]), events)

    def test_meter_that_gets_the_code(self):
        self.summarize(self.summary(meter="gb"))
        self.meter.code = "gb"
        self.assertEqual(self.exceptions(reason="meter_unknown").state, "resolved")
        self.assertTrue(self.meter.recount_pending)

    def test_sequence_of_what_is_held(self):
        self.summarize(self.summary(1, account="new", meter="gb"))
        answer = self.summarize(self.summary(2, account="new", meter="gb", sequence=2))
        self.assertEqual(self.judged(answer), [("quarantined", "meter_unknown")])
        self.assertEqual(self.current("gb"), [(0, 1, "2", 2)])

    # -- voided -----------------------------------------------------------------------------

    def test_voided(self):
        window = self.summarize(self.summary(1, hours=4))["summaries"][0]["id"]
        self.assertEqual(self.outcomes(self.correct(self.void("v-1", window))), {"accepted": 1})
        self.assertEqual(self.current(), [])
        answer = self.summarize(self.summary(2, hours=4, sequence=2), self.summary(3, start=1))
        self.assertEqual(self.judged(answer), [("rejected", "window_voided"), ("accepted", None)])

    def test_replaced_and_voided(self):
        window = self.summarize(self.summary(1))["summaries"][0]["id"]
        self.summarize(self.summary(2, sequence=2))
        self.correct(self.void("v-1", window))
        self.assertEqual(self.current(), [])
        self.assertEqual(self.corrections(window).mapped("action"), ["replace", "void"])

    def test_not_amended(self):
        window = self.summarize(self.summary(1))["summaries"][0]["id"]
        answer = self.correct(self.amend("m-1", window, data={"quantity": 2}))
        self.assertEqual(self.codes({"events": answer["corrections"]}), {0: "summary_not_amendable"})

    def test_deleted(self):
        window = self.summarize(self.summary(1))["summaries"][0]["id"]
        self.env.cr.execute("DELETE FROM usage_event WHERE event_id = %s", [window])
        self.assertEqual(self.judged(self.summarize(self.summary(1))), [("rejected", "window_deleted")])

    # -- rejected ---------------------------------------------------------------------------

    def test_replay(self):
        self.summarize(self.summary(meter="tokens", quantity="many"))
        bad = self.exceptions(reason="value_not_number")
        self.assertEqual((bad.kind, bad.event_type), ("summaries", "usage.summary"))
        bad.with_user(self.operator).action_replay()
        self.assertEqual(bad.state, "open")

    def test_no_meter_counts_the_type(self):
        with self.assertRaises(ValidationError):
            self.meter.event_type = "usage.summary"

    def test_of_two_sources(self):
        other = self._source("other-cloud")
        self.summarize(self.summary(1))
        self.assertEqual(self.outcomes(self.summarize(self.summary(2), source=other)), {"quarantined": 1})
        self.assertEqual(self.current(), [(0, 1, "1", 1)])

    def test_statements_do_not_grow_with_summaries(self):
        self.summarize(self.summary(start=-1))
        counts = []
        for first, last in ((0, 30), (30, 120)):
            before = self.env.cr.sql_log_count
            self.summarize(*[self.summary(start=-number - 2) for number in range(first, last)])
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(counts[0], counts[1])
