from datetime import date, datetime

from psycopg2 import IntegrityError

from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import MARCH, UsageBillingCommon


@tagged("post_install", "-at_install")
class TestInterval(UsageBillingCommon):
    """Days, weeks, months, quarters and years; by the calendar or from the start date."""

    def days(self, at, **values):
        """First and last day of the statement of a moment."""
        partner = self.env["res.partner"].create({"name": "Globex"})
        subscription = self._subscription(partner_id=partner.id, **values)
        statement = subscription._ensure_statement(at)
        return str(statement.date_from), str(statement.date_to)

    def test_by_the_calendar(self):
        expected = {
            "day": ("2025-03-10", "2025-03-10"),
            "week": ("2025-03-10", "2025-03-16"),  # the 10th is a Monday
            "month": ("2025-03-01", "2025-03-31"),
            "quarter": ("2025-01-01", "2025-03-31"),
            "year": ("2025-01-01", "2025-12-31"),
        }
        for interval, days in expected.items():
            with self.subTest(interval=interval):
                self.assertEqual(self.days(MARCH, interval=interval, date_start="2025-02-12"), days)

    def test_from_the_start_date(self):
        expected = {
            "week": ("2025-03-05", "2025-03-11"),  # from Wednesday on
            "month": ("2025-02-12", "2025-03-11"),
            "quarter": ("2025-02-12", "2025-05-11"),
            "year": ("2025-02-12", "2026-02-11"),
        }
        for interval, days in expected.items():
            values = {"interval": interval, "period_begin": "anniversary", "date_start": "2025-02-12"}
            with self.subTest(interval=interval):
                self.assertEqual(self.days(MARCH, **values), days)

    def test_from_a_leap_day(self):
        values = {"interval": "year", "period_begin": "anniversary", "date_start": "2024-02-29"}
        self.assertEqual(self.days(MARCH, **values), ("2025-02-28", "2026-02-27"))
        self.assertEqual(self.days(datetime(2028, 3, 1), **values), ("2028-02-29", "2029-02-27"))

    def test_quarters_on_an_anchor_day(self):
        values = {"interval": "quarter", "anchor_day": 15, "date_start": "2025-01-10"}
        self.assertEqual(self.days(datetime(2025, 1, 10), **values), ("2024-10-15", "2025-01-14"))
        self.assertEqual(self.days(datetime(2025, 1, 15), **values), ("2025-01-15", "2025-04-14"))

    def test_weeks_on_a_weekday(self):
        values = {"interval": "week", "anchor_day": 7, "date_start": "2025-03-05"}
        self.assertEqual(self.days(datetime(2025, 3, 6), **values), ("2025-03-02", "2025-03-08"))

    def test_usage_of_a_week_is_billed(self):
        self.subscription.write({"interval": "week", "date_start": "2025-03-03"})
        self.use(4, datetime(2025, 3, 9, 23, 59))
        self.use(8, datetime(2025, 3, 10))
        first, second = self.rated(datetime(2025, 3, 9)), self.rated(datetime(2025, 3, 10))
        self.assertEqual((first.charge_ids.quantity, second.charge_ids.quantity), (4, 8))
        self.assertEqual(second.date_from, date(2025, 3, 10))

    def test_every_day_has_a_statement(self):
        self.subscription.write({"interval": "day", "tz": "America/St_Johns"})
        made = self.subscription._ensure_statements(datetime(2025, 1, 5))
        self.assertEqual(sorted(made.mapped("date_from")), [date(2025, 1, day) for day in (1, 2, 3, 4)])

    def test_the_form_asks_for_a_weekday(self):
        with Form(self.env["usage.subscription"].with_user(self.preparer)) as form:
            form.partner_id, form.plan_id, form.anchor_day = self.customer, self.plan, 15
            form.interval = "week"
            self.assertEqual(form.anchor_weekday, "1")
            form.anchor_weekday = "5"
        self.assertEqual(form.record.anchor_day, 5)

    def test_errors_name_field_and_remedy(self):
        with self.assertRaisesRegex(ValidationError, "Anchor Day: .* Enter 1 for Monday to 7 for Sunday"):
            self._subscription(active=False, interval="week", anchor_day=8)
        for values, message in (
            ({"anchor_day": 32}, "Anchor Day: .* Enter one of them"),
            ({"date_end": "2024-12-31"}, "End: .* Choose a later day"),
        ):
            constraint = "anchor_day" if "anchor_day" in values else "date_order"
            with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
                self._subscription(active=False, **values)
            definition = self.env["usage.subscription"]._table_objects[f"usage_subscription_{constraint}"]
            self.assertRegex(definition.message, message)

    def test_kept_once_there_are_statements(self):
        self.statement()
        for values in ({"interval": "year"}, {"period_begin": "anniversary"}):
            with self.assertRaisesRegex(UserError, "has statements"):
                self.subscription.write(values)
