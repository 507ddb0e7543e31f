from datetime import datetime

from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.aggregations import Span


@tagged("post_install", "-at_install")
class TestSpan(BaseCase):
    def span(self, start, end):
        """A span of 10 May, from and to an hour and a minute."""
        return Span(7, datetime(2026, 5, 10, *start), datetime(2026, 5, 10, *end))

    def pieces(self, start, end):
        span = self.span(start, end)
        hours = span.hours()
        return hours and tuple(moment.hour for moment in hours), [
            (first.strftime("%H:%M"), last.strftime("%H:%M")) for first, last in span.parts()
        ]

    def test_whole_hours(self):
        self.assertEqual(self.pieces((3, 0), (9, 0)), ((3, 9), []))

    def test_cut_at_either_end(self):
        self.assertEqual(self.pieces((3, 15), (9, 0)), ((4, 9), [("03:15", "04:00")]))
        self.assertEqual(self.pieces((3, 0), (9, 45)), ((3, 9), [("09:00", "09:45")]))
        self.assertEqual(self.pieces((3, 15), (9, 45)), ((4, 9), [("03:15", "04:00"), ("09:00", "09:45")]))

    def test_within_an_hour_and_across_two(self):
        self.assertEqual(self.pieces((3, 15), (3, 45)), (None, [("03:15", "03:45")]))
        self.assertEqual(self.pieces((3, 15), (4, 45)), (None, [("03:15", "04:45")]))
        self.assertEqual(self.pieces((3, 15), (4, 0)), (None, [("03:15", "04:00")]))

    def test_nothing(self):
        self.assertEqual(self.pieces((3, 0), (3, 0)), (None, []))
        self.assertEqual(self.pieces((3, 15), (3, 15)), (None, []))
