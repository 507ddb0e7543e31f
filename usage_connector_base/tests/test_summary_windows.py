from datetime import datetime, timedelta

from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.ingestion import facts, summaries
from odoo.addons.usage_connector_base.ingestion.summaries import Window, Windows

NOW = datetime(2026, 5, 4, 12)
LIMITS = facts.limits_at(NOW, 400, 24)
GOOD = {
    "account": "acme",
    "meter": "tokens",
    "start": "2026-05-03T10:00:00Z",
    "end": "2026-05-03T11:00:00Z",
    "quantity": 7,
    "sequence": 1,
}


def window(start, end, number=0):
    return Window(NOW + timedelta(hours=start), NOW + timedelta(hours=end), number, 1, number, number, {})


@tagged("post_install", "-at_install")
class TestWindows(BaseCase):
    """Windows of one account, meter and dimensions never overlap: found by their order alone."""

    def found(self, windows, start, end):
        span = window(start, end)
        return [other.row_id for other in windows.overlapping("g", span.start, span.end)]

    def test_against_every_pair(self):
        spans = [(0, 3), (3, 4), (6, 10), (12, 13)]
        windows = Windows()
        for number, span in reversed(list(enumerate(spans))):
            windows.put("g", window(*span, number))
        for start in range(-2, 15):
            for end in range(start + 1, 16):
                expected = [number for number, (begin, stop) in enumerate(spans) if begin < end and stop > start]
                self.assertEqual(self.found(windows, start, end), expected, (start, end))

    def test_groups_are_apart(self):
        windows = Windows()
        windows.put("other", window(0, 3))
        self.assertEqual(self.found(windows, 0, 3), [])

    def test_one_takes_the_place_of_those_it_overlaps(self):
        windows = Windows()
        for number, span in enumerate([(0, 1), (1, 2), (2, 3)]):
            windows.put("g", window(*span, number))
        windows.put("g", window(1, 3, 9))
        self.assertEqual(self.found(windows, 0, 3), [0, 9])


@tagged("post_install", "-at_install")
class TestReadSummary(BaseCase):
    def parsed(self, **values):
        summary = {name: value for name, value in {**GOOD, **values}.items() if value != "absent"}
        return summaries.read_summary(summary, LIMITS)

    def code(self, **values):
        with self.assertRaises(facts.Rejection) as caught:
            self.parsed(**values)
        self.assertTrue(caught.exception.message)
        return caught.exception.code

    def test_good(self):
        read = self.parsed(dimensions={"b": 1, "a": None})
        self.assertEqual((read.start, read.end), (datetime(2026, 5, 3, 10), datetime(2026, 5, 3, 11)))
        self.assertEqual((read.dimensions, read.subject), ({"b": 1}, "acme"))

    def test_longest_window(self):
        self.parsed(start="2026-04-01T00:00:00Z", end="2026-05-02T00:00:00Z")
        self.assertEqual(self.code(start="2026-04-01T00:00:00Z", end="2026-05-02T01:00:00Z"), "window_invalid")

    def test_id_is_that_of_the_window(self):
        first = summaries.summary_id(self.parsed(quantity=1, sequence=1, job="a"), 7)
        self.assertEqual(summaries.summary_id(self.parsed(quantity=2, sequence=2), 7), first)
        self.assertNotEqual(summaries.summary_id(self.parsed(), 8), first)
        self.assertNotEqual(summaries.summary_id(self.parsed(meter="x"), 7), first)
        self.assertNotEqual(summaries.summary_id(self.parsed(end="2026-05-03T12:00:00Z"), 7), first)
        self.assertNotEqual(summaries.summary_id(self.parsed(dimensions={"a": 1}), 7), first)
        self.assertLessEqual(len(first), facts.MAX_IDENTIFIER)
