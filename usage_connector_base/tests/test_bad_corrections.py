"""Bad corrections and summaries as tables: what is sent, what becomes of it, and where a person finds it."""

from odoo.tests import tagged

from .common import UsageCommon
from .test_bad_input import ACCOUNT, BATCH, CONFLICT, EXCEPTION, TYPE, Bad, rejected

CORRECTIONS = [
    rejected("a text instead of a correction", "void e-1", "not_an_object"),
    rejected("null instead of a correction", None, "not_an_object"),
    rejected("no id", {"id": None}, "id_invalid"),
    rejected("an id of 256 characters", {"id": "x" * 256}, "id_invalid"),
    rejected("an id with NUL", {"id": "\0"}, "character_invalid"),
    rejected("no action", {"action": None}, "action_invalid"),
    rejected("an unknown action", {"action": "delete"}, "action_invalid"),
    rejected("an action that is a list", {"action": ["void"]}, "action_invalid"),
    rejected("no event", {"event": None}, "event_invalid"),
    rejected("an event that is an object", {"event": {"id": "known"}}, "event_invalid"),
    rejected("an event with NUL", {"event": "\0"}, "event_invalid"),
    rejected("an event that was never sent", {"event": "nothing"}, "event_unknown"),
    rejected("a window that was never sent", {"event": "summary:0123456789abcdef"}, "event_unknown"),
    rejected("an event that was voided", {"event": "voided"}, "event_voided"),
    rejected("no reason", {"reason": None}, "reason_missing"),
    rejected("a reason of blanks", {"reason": " \n"}, "reason_missing"),
    rejected("a reason that is a number", {"reason": 7}, "reason_missing"),
    rejected("a reason with NUL", {"reason": "a\0b"}, "character_invalid"),
    rejected("a reason of 40 KB", {"reason": "x" * 40_000}, "data_too_large"),
    rejected("an amendment of nothing", {"action": "amend"}, "amendment_empty"),
    rejected("an amendment with null data", {"action": "amend", "data": None}, "amendment_empty"),
    rejected("amended data that are a text", {"action": "amend", "data": "tokens=5"}, "data_invalid"),
    rejected("amended data without the value", {"action": "amend", "data": {}}, "value_missing"),
    rejected("amended data with a text for a number", {"action": "amend", "data": {"tokens": "5"}}, "value_not_number"),
    rejected("amended data with NUL", {"action": "amend", "data": {"tokens": 1, "x": "\0"}}, "character_invalid"),
    rejected("amended to a time without a zone", {"action": "amend", "time": "2026-01-31T00:00:00"}, "time_invalid"),
    rejected("amended to the year 3000", {"action": "amend", "time": "3000-01-01T00:00:00Z"}, "time_in_future"),
    rejected("amended to 1970", {"action": "amend", "time": "1970-01-01T00:00:00Z"}, "time_too_old"),
    rejected("amended to an empty account", {"action": "amend", "subject": ""}, "subject_invalid"),
    rejected("amended to no type", {"action": "amend", "type": 7}, "type_invalid"),
    rejected("amended to the type of summaries", {"action": "amend", "type": "usage.summary"}, "type_reserved"),
    rejected("amended to an empty tenant", {"action": "amend", "tenant": ""}, "reference_invalid"),
    Bad(
        "amended to an unknown account",
        {"action": "amend", "subject": "nobody"},
        "quarantined",
        "account_unmapped",
        ACCOUNT,
    ),
    Bad("amended to an unknown type", {"action": "amend", "type": "unheard.of"}, "quarantined", "meter_unknown", TYPE),
    Bad("a known correction once more", {"id": "known", "event": "voided"}, "duplicate", "id_known", BATCH),
    Bad("a known id, another event", {"id": "known", "event": "known"}, "conflict", "id_conflict", CONFLICT),
]

