from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form, tagged

from odoo.addons.usage_connector_base.models.usage_event import MAX_EVENTS

from .common import UsageCommon, UsageHttpCommon


@tagged("post_install", "-at_install")
class TestSettings(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.system = cls._person("system", "base.group_system", "group_usage_admin")

    def save(self, **values):
        settings = self.env["res.config.settings"].with_user(self.system).create(values)
        settings.execute()
        return settings

    def code(self, **delta):
        """Code of an event so long before or after now; None when it is accepted."""
        time = (fields.Datetime.now() + timedelta(**delta)).isoformat() + "Z"
        answer = self.ingest([self.event(f"{delta}", time=time)])
        return self.codes(answer).get(0)

    def test_defaults(self):
        settings = self.env["res.config.settings"].create({})
        self.assertEqual((settings.usage_max_events, settings.usage_max_body_bytes), (10_000, 16 * 1024 * 1024))
        self.assertEqual((settings.usage_max_age_days, settings.usage_max_future_hours), (400, 24))

    def test_oldest_usage(self):
        self.assertEqual(self.code(days=-401), "time_too_old")
        self.assertIsNone(self.code(days=-399))
        self.save(usage_max_age_days=7)
        self.assertEqual(self.code(days=-8), "time_too_old")
        self.assertIsNone(self.code(days=-6))

    def test_clock_difference(self):
        self.assertEqual(self.code(hours=25), "time_in_future")
        self.assertIsNone(self.code(hours=23))
        self.save(usage_max_future_hours=1)
        self.assertEqual(self.code(hours=2), "time_in_future")
        self.assertIsNone(self.code(minutes=30))

    def test_are_kept(self):
        self.save(usage_max_events=2000, usage_max_body_bytes=2**21, usage_max_age_days=30, usage_max_future_hours=1)
        settings = self.env["res.config.settings"].create({})
        self.assertEqual((settings.usage_max_events, settings.usage_max_body_bytes), (2000, 2**21))
        self.assertEqual((settings.usage_max_age_days, settings.usage_max_future_hours), (30, 1))

    def test_bounds(self):
        for values in (
            {"usage_max_events": 999},
            {"usage_max_events": 0},
            {"usage_max_events": -1},
            {"usage_max_events": MAX_EVENTS + 1},
            {"usage_max_body_bytes": 1024 * 1024 - 1},
            {"usage_max_age_days": 0},
            {"usage_max_age_days": -5},
            {"usage_max_future_hours": 0},
            {"usage_max_future_hours": -1},
        ):
            with self.subTest(values=values), self.assertRaises(ValidationError), self.cr.savepoint():
                self.save(**values)
        self.save(usage_max_events=MAX_EVENTS)
        self.save(usage_max_events=1000, usage_max_body_bytes=1024 * 1024, usage_max_age_days=1)

    def test_form(self):
        with Form(self.env["res.config.settings"].with_user(self.system)) as form:
            form.usage_max_age_days = 45
        form.record.execute()
        self.assertEqual(self.env["ir.config_parameter"].get_param("usage.max_age_days"), "45")

    def test_are_for_the_administration_of_odoo(self):
        for person in (self.viewer, self.operator, self.admin):
            with self.assertRaises(AccessError):
                self.env["res.config.settings"].with_user(person).create({"usage_max_age_days": 9}).execute()


@tagged("post_install", "-at_install")
class TestSettingsOfRequests(UsageHttpCommon):
    def set(self, name, value):
        self.env["ir.config_parameter"].set_param(name, value)

    def test_events(self):
        events = [self.event(f"{n}") for n in range(3)]
        self.set("usage.max_events", 2)
        self.assertRefused(self.post(events), 413, "too_many_events")
        self.assertFalse(self.stored("0", "1", "2"), "nothing of it is counted")
        self.set("usage.max_events", 3)
        self.assertEqual(self.post(events).json()["accepted"], 3)

    def test_events_beyond_what_can_be_numbered(self):
        """Whatever the parameter says, ids of events never overlap."""
        self.set("usage.max_events", MAX_EVENTS * 2)
        events = [{"id": f"{n}"} for n in range(MAX_EVENTS + 1)]
        self.assertRefused(self.post(events), 413, "too_many_events")

    def test_bytes(self):
        body = b'{"events": []}'
        self.set("usage.max_body_bytes", len(body) - 1)
        self.assertRefused(self.post(body), 413, "too_many_bytes")
        self.set("usage.max_body_bytes", len(body))
        self.assertEqual(self.post(body).status_code, 200)
