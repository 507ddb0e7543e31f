from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged

from ..models.usage_ingestion import UsageIngestion
from .common import UsageCommon, to_json


@tagged("post_install", "-at_install")
class TestOutcomes(UsageCommon):
    """What becomes of an event, alone and beside others."""

    def test_accepted(self):
        answer = self.ingest([self.event("a"), self.event("b")])
        self.assertEqual(self.outcomes(answer), {"accepted": 2})
        self.assertEqual(answer["events"], [], "only events that are not accepted are listed")
        self.assertEqual(len(self.stored("a", "b")), 2)

    def test_answer_names_every_count(self):
        answer = self.ingest([])
        self.assertEqual(
            {name: answer[name] for name in answer if name != "batch"},
            {"accepted": 0, "duplicate": 0, "conflict": 0, "quarantined": 0, "rejected": 0, "events": []},
        )

    def test_answer_of_an_event(self):
        answer = self.ingest([self.event("a"), self.event("b", tokens="many")])
        [event] = answer["events"]
        self.assertEqual((event["index"], event["id"]), (1, "b"))
        self.assertEqual((event["outcome"], event["code"]), ("rejected", "value_not_number"))
        self.assertIn("tokens", event["message"])

    def test_duplicate_across_batches(self):
        first = self.ingest([self.event("a"), self.event("b")])
        again = self.ingest([self.event("a"), self.event("b"), self.event("c")])
        self.assertEqual(self.outcomes(first), {"accepted": 2})
        self.assertEqual(self.outcomes(again), {"accepted": 1, "duplicate": 2})
        self.assertEqual(self.codes(again), {0: "id_known", 1: "id_known"})
        self.assertEqual(len(self.stored("a", "b", "c")), 3)

    def test_duplicate_in_one_batch(self):
        answer = self.ingest([self.event("a"), self.event("b"), self.event("a"), self.event("a")])
        self.assertEqual(self.outcomes(answer), {"accepted": 2, "duplicate": 2})
        self.assertEqual(self.codes(answer), {2: "id_known", 3: "id_known"})
        self.assertEqual(len(self.stored("a")), 1)

    def test_a_key_that_is_deleted_meanwhile(self):
        """Its retention ends between the attempt to store it and the look at what was there: it is stored anew."""
        cls, real, claims = type(self.env["usage.ingestion"]), UsageIngestion._claim_keys, []

        def claim(ingestion, batch_id, read):
            claims.append(len(read))
            return real(ingestion, batch_id, read) if len(claims) > 1 else 0

        with patch.object(cls, "_claim_keys", claim):
            self.assertEqual(self.outcomes(self.ingest([self.event("a"), self.event("b")])), {"accepted": 2})
        self.assertEqual(claims, [2, 2])
        self.assertEqual(self.outcomes(self.ingest([self.event("a"), self.event("b")])), {"duplicate": 2})

    def test_retry_of_an_event_without_time(self):
        """Its time is that of its first receipt; sent again later, it is the same event."""
        event = self.event("a", time=None)
        self.assertEqual(self.outcomes(self.ingest([event])), {"accepted": 1})
        self.assertEqual(self.outcomes(self.ingest([event])), {"duplicate": 1})
        stored = self.stored("a")
        self.assertEqual(stored.time, stored.received_at)

    def test_retry_with_another_traceparent(self):
        self.ingest([self.event("a", traceparent="00-1")])
        self.assertEqual(self.outcomes(self.ingest([self.event("a", traceparent="00-2")])), {"duplicate": 1})

    def test_retry_written_in_another_order(self):
        event = self.event("a")
        self.ingest([event])
        event = {name: event[name] for name in reversed(event)}
        event["data"] = {name: event["data"][name] for name in reversed(event["data"])}
        self.assertEqual(self.outcomes(self.ingest([event])), {"duplicate": 1})

    def test_conflict_across_batches(self):
        self.ingest([self.event("a", tokens=1)])
        answer = self.ingest([self.event("a", tokens=2), self.event("b")])
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "conflict": 1})
        self.assertEqual(self.codes(answer), {0: "id_conflict"})
        self.assertEqual(self.stored("a").data["tokens"], 1, "the first one counts")

    def test_conflict_in_one_batch(self):
        answer = self.ingest([self.event("a", tokens=1), self.event("a", tokens=2)])
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "conflict": 1})
        self.assertEqual(self.stored("a").data["tokens"], 1)

    def test_repeats_are_judged_by_what_is_stored(self):
        """Not by what the batch said first: that may itself be the conflict."""
        self.ingest([self.event("a", tokens=1)])
        other, same = self.event("a", tokens=2), self.event("a", tokens=1)
        self.assertEqual(self.outcomes(self.ingest([other, other])), {"conflict": 2})
        self.assertEqual(self.outcomes(self.ingest([other, same])), {"conflict": 1, "duplicate": 1})
        self.assertEqual(self.outcomes(self.ingest([same, other])), {"conflict": 1, "duplicate": 1})

    def test_conflict_on_every_part_of_an_event(self):
        self.ingest([self.event("a")])
        for change in (
            {"subject": "other"},
            {"type": "other"},
            {"time": self.time(1)},
            {"tenant": "t"},
            {"extension": "x"},
        ):
            self.assertEqual(self.outcomes(self.ingest([self.event("a", **change)])), {"conflict": 1}, change)

    def test_conflict_makes_no_account(self):
        self.ingest([self.event("a")])
        self.ingest([self.event("a", subject="ghost")])
        self.assertFalse(self.env["usage.account"].search([("external_id", "=", "ghost")]))

    def test_same_id_of_two_sources(self):
        other = self._source("other-cloud")
        self._account("acme", self.customer, source=other)
        self.assertEqual(self.outcomes(self.ingest([self.event("a")])), {"accepted": 1})
        self.assertEqual(self.outcomes(self.ingest([self.event("a", tokens=2)], source=other)), {"accepted": 1})

    def test_unmapped_account(self):
        answer = self.ingest([self.event("a", subject="new"), self.event("b", subject="new"), self.event("c")])
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "quarantined": 2})
        self.assertEqual(self.codes(answer), {0: "account_unmapped", 1: "account_unmapped"})
        account = self.env["usage.account"].search([("source_id", "=", self.source.id), ("external_id", "=", "new")])
        self.assertEqual(len(account), 1)
        self.assertFalse(account.partner_id)
        self.assertEqual(self.stored("a", "b").account_id, account)

    def test_unmapped_account_is_made_once(self):
        for event_id in "ab":
            self.ingest([self.event(event_id, subject="new")])
        self.assertEqual(self.env["usage.account"].search_count([("external_id", "=", "new")]), 1)
        self.assertEqual(len(self.exceptions(reason="account_unmapped")), 1)

    def test_archived_account_is_still_the_account(self):
        self.account.active = False
        self.assertEqual(self.outcomes(self.ingest([self.event("a")])), {"accepted": 1})

    def test_type_without_meter(self):
        answer = self.ingest([self.event("a", type="new.type", data={"anything": ["goes"]}), self.event("b")])
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "quarantined": 1})
        self.assertEqual(self.codes(answer), {0: "meter_unknown"})
        self.assertEqual(self.stored("a").data, {"anything": ["goes"]})

    def test_meter_of_another_company_does_not_count(self):
        self.meter.company_id = self.env["res.company"].create({"name": "Other"})
        self.assertEqual(self.codes(self.ingest([self.event("a")])), {0: "meter_unknown"})

    def test_archived_meter_does_not_count(self):
        self.meter.active = False
        self.assertEqual(self.codes(self.ingest([self.event("a")])), {0: "meter_unknown"})

    def test_mixed_batch(self):
        self.ingest([self.event("known")])
        answer = self.ingest(
            [
                self.event("good 1"),
                "no event",
                self.event("known"),
                self.event("good 2"),
                self.event("known", tokens=9),
                self.event("new account", subject="new"),
                self.event("bad", tokens=-1),
                self.event("good 3"),
            ]
        )
        self.assertEqual(
            self.outcomes(answer), {"accepted": 3, "duplicate": 1, "conflict": 1, "quarantined": 1, "rejected": 2}
        )
        self.assertEqual(
            self.codes(answer),
            {1: "not_an_object", 2: "id_known", 4: "id_conflict", 5: "account_unmapped", 6: "value_negative"},
        )
        self.assertEqual(len(self.stored("good 1", "good 2", "good 3", "new account")), 4)
        self.assertFalse(self.stored("bad"))

    def test_rejected_id_may_be_sent_again(self):
        self.assertEqual(self.outcomes(self.ingest([self.event("a", tokens="1")])), {"rejected": 1})
        self.assertEqual(self.outcomes(self.ingest([self.event("a", tokens=1)])), {"accepted": 1})

    def test_rejected_event_before_a_good_one_with_its_id(self):
        answer = self.ingest([self.event("a", tokens="1"), self.event("a", tokens=1)])
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "rejected": 1})

    def test_answer_repeats_an_id_that_is_one(self):
        """Where no text stands in its place, the index tells which event is meant."""
        answer = self.ingest(b'{"events": [{"id": "bad"}, {"id": 7.5}, {"id": ["x"]}, {"id": null}, {}, 3]}')
        self.assertEqual([event["id"] for event in answer["events"]], ["bad", None, None, None, None, None])
        self.assertEqual([event["index"] for event in answer["events"]], [0, 1, 2, 3, 4, 5])

    def test_number_of_queries_does_not_grow_with_events(self):
        self.ingest([self.event("warm", subject="warm")])
        events = [self.event(f"few {n}", subject=f"few {n}") for n in range(3)]
        many = [self.event(f"many {n}", subject=f"many {n}") for n in range(300)]
        with self.assertQueryCount(20):
            self.ingest(events)
        with self.assertQueryCount(20):
            self.ingest(many)