SUMMARIES = [
    rejected("a number instead of a summary", 42, "not_an_object"),
    rejected("a list instead of a summary", [], "not_an_object"),
    rejected("no account", {"account": None}, "account_invalid"),
    rejected("an account that is a number", {"account": 7}, "account_invalid"),
    rejected("an account with NUL", {"account": "\0"}, "character_invalid"),
    rejected("no meter", {"meter": None}, "meter_invalid"),
    rejected("a meter of 256 characters", {"meter": "x" * 256}, "meter_invalid"),
    rejected("no start", {"start": None}, "window_invalid"),
    rejected("no end", {"end": None}, "window_invalid"),
    rejected("a start without a zone", {"start": "2026-01-31T00:00:00"}, "window_invalid"),
    rejected("a day instead of a start", {"start": "2026-01-31"}, "window_invalid"),
    rejected("a start within an hour", {"start": "half past"}, "window_invalid"),
    rejected("an end before its start", {"end": "before"}, "window_invalid"),
    rejected("an end at its start", {"end": "start"}, "window_invalid"),
    rejected("32 days", {"start": "early"}, "window_invalid"),
    rejected("a window of 1970", {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T01:00:00Z"}, "time_too_old"),
    rejected("a window of the year 3000", {"end": "3000-01-01T01:00:00Z"}, "time_in_future"),
    rejected("no quantity", {"quantity": None}, "value_missing"),
    rejected("a text for a quantity", {"quantity": "7"}, "value_not_number"),
    rejected("a boolean for a quantity", {"quantity": True}, "value_not_number"),
    rejected("a negative quantity", {"quantity": -1}, "value_negative"),
    rejected("a quantity of 10^18", {"quantity": 10**18}, "value_out_of_range"),
    rejected("no sequence", {"sequence": None}, "sequence_invalid"),
    rejected("a negative sequence", {"sequence": -1}, "sequence_invalid"),
    rejected("a sequence that is a text", {"sequence": "1"}, "sequence_invalid"),
    rejected("a sequence that is a boolean", {"sequence": True}, "sequence_invalid"),
    rejected("a sequence of 2^63", {"sequence": 2**63}, "sequence_invalid"),
    rejected("dimensions that are a list", {"dimensions": ["large"]}, "dimensions_invalid"),
    rejected("an object for a dimension", {"dimensions": {"model": {}}}, "dimension_invalid"),
    rejected("a dimension of 201 characters", {"dimensions": {"model": "x" * 201}}, "dimension_invalid"),
    rejected("a dimension with NUL", {"dimensions": {"model": "\0"}}, "character_invalid"),
    rejected("an empty tenant", {"tenant": ""}, "reference_invalid"),
    rejected("an attribute of 40 KB", {"job": "x" * 40_000}, "data_too_large"),
    rejected("a meter that keeps the latest", {"meter": "level"}, "meter_not_additive"),
    rejected("a window that was voided", {"start": "voided", "end": "voided"}, "window_voided"),
    Bad("an account nobody knows", {"account": "nobody"}, "quarantined", "account_unmapped", ACCOUNT),
    Bad("a meter to come", {"meter": "unheard of"}, "quarantined", "meter_unknown", TYPE),
    Bad("a known window once more", {"start": "known", "end": "known"}, "duplicate", "sequence_known", BATCH),
    Bad(
        "a known window with a lower sequence",
        {"start": "known", "end": "known", "sequence": 0},
        "duplicate",
        "sequence_outdated",
        BATCH,
    ),
    Bad(
        "a known window with another quantity",
        {"start": "known", "end": "known", "quantity": 9},
        "conflict",
        "sequence_conflict",
        CONFLICT,
    ),
    Bad("a window over a known one", {"start": "known", "end": "later"}, "conflict", "window_overlap", CONFLICT),
]


class BadItems:
    """The tests of both tables."""

    TABLE = ()
    NAME = ""

    def test_no_two_are_the_same(self):
        self.assertEqual(len({bad.what for bad in self.TABLE}), len(self.TABLE))

    def test_each_alone(self):
        for number, bad in enumerate(self.TABLE):
            with self.subTest(bad.what):
                answer = self.send(self.item(number, bad))
                self.assertEqual(self.outcomes(answer), {bad.outcome: 1})
                [judged] = answer[self.NAME]
                self.assertEqual((judged["outcome"], judged["code"]), (bad.outcome, bad.code))
                self.assertTrue(judged["message"])
                self._find(bad, answer, judged)

    def test_all_together_cost_no_good_one(self):
        items = []
        for number, bad in enumerate(self.TABLE):
            items += [self.good(number), self.item(number, bad)]
        answer = self.send(*items)
        self.assertEqual(answer["accepted"], len(self.TABLE))
        codes = {one["index"]: one["code"] for one in answer[self.NAME] if one.get("code")}
        self.assertEqual(codes, {2 * n + 1: bad.code for n, bad in enumerate(self.TABLE)})

    def _find(self, bad, answer, judged):
        """A person finds it where the table says."""
        found = self.exceptions(state="open").filtered(lambda x: x.batch_id.id == answer["batch"])
        if bad.where is BATCH:
            self.assertFalse(found)
            self.assertEqual(self.env["usage.batch"].browse(answer["batch"]).duplicate_count, 1)
        elif bad.where is ACCOUNT:
            found = self.exceptions(state="open", reason="account_unmapped")
            self.assertEqual(found.account_id.external_id, "nobody")
        elif bad.where is TYPE:
            self.assertEqual(found.reason, "meter_unknown")
            self.assertIn("unheard", found.event_type)
        else:
            self.assertIn(bad.where, (EXCEPTION, CONFLICT))
            self.assertEqual(len(found), 1)
            self.assertEqual(found.reason, "conflict" if bad.where is CONFLICT else bad.code)
            self.assertEqual((found.message, found.kind), (judged["message"], self.NAME))
            self.assertTrue(found.payload and found.summary)
            self.assertEqual(bool(found.other_payload), bad.where is CONFLICT)


@tagged("post_install", "-at_install")
class TestBadCorrections(BadItems, UsageCommon):
    TABLE = CORRECTIONS
    NAME = "corrections"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest(
            [cls.event("known"), cls.event("voided"), *[cls.event(f"good {n}") for n in range(len(CORRECTIONS))]]
        )
        cls.correct(cls.void("known", "voided"))

    def send(self, *items):
        return self.correct(*items)

    def good(self, number):
        return self.void(f"good {number}", f"good {number}")

    def item(self, number, bad):
        if not isinstance(bad.event, dict):
            return bad.event
        item = {**self.void(f"bad {number}", "known"), **bad.event}
        return {name: value for name, value in item.items() if value is not None}


@tagged("post_install", "-at_install")
class TestBadSummaries(BadItems, UsageCommon):
    TABLE = SUMMARIES
    NAME = "summaries"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._meter("level", "level", aggregation="latest", value_path="level")
        cls.summarize(cls.summary(start=-100))
        window = cls.summarize(cls.summary(start=-200))["summaries"][0]["id"]
        cls.correct(cls.void("v-1", window))

    def send(self, *items):
        return self.summarize(*items)

    def good(self, number):
        return self.summary(start=-number - 10)

    def item(self, number, bad):
        if not isinstance(bad.event, dict):
            return bad.event
        moments = {
            "start": {"half past": 30, "early": -32 * 24 * 60, "known": -6000, "voided": -12000},
            "end": {"before": -60, "start": 0, "known": -5940, "later": -5880, "voided": -11940},
        }
        item = {**self.summary(), **bad.event}
        for name, minutes in moments.items():
            if item[name] in minutes:
                item[name] = self.time(minutes[item[name]])
        return {name: value for name, value in item.items() if value is not None}
