import json
from decimal import Decimal

from odoo.exceptions import ValidationError
from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.ingestion.schemas import BadSchema, read_schema

from .common import UsageCommon, to_json


def schema_of_a(**rules):
    """A schema that says something of ``a`` alone."""
    return json.dumps({"properties": {"a": rules}})


# What is wrong with a schema, and what the message names.
BAD = (
    ("{", "no JSON: .*line 1 column 2"),
    ("[]", "must be a JSON object"),
    ('{"minimum": NaN}', "no JSON"),
    ('{"type": "strin"}', r"schema\.type: 'strin'"),
    ('{"properties": {"a": {"minimum": "1"}}}', r"schema\.properties\.a\.minimum"),
    ('{"required": "a"}', r"schema\.required"),
    ('{"$schema": "http://json-schema.org/draft-04/schema#"}', r"schema\.\$schema: write"),
    ('{"$ref": "https://example.com/schema.json"}', "is outside"),
    ('{"properties": {"a": {"$ref": "other.json#/a"}}}', r"schema\.properties\.a\.\$ref: .* is outside"),
    ('{"$ref": "#/$defs/none"}', "has no #/"),
    ('{"$ref": "#"}', "refers to itself"),
    ('{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}]}}}', "itself"),
    ('{"$defs": {"a": {"$id": "http://example.com/a"}}}', "only the schema as a whole"),
    ('{"pattern": "("}', r"schema\.pattern"),
    ('{"pattern": "%s"}' % ("a" * 201), "200 characters"),
    *(
        (schema_of_a(pattern=pattern), r"schema\.properties\.a\.pattern: .* too long")
        for pattern in ("(a+)+$", "^(a|aa)*$", "(a*)*", "(?:a{1,10}){1,10}$", ".*.*.*x", "^.*.*.*.*x", "((a{1,9})+)+b")
    ),
    ('{"patternProperties": {"(x*)*": true}}', "too long"),
    ('{"description": "%s"}' % ("x" * 70_000), "64 KiB"),
)
# Pattern, a text that matches, one that does not
PATTERNS = (
    (r"^(large|small)$", "large", "larger"),
    (r"^(\d{1,3}\.){3}\d{1,3}$", "10.0.0.1", "10.0.0"),
    (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "8f14e45f-0000-4000-8000-00000000000a", "8f14e45f"),
    (r"^[^@]+@[^@]+\.[a-z]+$", "ann@example.com", "ann@example"),
    (r"b$", "ab", "ba"),
    (r"a", "x" * 511 + "a", "x" * 512 + "a"),
)


@tagged("post_install", "-at_install")
class TestSchemas(BaseCase):
    """The reader by itself."""

    def test_bad_schemas(self):
        for text, message in BAD:
            with self.subTest(text[:80]), self.assertRaisesRegex(BadSchema, message):
                read_schema(text)

    def test_drafts(self):
        for name in ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"):
            check = read_schema(json.dumps({"$schema": name, "type": "object", "required": ["a"]}))
            self.assertIsNone(check({"a": 1}))
            self.assertTrue(check({}))

    def test_names_like_keywords(self):
        """A property may be called as a keyword is."""
        check = read_schema('{"properties": {"$ref": {"type": "string"}, "$id": {}, "pattern": {"type": "number"}}}')
        self.assertIsNone(check({"$ref": "x", "$id": 1, "pattern": 2}))
        self.assertIn("data.pattern", check({"pattern": "(("}))

    def test_numbers_are_exact(self):
        check = read_schema('{"properties": {"n": {"multipleOf": 0.1, "maximum": 0.3}, "i": {"type": "integer"}}}')
        for n in (Decimal("0.1"), Decimal("0.3"), 0):
            self.assertIsNone(check({"n": n}), n)
        for n in (Decimal("0.15"), Decimal("0.300000000000000001")):
            self.assertTrue(check({"n": n}), n)
        self.assertIsNone(check({"i": 10**30}))
        self.assertTrue(check({"i": Decimal("1.5")}))
        self.assertTrue(check({"i": True}))

    def test_patterns(self):
        for pattern, good, bad in PATTERNS:
            check = read_schema(schema_of_a(pattern=pattern))
            with self.subTest(pattern):
                self.assertIsNone(check({"a": good}))
                self.assertIn("data.a must fulfil", check({"a": bad}))

    def test_items_told_apart(self):
        check = read_schema('{"properties": {"a": {"uniqueItems": true}}}')
        self.assertIsNone(check({"a": [1, True, "1", None, {"a": 1}, {"a": 2}]}))
        self.assertTrue(check({"a": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}))
        self.assertIsNone(check({"a": [{"n": n} for n in range(5_000)]}))

    def test_messages(self):
        """They name the place and the rule, and nothing of what was sent."""
        schema = """{"properties": {
            "model": {"enum": ["large", "small"]},
            "parts": {"items": {"type": "object", "required": ["gb"]}},
            "long": {"enum": ["%s"]}, "never": false}}"""
        check = read_schema(schema % ("x" * 500))
        for data, message in (
            ({"model": "secret"}, 'data.model must fulfil {"enum": ["large", "small"]}.'),
            ({"parts": [{"gb": 1}, {"secret": 2}]}, 'data.parts.1 must fulfil {"required": ["gb"]}.'),
            ({"never": 1}, "data must fulfil false."),
        ):
            self.assertEqual(check(data), message)
        self.assertLess(len(check({"long": "secret"})), 200)

    def test_nested_without_end(self):
        check = read_schema('{"properties": {"child": {"$ref": "#"}}}')
        data = {}
        for _ in range(5_000):
            data = {"child": data}
        self.assertIn("nested too deeply", check(data))


@tagged("post_install", "-at_install")
class TestPayloadSchema(UsageCommon):
    """The schema of a meter, from saving it to an event."""

    def test_saving(self):
        for text, message in BAD[:4]:
            with self.subTest(text), self.assertRaisesRegex(ValidationError, message), self.cr.savepoint():
                self.meter.payload_schema = text
        self.meter.payload_schema = " \n "
        self.assertEqual(self.codes(self.ingest([self.event("a")])), {})

    def test_an_event_that_does_not_fulfil_it(self):
        self.meter.payload_schema = '{"required": ["region"]}'
        answer = self.ingest([self.event("a"), self.event("b", data={"tokens": 1, "region": "eu"})])
        self.assertEqual(self.codes(answer), {0: "schema_mismatch"})
        self.assertIn('Meter tokens: data must fulfil {"required": ["region"]}.', answer["events"][0]["message"])
        [exception] = self.exceptions(reason="schema_mismatch")
        self.assertEqual(exception.event_ref, "a")
        self.assertNotIn("large", exception.message)

    def test_the_schema_of_the_time(self):
        """An event is held to what was agreed at its time."""
        self.ingest([self.event("a")])
        self.fold()
        self.change(self.meter, valid_from=self.hour, payload_schema='{"required": ["region"]}')
        answer = self.ingest([self.event("b", time=self.time(-1)), self.event("c", time=self.time(0))])
        self.assertEqual(self.codes(answer), {1: "schema_mismatch"})

    def test_exactly(self):
        self.meter.payload_schema = '{"properties": {"tokens": {"multipleOf": 0.01}}}'
        body = b", ".join(to_json(self.event(str(n), tokens=Decimal(n))) for n in ("0.07", "1.1", "0.001"))
        self.assertEqual(self.codes(self.ingest(b'{"events": [%s]}' % body)), {2: "schema_mismatch"})
