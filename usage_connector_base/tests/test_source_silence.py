from datetime import timedelta

from freezegun import freeze_time
from psycopg2.errors import CheckViolation

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestSourceSilence(UsageCommon):
    """A source that sends nothing is told of, once, until it sends again."""

    def setUp(self):
        super().setUp()
        self.source.silence_hours = 4
        self.ingest([self.event("a")])
        self.now = fields.Datetime.now()

    def watch(self, hours):
        with freeze_time(self.now + timedelta(hours=hours)):
            self.env["usage.source"]._cron_watch()
        return self.env["usage.exception"].search(
            [("source_id", "=", self.source.id), ("reason", "=", "source_silent"), ("state", "=", "open")]
        )

    def test_told_once_and_settled_by_events(self):
        self.assertFalse(self.watch(3))
        exception = self.watch(5)
        self.assertEqual((exception.category, exception.occurrence_count), ("operational", 1))
        self.assertIn(f"since {self.now:%Y-%m-%d %H:%M} UTC", exception.message)
        self.assertEqual(self.watch(6), exception)
        self.assertEqual(exception.occurrence_count, 1)
        with freeze_time(self.now + timedelta(hours=7)):
            self.ingest([self.event("b")])
        self.assertFalse(self.watch(8))
        self.assertEqual(
            (exception.state, exception.resolution), ("resolved", "Events come again, or are not waited for")
        )

    def test_a_source_that_is_not_watched(self):
        self.source.silence_hours = 0
        self.assertFalse(self.watch(1000))

    def test_requests_without_events_do_not_count(self):
        with freeze_time(self.now + timedelta(hours=4)):
            self.ingest([])
        self.assertTrue(self.watch(5))

    def test_a_source_that_never_sent(self):
        source = self.source.copy({"name": "Other", "code": "other"})
        source.silence_hours = 1
        source._watch_silence()
        self.assertFalse(self.env["usage.exception"].search([("source_id", "=", source.id)]), "nobody approved it")

    def test_negative_hours(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(CheckViolation):
            self.source.silence_hours = -1
            self.env.flush_all()
