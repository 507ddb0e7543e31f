import doctest
from decimal import Decimal
from zoneinfo import ZoneInfo

from odoo.tests import BaseCase, tagged

from ..ingestion import cells, compare, mending
from ..ingestion.compare import pretty, side_by_side
from ..ingestion.mending import CannotMend


@tagged("post_install", "-at_install")
class TestMending(BaseCase):
    EVENT = {"id": "a", "time": "2026-01-31T14:00:00", "data": {"usage": "1.50", "deep": {"er": [1]}}}

    def cannot(self, code, change, *args):
        with self.assertRaises(CannotMend) as caught:
            change(*args)
        self.assertEqual(caught.exception.code, code)

    def test_put(self):
        mended = mending.put(self.EVENT, ("data", "tokens"), 5)
        self.assertEqual(mended["data"], {**self.EVENT["data"], "tokens": 5})
        self.assertNotIn("tokens", self.EVENT["data"], "what was received stays")
        self.assertEqual(mending.put({"data": None}, ("data", "a", "b"), 1), {"data": {"a": {"b": 1}}})
        self.cannot("in_the_way", mending.put, self.EVENT, ("data", "usage", "x"), 1)
        self.cannot("in_the_way", mending.put, self.EVENT, ("id", "x"), 1)
        self.cannot("not_an_object", mending.put, [1], ("id",), 1)

    def test_rename_and_remove(self):
        mended = mending.rename(self.EVENT, ("data", "usage"), ("data", "tokens"))
        self.assertEqual(mended["data"], {"deep": {"er": [1]}, "tokens": "1.50"})
        self.assertEqual(mending.remove(self.EVENT, ("data", "deep", "er"))["data"]["deep"], {})
        for path in (("data", "x"), ("x", "usage"), ("data", "usage", "x")):
            self.cannot("nothing_there", mending.remove, self.EVENT, path)

    def test_to_number(self):
        path = ("data", "usage")
        self.assertEqual(mending.to_number(self.EVENT, path)["data"]["usage"], Decimal("1.50"))
        comma = mending.put(self.EVENT, path, "1.234,5")
        self.assertEqual(mending.to_number(comma, path, ",")["data"]["usage"], Decimal("1234.5"))
        self.cannot("no_number", mending.to_number, comma, path)
        self.cannot("no_number", mending.to_number, self.EVENT, ("data", "deep"))
        self.cannot("nothing_there", mending.to_number, self.EVENT, ("data", "x"))

    def test_times(self):
        berlin = ZoneInfo("Europe/Berlin")
        self.assertEqual(mending.place(self.EVENT, berlin)["time"], "2026-01-31T13:00:00Z")
        named = {"time": "2026-01-31T14:00:00Z"}
        self.assertEqual(mending.place(named, berlin)["time"], "2026-01-31T13:00:00Z")
        self.assertEqual(mending.shift(named, -1.5)["time"], "2026-01-31T12:30:00Z")
        self.assertEqual(mending.shift({"time": "2026-01-31T14:00:00+01:00"}, 1)["time"], "2026-01-31T14:00:00Z")
        for event in ({"time": "soon"}, {"time": 17}, {}, [1], {"time": None}):
            self.cannot("no_time", mending.place, event, berlin)
            self.cannot("no_time", mending.shift, event, 1)
        self.cannot("no_time", mending.shift, named, 1e9)


@tagged("post_install", "-at_install")
class TestComparing(BaseCase):
    def differing(self, left, right):
        return [row[:2] for row in side_by_side(left, right) if row[2]]

    def test_only_what_differs(self):
        left = '{"id": "a", "time": "2026-01-31T14:00:00", "data": {"n": 1.0, "m": "x"}}'
        right = '{"specversion": "1.0", "data": {"m": "x", "n": 2}, "time": "2026-01-31T15:00:00+01:00", "id": "a"}'
        self.assertEqual(self.differing(left, right), [('    "n": 1', '    "n": 2')])
        self.assertEqual(self.differing(left, left), [])

    def test_lines_that_one_side_lacks(self):
        self.assertEqual(self.differing('{"a": 1}', '{"a": 1, "b": {"c": 2}}')[-1][0], None)

    def test_what_is_no_json(self):
        self.assertEqual(self.differing('{"a": 1}', '{"a"'), [("{", '{"a"'), ('  "a": 1', None), ("}", None)])
        self.assertEqual(self.differing(None, "7"), [(None, "7")])
        self.assertEqual(self.differing('{"time": "soon"}', '{"time": "soon"}'), [])

    def test_pretty(self):
        self.assertEqual(pretty('{"b":1.50,"a":[]}'), '{\n  "b": 1.5,\n  "a": []\n}')
        self.assertEqual(pretty("{"), "{")

    def test_examples(self):
        for module in (cells, compare, mending):
            self.assertEqual(doctest.testmod(module).failed, 0, module.__name__)
