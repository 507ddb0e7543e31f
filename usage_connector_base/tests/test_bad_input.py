"""Bad input as a table: what is sent, what becomes of it, and where a person finds it."""

from typing import NamedTuple

from odoo.tests import tagged

from .common import UsageCommon, to_json

# Where a person finds it
EXCEPTION = "an exception with the event as it was received"
ACCOUNT = "an exception of the account that waits for a customer"
TYPE = "an exception of the type that waits for a meter"
CONFLICT = "an exception with both events side by side"
BATCH = "the count of the request"


SCHEMA = """{
    "properties": {"gb": {"maximum": 1000}, "tier": {"enum": ["hot", "cold"]}},
    "required": ["gb", "tier"],
    "additionalProperties": false
}"""


class Bad(NamedTuple):
    """One row of the table; requests that are refused as a whole are in ``test_http``."""

    what: str
    event: object  # dict of changes to a good event, or bytes of JSON in its place
    outcome: str
    code: str
    where: str = EXCEPTION


def rejected(what, event, code):
    return Bad(what, event, "rejected", code)


def event_with_data(data):
    return b'{"id": "bad", "type": "llm.completion", "subject": "acme", "data": %s}' % data


TABLE = [
    rejected("a text instead of an event", b'"event"', "not_an_object"),
    rejected("a number instead of an event", b"42", "not_an_object"),
    rejected("null instead of an event", b"null", "not_an_object"),
    rejected("a list instead of an event", b"[]", "not_an_object"),
    rejected("an empty event", b"{}", "id_invalid"),
    rejected("an older CloudEvents", {"specversion": "0.3"}, "specversion_unsupported"),
    rejected("specversion as a number", {"specversion": 1}, "specversion_unsupported"),
    rejected("no id", {"id": None}, "id_invalid"),
    rejected("an empty id", {"id": ""}, "id_invalid"),
    rejected("an id that is a number", {"id": 17}, "id_invalid"),
    rejected("an id that is an object", {"id": {"a": 1}}, "id_invalid"),
    rejected("an id of 256 characters", {"id": "x" * 256}, "id_invalid"),
    rejected("an id with NUL", {"id": "a\0b"}, "character_invalid"),
    rejected("no type", {"type": None}, "type_invalid"),
    rejected("a type that is a boolean", {"type": True}, "type_invalid"),
    rejected("a type of 256 characters", {"type": "x" * 256}, "type_invalid"),
    rejected("the type of summaries", {"type": "usage.summary"}, "type_reserved"),
    rejected("no subject", {"subject": None}, "subject_invalid"),
    rejected("an empty subject", {"subject": ""}, "subject_invalid"),
    rejected("a subject that is a number", {"subject": 4711}, "subject_invalid"),
    rejected("a subject with NUL", {"subject": "\0"}, "character_invalid"),
    rejected("seconds instead of a time", {"time": 1769903999}, "time_invalid"),
    rejected("a word instead of a time", {"time": "yesterday"}, "time_invalid"),
    rejected("an empty time", {"time": ""}, "time_invalid"),
    rejected("a time without a zone", {"time": "2026-01-31T00:00:00"}, "time_invalid"),
    rejected("a day instead of a time", {"time": "2026-01-31"}, "time_invalid"),
    rejected("a day that does not exist", {"time": "2025-02-29T00:00:00Z"}, "time_invalid"),
    rejected("a leap second", {"time": "2016-12-31T23:59:60Z"}, "time_invalid"),
    rejected("a time before year 1", {"time": "0001-01-01T00:00:00+14:00"}, "time_invalid"),
    rejected("a time in the year 3000", {"time": "3000-01-01T00:00:00Z"}, "time_in_future"),
    rejected("a time after year 9999 in UTC", {"time": "9999-12-31T23:59:59-01:00"}, "time_invalid"),
    rejected("a time of 1970", {"time": "1970-01-01T00:00:00Z"}, "time_too_old"),
    rejected("a tenant that is a number", {"tenant": 1}, "reference_invalid"),
    rejected("an empty subscription", {"subscription": ""}, "reference_invalid"),
    rejected("a user of 256 characters", {"user": "x" * 256}, "reference_invalid"),
    rejected("a user with NUL", {"user": "\0"}, "character_invalid"),
    rejected("data that is a text", {"data": "tokens=5"}, "data_invalid"),
    rejected("data that is a list", {"data": [5]}, "data_invalid"),
    rejected("data that is a number", {"data": 5}, "data_invalid"),
    rejected("data of 40 KB", {"data": {"tokens": 1, "text": "x" * 40_000}}, "data_too_large"),
    rejected("an attribute of 40 KB", {"extension": "x" * 40_000}, "data_too_large"),
    rejected("data with NUL in a text", {"data": {"tokens": 1, "text": "\0"}}, "character_invalid"),
    rejected("data with NUL in a name", {"data": {"tokens": 1, "a\0": 1}}, "character_invalid"),
    rejected("an attribute with NUL", {"extension": ["\0"]}, "character_invalid"),
    rejected("no data", {"data": None}, "value_missing"),
    rejected("no value", {"data": {"model": "large"}}, "value_missing"),
    rejected("null for a value", {"data": {"tokens": None}}, "value_missing"),
    rejected("a text for a number", {"data": {"tokens": "42"}}, "value_not_number"),
    rejected("a boolean for a number", {"data": {"tokens": True}}, "value_not_number"),
    rejected("an object for a number", {"data": {"tokens": {}}}, "value_not_number"),
    rejected("a huge exponent", event_with_data(b'{"tokens": 1e400}'), "value_not_number"),
    rejected("an absurd exponent", event_with_data(b'{"tokens": 1e9999999999999999999}'), "value_not_number"),
    rejected("20,000 decimals", event_with_data(b'{"tokens": 0.%s}' % (b"1" * 20_000)), "value_not_number"),
    rejected("a negative value", {"data": {"tokens": -1}}, "value_negative"),
    rejected("a value of 10^18", {"data": {"tokens": 10**18}}, "value_out_of_range"),
    rejected("a value of 40 digits", event_with_data(b'{"tokens": %s}' % (b"9" * 40)), "value_out_of_range"),
    rejected("19 decimals", event_with_data(b'{"tokens": 0.%s}' % (b"1" * 19)), "value_out_of_range"),
    rejected("a list for a dimension", {"data": {"tokens": 1, "model": ["large"]}}, "dimension_invalid"),
    rejected("an object for a dimension", {"data": {"tokens": 1, "model": {}}}, "dimension_invalid"),
    rejected("a dimension of 201 characters", {"data": {"tokens": 1, "model": "x" * 201}}, "dimension_invalid"),
    rejected("no value to tell apart", {"type": "login", "data": {"at": "web"}}, "value_missing"),
    rejected("an object to tell apart", {"type": "login", "data": {"person": {"id": 1}}}, "value_invalid"),
    rejected("201 characters to tell apart", {"type": "login", "data": {"person": "x" * 201}}, "value_invalid"),
    rejected("data without an agreed name", {"type": "agreed", "data": {"gb": 1}}, "schema_mismatch"),
    rejected(
        "data with a name not agreed", {"type": "agreed", "data": {"gb": 1, "tier": "hot", "x": 1}}, "schema_mismatch"
    ),
    rejected("a text not in the agreed list", {"type": "agreed", "data": {"gb": 1, "tier": "warm"}}, "schema_mismatch"),
    rejected("more than agreed", {"type": "agreed", "data": {"gb": 1000.5, "tier": "hot"}}, "schema_mismatch"),
    rejected("agreed data of 40 KB", {"type": "agreed", "data": {"gb": 1, "tier": "x" * 40_000}}, "data_too_large"),
    Bad("an account nobody knows", {"subject": "nobody"}, "quarantined", "account_unmapped", ACCOUNT),
    Bad("a type nobody counts", {"type": "unheard.of"}, "quarantined", "meter_unknown", TYPE),
    Bad("a known event once more", {"id": "known"}, "duplicate", "id_known", BATCH),
    Bad("a known id, another value", {"id": "known", "data": {"tokens": 9}}, "conflict", "id_conflict", CONFLICT),
    Bad("a known id, another account", {"id": "known", "subject": "other"}, "conflict", "id_conflict", CONFLICT),
]


