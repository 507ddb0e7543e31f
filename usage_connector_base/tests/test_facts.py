import doctest
import json
import random
from datetime import datetime, timedelta
from decimal import Decimal

from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.ingestion import envelope, facts
from odoo.addons.usage_connector_base.ingestion.facts import (
    MAX_DATA,
    REJECTIONS,
    MeterSpec,
    Rejection,
    limits_at,
    read_fact,
)

NOW = datetime(2026, 2, 1, 12, 0, 0)
LIMITS = limits_at(NOW, max_age_days=400, max_future_hours=24)
TOKENS = MeterSpec("tokens", ("tokens",), ())
NESTED = MeterSpec("nested", ("usage", "tokens"), (("meta", "model"),))


class FactsCase(BaseCase):
    def fact(self, *meters, source_id=1, raw=None, **values):
        """Fact of a well-formed event with changes; a value of None leaves an attribute out.

        :param bytes raw: JSON of the whole event, instead
        """
        event = {"id": "e-1", "type": "t", "subject": "acme", **values}
        body = raw or json.dumps({name: value for name, value in event.items() if value is not None}).encode()
        [parsed] = envelope.parse(b"[%s]" % body, envelope.BATCH)
        return read_fact(source_id, parsed, lambda _type: meters, LIMITS)

    def assertRejected(self, code, *meters, **values):
        with self.assertRaises(Rejection) as caught:
            self.fact(*meters, **values)
        self.assertEqual(caught.exception.code, code)
        return caught.exception.message

    def value(self, number, meter=TOKENS):
        """The counted value of an event whose JSON has this number."""
        raw = b'{"id": "1", "type": "t", "subject": "s", "data": {"tokens": %s}}' % number.encode()
        return self.fact(meter, raw=raw).data["tokens"]


