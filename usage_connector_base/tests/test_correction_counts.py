"""What is counted by corrections and summaries, as people and senders read it."""

import random
from collections import defaultdict

from odoo.tests import tagged

from .common_query import QueryCommon


@tagged("post_install", "-at_install")
class TestCorrectedCounts(QueryCommon):
    def usage(self, **parameters):
        """Rows of ``GET /usage/v1/usage`` by hour: dict of (start, dimensions as text) to (quantity, events)."""
        query = {
            "meter": "tokens",
            "from": self.time(-6000),
            "to": self.time(6000),
            "granularity": "hour",
            **parameters,
        }
        query["group_by"] = "model"
        path = "/usage/v1/usage?" + "&".join(f"{name}={value}" for name, value in query.items())
        rows = self.answer(path)["data"]
        return {
            (row["start"].replace("+00:00", "Z"), row["dimensions"]["model"]): (row["quantity"], row["events"])
            for row in rows
        }

    def test_void_and_amend(self):
        self.ingest([self.event("a", tokens=1), self.event("b", tokens=2), self.event("c", tokens=4)])
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("7", 3)})
        self.correct(self.void("v-1", "a"))
        self.assertEqual(self.usage(), {(self.time(), "large"): ("7", 3)}, "within moments, not yet")
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("6", 2)})
        self.correct(
            self.amend("m-1", "b", data={"tokens": 20, "model": "small"}), self.amend("m-2", "c", time=self.time(61))
        )
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "small"): ("20", 1), (self.time(60), "large"): ("4", 1)})
        self.correct(self.amend("m-3", "b", data={"tokens": 21, "model": "small"}), self.void("v-2", "c"))
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "small"): ("21", 1)})

    def test_nothing_remains_of_an_hour(self):
        self.ingest([self.event("a")])
        self.fold()
        self.correct(self.void("v-1", "a"))
        self.fold()
        self.assertEqual((self.usage(), self.figures()), ({}, {}))

    def test_before_the_event_is_folded(self):
        """Event, amendment and void wait together: the void is what counts."""
        self.ingest([self.event("a"), self.event("b", tokens=5)])
        self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "large"}), self.void("v-1", "b"))
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("2", 1)})

    def test_folded_in_the_other_order(self):
        """A batch of corrections may be folded before that of its events."""
        batch = self.ingest([self.event("a", tokens=1), self.event("b", tokens=2)])["batch"]
        self.correct(self.amend("m-1", "a", data={"tokens": 10, "model": "large"}), self.void("v-1", "b"))
        self.env.cr.execute("UPDATE usage_batch SET folded_at = now() WHERE id = %s", [batch])
        self.fold()
        self.env.cr.execute("UPDATE usage_batch SET folded_at = NULL WHERE id = %s", [batch])
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("10", 1)})

    def test_of_an_account_without_a_customer(self):
        self.ingest([self.event("a", tokens=1, subject="new"), self.event("b", tokens=2, subject="new")])
        self.correct(self.void("v-1", "a"), self.amend("m-1", "b", data={"tokens": 3, "model": "large"}))
        self.fold()
        self.assertEqual(self.usage(account="new"), {(self.time(), "large"): ("3", 1)})

    def test_of_a_meter_to_come(self):
        self.ingest([self.event("a", type="late", data={"n": 1}), self.event("b", type="late", data={"n": 2})])
        self.correct(self.void("v-1", "a"), self.amend("m-1", "b", data={"n": 5, "model": "x"}))
        self.fold()
        self._meter("late", "late", value_path="n", dimensions="model")
        self.fold()
        self.assertEqual(self.usage(meter="late"), {(self.time(), "x"): ("5", 1)})

    def test_moved_to_another_account(self):
        self.ingest([self.event("a", tokens=7)])
        self.fold()
        self.correct(self.amend("m-1", "a", subject="acme-2"))
        self.fold()
        self.assertEqual(self.usage(account="acme"), {})
        self.assertEqual(self.usage(account="acme-2"), {(self.time(), "large"): ("7", 1)})

    def test_events_behind_an_hour(self):
        self.ingest([self.event("a", tokens=1), self.event("b", tokens=2)])
        self.correct(self.amend("m-1", "a", data={"tokens": 3, "model": "large"}), self.void("v-1", "b"))
        self.fold()
        hour = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id)])
        self.assertEqual(hour._event_ids(), self.corrections("a").replacement_id.ids)

    def test_summaries(self):
        window = self.summarize(self.summary(7), self.summary(3, start=1, hours=24))["summaries"][0]["id"]
        self.ingest([self.event("a", tokens=1)])
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("8", 2), (self.time(60), "large"): ("3", 1)})
        self.summarize(self.summary(9, sequence=2))
        self.fold()
        self.assertEqual(self.usage()[self.time(), "large"], ("10", 2))
        status = self.answer(f"/usage/v1/events/{window}")
        self.assertEqual(status["state"], "counted")
        self.assertEqual([(one["meter"], one["quantity"]) for one in status["meters"]], [("tokens", "9")])
        self.correct(self.void("v-1", window))
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("1", 1), (self.time(60), "large"): ("3", 1)})
        self.assertEqual(self.answer(f"/usage/v1/events/{window}")["state"], "voided")

    def test_summaries_of_a_meter_to_come(self):
        self.summarize(self.summary(7, meter="late"), self.summary(8, meter="late", sequence=2))
        self.fold()
        self._meter("late", "late", value_path="n", dimensions="model")
        self.fold()
        self.assertEqual(self.usage(meter="late"), {(self.time(), "large"): ("8", 1)})

    def test_conflicts_decided(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.summarize(self.summary(10, start=1), self.summary(20, start=2))
        self.summarize(self.summary(100, start=1, hours=2))
        self.fold()
        self.exceptions(reason="conflict").action_take_received("Decided")
        self.fold()
        self.assertEqual(self.usage(), {(self.time(), "large"): ("2", 1), (self.time(60), "large"): ("100", 1)})

    def test_against_a_reference(self):
        """Events, amendments and voids at random, folded now and then: what a dict of them would say."""
        dice = random.Random(19)
        alive, dead = {}, 0
        for step in range(120):
            event_id = f"e-{dice.randrange(30)}"
            minutes, tokens, model = dice.randrange(240), dice.randrange(1, 9), dice.choice(("large", "small"))
            content = {"time": self.time(minutes), "data": {"tokens": tokens, "model": model}}
            if event_id not in alive:
                outcome = self.ingest([self.event(event_id, **content)])
                if outcome["accepted"]:
                    alive[event_id] = (minutes // 60, tokens, model)
            elif dice.random() < 0.2:
                self.assertEqual(self.correct(self.void(f"c-{step}", event_id))["accepted"], 1)
                alive[event_id], dead = None, dead + 1
            elif alive[event_id]:
                self.assertEqual(self.correct(self.amend(f"c-{step}", event_id, **content))["accepted"], 1)
                alive[event_id] = (minutes // 60, tokens, model)
            alive = {name: content for name, content in alive.items() if content}
            if dice.random() < 0.2:
                self.fold()
        self.fold()
        expected = defaultdict(lambda: [0, 0])
        for hour, tokens, model in alive.values():
            figure = expected[self.time(hour * 60), model]
            figure[0], figure[1] = figure[0] + tokens, figure[1] + 1
        self.assertEqual(self.usage(), {key: (str(total), events) for key, (total, events) in expected.items()})
        self.assertGreater(dead, 3)
        before = self.figures()
        self.env["usage.aggregate"]._recount(self.meter)
        self.assertEqual(self.figures(), before, "counted again from the events, it is the same")