@tagged("post_install", "-at_install")
class TestBadInput(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._meter("people", "login", aggregation="unique_count", value_path="person")
        cls._meter("agreed", "agreed", value_path="gb", payload_schema=SCHEMA)
        cls.ingest([cls.event("known")])

    def body(self, number, bad):
        if isinstance(bad.event, bytes):
            return bad.event
        return to_json(
            self.event(f"bad {number}", **bad.event) if "id" not in bad.event else self.event(**self._named(bad))
        )

    def _named(self, bad):
        """Changes of an event that names its id itself, as arguments of ``event``."""
        changes = dict(bad.event)
        return {"event_id": changes.pop("id"), **changes}

    def test_fifty_kinds(self):
        """The table has at least fifty rows, and no two of them are the same."""
        self.assertGreaterEqual(len(TABLE), 50)
        self.assertEqual(len({bad.what for bad in TABLE}), len(TABLE))
        self.assertEqual(len({self.body(0, bad) for bad in TABLE}), len(TABLE))

    def test_each_alone(self):
        for number, bad in enumerate(TABLE):
            with self.subTest(bad.what):
                answer = self.ingest(b'{"events": [%s]}' % self.body(number, bad))
                self.assertEqual(self.outcomes(answer), {bad.outcome: 1})
                [judged] = answer["events"]
                self.assertEqual((judged["outcome"], judged["code"]), (bad.outcome, bad.code))
                self.assertTrue(judged["message"])
                self._find(bad, answer, judged)

    def test_all_together_cost_no_good_event(self):
        """Every bad input has a good event before and after it, and every good one counts."""
        events, good = [], []
        for number, bad in enumerate(TABLE):
            good.append(f"good {number}")
            events += [to_json(self.event(good[-1])), self.body(number, bad)]
        answer = self.ingest(b'{"events": [%s]}' % b", ".join(events))
        self.assertEqual(answer["accepted"], len(TABLE))
        self.assertEqual(len(self.stored(*good)), len(TABLE))
        self.assertEqual(self.codes(answer), {2 * n + 1: bad.code for n, bad in enumerate(TABLE)})

    def _find(self, bad, answer, judged):
        """A person finds it where the table says."""
        found = self.exceptions(state="open").filtered(lambda x: x.batch_id.id == answer["batch"])
        if bad.where is BATCH:
            self.assertFalse(found)
            self.assertEqual(self.env["usage.batch"].browse(answer["batch"]).duplicate_count, 1)
        elif bad.where is ACCOUNT:
            found = self.exceptions(state="open", reason="account_unmapped")
            self.assertEqual(found.account_id.external_id, "nobody")
            self.assertEqual(found.category, "business")
            self.assertEqual(self.stored(judged["id"]).account_id, found.account_id)
        elif bad.where is TYPE:
            self.assertEqual((found.reason, found.event_type), ("meter_unknown", "unheard.of"))
            self.assertTrue(self.stored(judged["id"]))
        else:
            self._check_exception(bad, found, judged)

    def _check_exception(self, bad, found, judged):
        self.assertEqual(len(found), 1)
        self.assertEqual(found.reason, "conflict" if bad.where is CONFLICT else bad.code)
        self.assertEqual(found.category, "business" if bad.where is CONFLICT else "operational")
        self.assertEqual(found.message, judged["message"])
        self.assertTrue(found.payload)
        self.assertEqual(found.owner_id, self.source.owner_id)
        self.assertEqual(bool(found.other_payload), bad.where is CONFLICT)
        self.assertTrue(found.summary)
        self.assertNotIn("\0", found.payload)