@tagged("post_install", "-at_install")
class TestEnvelopeAttributes(FactsCase):
    def test_doctests(self):
        result = doctest.testmod(facts)
        self.assertEqual(result.failed, 0)
        self.assertGreater(result.attempted, 0)

    def test_smallest_event(self):
        fact = self.fact()
        self.assertEqual((fact.event_id, fact.type, fact.subject), ("e-1", "t", "acme"))
        self.assertEqual((fact.time, fact.data, fact.attributes), (None, {}, None))
        self.assertEqual((fact.tenant_ref, fact.subscription_ref, fact.user_ref), (None, None, None))

    def test_every_attribute(self):
        fact = self.fact(
            specversion="1.0",
            time="2026-01-31T23:59:59Z",
            data={"tokens": 3},
            tenant="t-1",
            subscription="s-1",
            user="u-1",
            source="/llm",
            region="eu",
            traceparent="00-1-2-01",
            tracestate="x=1",
            correlationid="c-1",
        )
        self.assertEqual(fact.time, datetime(2026, 1, 31, 23, 59, 59))
        self.assertEqual(fact.data, {"tokens": 3})
        self.assertEqual((fact.tenant_ref, fact.subscription_ref, fact.user_ref), ("t-1", "s-1", "u-1"))
        self.assertEqual(
            fact.attributes, {"source": "/llm", "region": "eu"}, "what belongs to the transport is not kept"
        )

    def test_not_an_object(self):
        for raw in (b"null", b"1", b"1.5", b'"text"', b"[]", b"true"):
            self.assertRejected("not_an_object", raw=raw)

    def test_specversion(self):
        self.assertTrue(self.fact(specversion="1.0"))
        for version in ("0.3", "1.1", "1", "", 1, 1.0, True, {}):
            self.assertRejected("specversion_unsupported", specversion=version)
        self.assertRejected(
            "specversion_unsupported", raw=b'{"specversion": null, "id": "1", "type": "t", "subject": "s"}'
        )

    def test_identifiers(self):
        for name in ("id", "type", "subject"):
            for value in (None, "", "x" * 256, 1, 1.5, True, {}, []):
                with self.subTest(name=name, value=value):
                    self.assertRejected(f"{name}_invalid", **{name: value})
            self.assertTrue(self.fact(**{name: "x" * 255}))
            self.assertTrue(self.fact(**{name: "é😀 /?#'\"\\"}))

    def test_references(self):
        for name in ("tenant", "subscription", "user"):
            for value in ("", "x" * 256, 1, False, {}, []):
                with self.subTest(name=name, value=value):
                    self.assertRejected("reference_invalid", **{name: value})
            self.assertEqual(getattr(self.fact(**{name: "x" * 255}), f"{name}_ref"), "x" * 255)

    def test_reference_null_is_none(self):
        self.assertIsNone(self.fact(raw=b'{"id": "1", "type": "t", "subject": "s", "tenant": null}').tenant_ref)

    def test_data(self):
        self.assertEqual(self.fact(data={}).data, {})
        self.assertEqual(self.fact(raw=b'{"id": "1", "type": "t", "subject": "s", "data": null}').data, {})
        for data in ("text", 1, True, [], [{"tokens": 1}]):
            self.assertRejected("data_invalid", data=data)

    def test_size(self):
        room = MAX_DATA - 200
        self.assertTrue(self.fact(data={"text": "x" * room}))
        self.assertRejected("data_too_large", data={"text": "x" * MAX_DATA})
        self.assertRejected("data_too_large", extension="x" * MAX_DATA)
        self.assertRejected("data_too_large", data={"text": "é" * (MAX_DATA // 2)})

    def test_nul_anywhere(self):
        for values in (
            {"id": "a\0"},
            {"type": "\0"},
            {"subject": "a\0b"},
            {"tenant": "\0"},
            {"data": {"a": "\0"}},
            {"data": {"a\0": 1}},
            {"data": {"a": [{"b": ["x\0y"]}]}},
            {"extension": "\0"},
            {"exten\0sion": "x"},
        ):
            with self.subTest(values=values):
                self.assertRejected("character_invalid", **values)

    def test_text_that_looks_like_nul(self):
        """A backslash and the letters u0000 are six ordinary characters."""
        self.assertEqual(self.fact(data={"path": r"C:\u0000"}).data, {"path": r"C:\u0000"})

    def test_every_message_says_what_to_do(self):
        for code in REJECTIONS:
            message = Rejection(code, "Here.").message
            self.assertTrue(message.startswith(REJECTIONS[code]))
            self.assertTrue(message.endswith("Here."))
            self.assertEqual(Rejection(code).message, REJECTIONS[code])


@tagged("post_install", "-at_install")
class TestTime(FactsCase):
    def test_zones(self):
        for text, expected in (
            ("2026-01-31T23:59:59Z", datetime(2026, 1, 31, 23, 59, 59)),
            ("2026-01-31t23:59:59z", datetime(2026, 1, 31, 23, 59, 59)),
            ("2026-01-31T23:59:59+00:00", datetime(2026, 1, 31, 23, 59, 59)),
            ("2026-01-31T23:59:59-00:00", datetime(2026, 1, 31, 23, 59, 59)),
            ("2026-02-01T00:29:59+05:30", datetime(2026, 1, 31, 18, 59, 59)),
            ("2026-01-31T14:59:59-09:00", datetime(2026, 1, 31, 23, 59, 59)),
            ("2026-01-01T00:30:00+01:00", datetime(2025, 12, 31, 23, 30)),
            ("2026-01-31T23:59:59.25Z", datetime(2026, 1, 31, 23, 59, 59, 250000)),
            ("2026-01-31T23:59:59.123456Z", datetime(2026, 1, 31, 23, 59, 59, 123456)),
        ):
            with self.subTest(text):
                self.assertEqual(self.fact(time=text).time, expected)
                self.assertIsNone(self.fact(time=text).time.tzinfo)

    def test_digits_of_a_fraction_never_move_the_second(self):
        """A nanosecond clock's last instant of a month is not the next month."""
        self.assertEqual(
            self.fact(time="2026-01-31T23:59:59.999999999Z").time, datetime(2026, 1, 31, 23, 59, 59, 999999)
        )

    def test_no_zone(self):
        self.assertIn("zone", self.assertRejected("time_invalid", time="2026-01-31T23:59:59"))

    def test_not_a_time(self):
        for value in (
            "",
            " ",
            "yesterday",
            "2026-01-31",
            "23:59:59Z",
            "2026-01-31T23:59Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T23:60:00Z",
            "2026-01-31T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-01-31T23:59:59+25:00",
            "20260131T235959Z",
            "2026-W05-6T00:00:00Z",
            "2026-01-31T23:59:59Z\n",
            " 2026-01-31T23:59:59Z",
            "1769903999",
            1769903999,
            1769903999.5,
            True,
            {},
            [],
        ):
            with self.subTest(value=value):
                self.assertRejected("time_invalid", time=value)

    def test_limits_are_inclusive(self):
        latest, earliest = NOW + timedelta(hours=24), NOW - timedelta(days=400)
        self.assertEqual(self.fact(time=f"{latest.isoformat()}Z").time, latest)
        self.assertEqual(self.fact(time=f"{earliest.isoformat()}Z").time, earliest)

    def test_beyond_the_limits(self):
        second = timedelta(seconds=1)
        after, before = NOW + timedelta(hours=24) + second, NOW - timedelta(days=400) - second
        self.assertIn("2026-02-02T12:00:00Z", self.assertRejected("time_in_future", time=f"{after.isoformat()}Z"))
        self.assertIn("2024-12-28T12:00:00Z", self.assertRejected("time_too_old", time=f"{before.isoformat()}Z"))

    def test_far_away(self):
        self.assertRejected("time_in_future", time="3000-01-01T00:00:00Z")
        self.assertRejected("time_in_future", time="9999-12-31T23:59:59Z")
        self.assertRejected("time_too_old", time="1970-01-01T00:00:00Z")
        self.assertRejected("time_too_old", time="0001-01-01T00:00:00Z")

    def test_limits_compare_in_utc(self):
        """Local midnight of a far zone is still, or already, within the limits."""
        self.assertTrue(self.fact(time="2026-02-03T01:00:00+14:00"))
        self.assertRejected("time_in_future", time="2026-02-02T01:00:00-12:00")


@tagged("post_install", "-at_install")
class TestMeterValues(FactsCase):
    def test_values(self):
        for text in ("0", "1", "0.1", "0.10", "1e3", "-0", "-0.0", "999999999999999999", "999999999999999999.9"):
            with self.subTest(text):
                self.assertEqual(self.value(text), Decimal(text))

    def test_decimals(self):
        self.assertEqual(self.value("0.000000000000000001"), Decimal("1e-18"))
        with self.assertRaises(Rejection) as caught:
            self.value("0.0000000000000000001")
        self.assertEqual(caught.exception.code, "value_out_of_range")

    def test_refused_values(self):
        for code, numbers in {
            "value_missing": ("null",),
            "value_not_number": ('"42"', '"0.1"', '""', "true", "false", "{}", "[]", "[1]", "1e400", "1e999999999999"),
            "value_negative": ("-1", "-0.000000000000000001", "-1e30"),
            "value_out_of_range": ("1000000000000000000", "1e18", "1e100", "9" * 30, "0." + "1" * 19),
        }.items():
            for number in numbers:
                with self.subTest(number), self.assertRaises(Rejection) as caught:
                    self.value(number)
                self.assertEqual(caught.exception.code, code, number)

    def test_message_names_meter_and_place(self):
        message = self.assertRejected("value_missing", NESTED, data={"usage": {}})
        self.assertIn("nested", message)
        self.assertIn("data.usage.tokens", message)

    def test_nested_value(self):
        self.assertTrue(self.fact(NESTED, data={"usage": {"tokens": 1}, "meta": {"model": "large"}}))
        for data in ({}, {"usage": None}, {"usage": 5}, {"usage": "tokens"}, {"usage": [1]}, {"usage.tokens": 1}):
            with self.subTest(data=data):
                self.assertRejected("value_missing", NESTED, data=data)

    def test_every_meter_of_the_type_is_asked(self):
        other = MeterSpec("bytes", ("bytes",), ())
        self.assertTrue(self.fact(TOKENS, other, data={"tokens": 1, "bytes": 2}))
        self.assertIn("bytes", self.assertRejected("value_missing", TOKENS, other, data={"tokens": 1}))

    def test_counting_needs_no_value(self):
        self.assertTrue(self.fact(MeterSpec("requests", (), ()), data={}))

    def test_without_a_meter_anything_is_stored(self):
        self.assertEqual(self.fact(data={"tokens": "many"}).data, {"tokens": "many"})

    def test_dimensions(self):
        meter = MeterSpec("requests", (), (("model",), ("meta", "region")))
        for data in (
            {},
            {"model": None},
            {"model": "x" * 200},
            {"model": 5, "meta": {"region": True}},
            {"model": "", "meta": "eu"},
        ):
            self.assertEqual(self.fact(meter, data=data).data, data)
        for data in ({"model": {}}, {"model": []}, {"model": "x" * 201}, {"meta": {"region": ["eu"]}}):
            self.assertRejected("dimension_invalid", meter, data=data)


@tagged("post_install", "-at_install")
class TestIdentity(FactsCase):
    """The key says which event it is, the fingerprint what it says."""

    def fingerprint(self, raw):
        return self.fact(raw=raw).fingerprint

    def test_key(self):
        self.assertEqual(self.fact().key, self.fact(time="2026-01-31T00:00:00Z", data={"a": 1}).key)
        self.assertEqual(self.fact().key, facts.event_key(1, "e-1"))
        self.assertNotEqual(self.fact().key, self.fact(source_id=2).key)
        self.assertNotEqual(self.fact().key, self.fact(id="e-2").key)
        self.assertNotEqual(self.fact(source_id=1, id="1:x").key, self.fact(source_id=11, id=":x").key)

    def test_fingerprint_sees_content(self):
        base = self.fact(time="2026-01-31T00:00:00Z", data={"a": 1}, tenant="t")
        for change in (
            {"type": "other"},
            {"subject": "other"},
            {"time": "2026-01-31T00:00:01Z"},
            {"time": None},
            {"data": {"a": 2}},
            {"data": {"a": "1"}},
            {"data": {"a": True}},
            {"data": {"a": 1, "b": None}},
            {"data": {}},
            {"tenant": None},
            {"tenant": None, "user": "t"},
            {"extension": "x"},
        ):
            with self.subTest(change=change):
                values = {"time": "2026-01-31T00:00:00Z", "data": {"a": 1}, "tenant": "t", **change}
                self.assertNotEqual(self.fact(**values).fingerprint, base.fingerprint)
                self.assertEqual(self.fact(**values).key, base.key)

    def test_fingerprint_does_not_see_transport(self):
        base = self.fact().fingerprint
        for change in (
            {"traceparent": "00-a-b-01"},
            {"tracestate": "a=1"},
            {"correlationid": "x"},
            {"specversion": "1.0"},
        ):
            self.assertEqual(self.fact(**change).fingerprint, base)

    def test_ways_to_write_the_same(self):
        """Order of names, white space, escapes, the zone of a time, absent and null data: all the same."""
        data = b'"data":{"a":{"x":1,"y":"\xc3\xa9"},"b":[1,2]}'
        other_data = b'"data":{"b":[1,2],"a":{"y":"\xc3\xa9","x":1}}'
        names = b'"id":"1","type":"t","subject":"s","time":"2026-01-31T00:00:00Z"'
        base = self.fingerprint(b"{%s,%s}" % (names, data))
        other_order = b"{%s,%s}" % (other_data, names)
        other_zone = (
            b'{ "id": "1", "type": "t", "subject": "s",\n "time": "2026-01-31T01:00:00+01:00",'
            b' "data": {"a": {"x": 1, "y": "\\u00e9"}, "b": [1, 2]}}'
        )
        for raw in (other_order, other_zone):
            self.assertEqual(self.fingerprint(raw), base)
        self.assertEqual(
            self.fingerprint(b'{"id":"1","type":"t","subject":"s","data":null,"tenant":null}'),
            self.fingerprint(b'{"id":"1","type":"t","subject":"s"}'),
        )

    def test_order_of_a_list_matters(self):
        self.assertNotEqual(self.fact(data={"a": [1, 2]}).fingerprint, self.fact(data={"a": [2, 1]}).fingerprint)

    def test_ways_to_write_a_number(self):
        """1.0, 1.00 and 1e0 are one number: a sender that restarts in another language is no conflict."""
        event = b'{"id":"1","type":"t","subject":"s","data":{"a":%s}}'
        base = self.fingerprint(event % b"1.5")
        for text in (b"1.50", b"15e-1", b"0.15E1"):
            self.assertEqual(self.fingerprint(event % text), base)
        self.assertNotEqual(self.fingerprint(event % b"1.51"), base)
        self.assertEqual(self.fingerprint(event % b"100"), self.fingerprint(event % b"1e2"))
        self.assertEqual(self.fingerprint(event % b"100"), self.fingerprint(event % b"100.0"))

    def test_numbers_that_differ_in_the_last_digit(self):
        event = b'{"id":"1","type":"t","subject":"s","data":{"a":%s}}'
        self.assertNotEqual(
            self.fingerprint(event % b"0.1000000000000000055511151231257827"), self.fingerprint(event % b"0.1")
        )
        self.assertNotEqual(
            self.fingerprint(event % b"9007199254740993"), self.fingerprint(event % b"9007199254740992")
        )

    def test_stored_number_has_every_digit(self):
        fact = self.fact(
            raw=b'{"id":"1","type":"t","subject":"s","data":{"a":0.10000000000000001,"b":12345678901234567890}}'
        )
        self.assertEqual(facts.dump(fact.data), '{"a":0.10000000000000001,"b":12345678901234567890}')

    def test_random_events(self):
        """Shuffled names never change a fingerprint; any changed leaf always does."""
        chance = random.Random(2026)
        for round_number in range(200):
            data = self._random_object(chance, 3)
            fingerprint = self.fact(data=data).fingerprint
            with self.subTest(round=round_number, data=data):
                self.assertEqual(self.fact(data=self._shuffled(chance, data)).fingerprint, fingerprint)
                self.assertNotEqual(self.fact(data={**data, "one more": chance.random()}).fingerprint, fingerprint)

    def _random_object(self, chance, depth):
        names = chance.sample("abcdefgh", chance.randint(0, 5))
        return {name: self._random_value(chance, depth) for name in names}

    def _random_value(self, chance, depth):
        kind = chance.randint(0, 6 if depth else 4)
        if kind == 6:
            return self._random_object(chance, depth - 1)
        if kind == 5:
            return [self._random_value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
        return [None, True, chance.randint(-(10**6), 10**25), round(chance.random(), 6), chance.choice('é\n"\\ ☃')][
            kind
        ]

    def _shuffled(self, chance, value):
        if isinstance(value, dict):
            return {name: self._shuffled(chance, value[name]) for name in chance.sample(list(value), len(value))}
        if isinstance(value, list):
            return [self._shuffled(chance, item) for item in value]
        return value