@tagged("post_install", "-at_install")
class TestStored(UsageCommon):
    """What is stored is what was sent."""

    def test_columns(self):
        answer = self.ingest(
            [
                self.event(
                    "a",
                    time=self.time(30),
                    tenant="t-1",
                    subscription="s-1",
                    user="u-1",
                    region="eu",
                    traceparent="00-1",
                    correlationid="c-1",
                )
            ]
        )
        [values] = self.stored("a").read()
        self.assertEqual(values["batch_id"][0], answer["batch"])
        self.assertEqual(values["source_id"][0], self.source.id)
        self.assertEqual(values["company_id"][0], self.company.id)
        self.assertEqual(values["account_id"][0], self.account.id)
        self.assertEqual(values["time"], fields.Datetime.add(self.hour, minutes=30))
        self.assertEqual(values["type"], "llm.completion")
        self.assertEqual(values["data"], {"tokens": 1, "model": "large"})
        self.assertEqual((values["tenant_ref"], values["subscription_ref"], values["user_ref"]), ("t-1", "s-1", "u-1"))
        self.assertEqual(values["attributes"], {"source": "/test", "region": "eu"})

    def test_absent_is_null(self):
        self.ingest(b'{"events": [{"id": "a", "type": "t", "subject": "acme"}]}')
        stored = self.stored("a")
        self.assertEqual(stored.data, {})
        for name in ("tenant_ref", "subscription_ref", "user_ref", "attributes"):
            self.assertFalse(stored[name], name)

    def test_zone(self):
        local = fields.Datetime.add(self.hour, hours=5, minutes=30).isoformat() + "+05:30"
        self.ingest([self.event("a", time=local)])
        self.assertEqual(self.stored("a").time, self.hour)

    def test_numbers_keep_every_digit(self):
        numbers = [
            "0.1",
            "1.000000000000000001",
            "123456789012345678901234567890",
            "9007199254740993",
            "-0.5",
            "100000",
        ]
        body = b'{"events": [{"id": "a", "type": "free", "subject": "acme", "data": {"n": [%s, 1E+5]}}]}'
        self.ingest(body % ", ".join(numbers).encode())
        self.assertEqual(self._texts("n"), [*numbers, "100000"])

    def test_number_of_many_digits_costs_no_other_event(self):
        """PostgreSQL has a limit of 16,383 decimals; a type without a meter lets anything pass."""
        long_number = "0." + "1" * 20_000
        bad = b'{"id": "a", "type": "free", "subject": "acme", "data": {"n": [%s]}}' % long_number.encode()
        answer = self.ingest(b'{"events": [%s, %s]}' % (bad, to_json(self.event("b"))))
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "quarantined": 1})
        self.assertEqual(self._texts("n"), [long_number])

    def test_nested_data(self):
        data = {"n": 1}
        for _ in range(100):
            data = {"n": [data]}
        self.assertEqual(self.outcomes(self.ingest([self.event("a", type="free", data=data)])), {"quarantined": 1})
        self.assertEqual(self.stored("a").data, data)

    def _texts(self, name):
        self.env.cr.execute("SELECT jsonb_array_elements_text(data->%s) FROM usage_event WHERE event_id = 'a'", [name])
        return [row[0] for row in self.env.cr.fetchall()]

    def test_texts_that_could_upset_a_copy(self):
        """Quotes, commas, line ends, end-of-data marks and null marks are only text."""
        texts = [
            "\\.",
            "x\n\\.\ny",
            "x\r\n\\.\r\ny",
            "\\N",
            "NULL",
            '"',
            '""',
            "a,b;c\td",
            "'; DROP TABLE usage_event; --",
            "%s %(x)s {}",
            " leading and trailing ",
            "\u2028\u2029\x85\x0b\x0c\x1c",
            "é☃😀",
            "\x7f\x01",
        ]
        events = [
            self.event(
                text, subject=text, type=text, tenant=text, subscription=text, user=text, data={text: text}, x=text
            )
            for text in texts
        ]
        self.assertEqual(self.ingest(events)["quarantined"], len(texts))
        for text in texts:
            with self.subTest(text=text):
                stored = self.stored(text)
                self.assertEqual(stored.event_id, text)
                self.assertEqual((stored.type, stored.account_id.external_id), (text, text))
                self.assertEqual((stored.tenant_ref, stored.subscription_ref, stored.user_ref), (text, text, text))
                self.assertEqual((stored.data, stored.attributes["x"]), ({text: text}, text))
                self.assertEqual(self.outcomes(self.ingest([events[texts.index(text)]])), {"duplicate": 1})

    def test_ids_differ_by_case_and_space(self):
        events = [self.event(event_id) for event_id in ("a", "A", " a", "a ", "á", "a\u0301")]
        self.assertEqual(self.outcomes(self.ingest(events)), {"accepted": 6})

    def test_ids_of_events_are_unique(self):
        for batch in range(3):
            self.ingest([self.event(f"{batch} {n}") for n in range(20)])
        events = self.env["usage.event"].search([("source_id", "=", self.source.id)])
        self.assertEqual(len(set(events.ids)), 60)
