from datetime import date, datetime, timedelta

from odoo.exceptions import ConcurrencyError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestPeriod(UsageBillingCommon):
    """Periods through the model: they tile time, and usage lands in exactly one."""

    def subscribe(self, **values):
        _partner, _account, subscription = self._customer("Globex", **values)
        return subscription

    def bounds(self, subscription, at):
        statement = subscription._ensure_statement(at)
        return statement.period_start, statement.period_end

    def test_calendar_month(self):
        subscription = self.subscribe()
        self.assertEqual(
            self.bounds(subscription, datetime(2025, 3, 31, 23, 59, 59)), (datetime(2025, 3, 1), datetime(2025, 4, 1))
        )
        self.assertEqual(self.bounds(subscription, datetime(2025, 4, 1))[0], datetime(2025, 4, 1))

    def test_the_same_statement_for_the_whole_period(self):
        first = self.subscription._ensure_statement(datetime(2025, 3, 1))
        self.assertEqual(first, self.subscription._ensure_statement(datetime(2025, 3, 31, 23, 59, 59)))
        self.assertEqual((first.date_from, first.date_to), (date(2025, 3, 1), date(2025, 3, 31)))

    def test_the_31st_clamps_and_comes_back(self):
        subscription = self.subscribe(anchor_day=31)
        starts = [
            subscription._ensure_statement(datetime(2025, month, 15)).date_from.isoformat() for month in range(2, 7)
        ]
        self.assertEqual(starts, ["2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30", "2025-05-31"])

    def test_the_29th_in_a_leap_year(self):
        subscription = self.subscribe(anchor_day=29, date_start="2024-01-29")
        statement = subscription._ensure_statement(datetime(2024, 2, 29))
        self.assertEqual((statement.date_from, statement.date_to), (date(2024, 2, 29), date(2024, 3, 28)))

    def test_begins_at_midnight_of_the_customer(self):
        subscription = self.subscribe(tz="America/New_York")
        self.assertEqual(
            self.bounds(subscription, datetime(2025, 1, 10)), (datetime(2025, 1, 1, 5), datetime(2025, 2, 1, 5))
        )

    def test_a_month_with_summer_time_is_an_hour_shorter(self):
        start, end = self.bounds(self.subscribe(tz="Europe/Paris"), datetime(2025, 3, 10))
        self.assertEqual((start, end), (datetime(2025, 2, 28, 23), datetime(2025, 3, 31, 22)))
        self.assertEqual(end - start, timedelta(days=31) - timedelta(hours=1))

    def test_a_month_with_winter_time_is_an_hour_longer(self):
        start, end = self.bounds(self.subscribe(tz="Europe/Paris"), datetime(2025, 10, 10))
        self.assertEqual(end - start, timedelta(days=31) + timedelta(hours=1))

    def test_first_period_contains_the_start(self):
        subscription = self.subscribe(date_start="2025-01-20", anchor_day=15)
        self.assertEqual(subscription._ensure_statement(datetime(2025, 1, 25)).date_from, date(2025, 1, 15))
        subscription = self._subscription(
            partner_id=self.env["res.partner"].create({"name": "Late"}).id, date_start="2025-01-10", anchor_day=15
        )
        self.assertEqual(subscription._ensure_statement(datetime(2025, 1, 12)).date_from, date(2024, 12, 15))

    def test_periods_tile_time(self):
        for tz, anchor_day in (("Australia/Lord_Howe", 31), ("Asia/Kathmandu", 1), ("America/St_Johns", 30)):
            partner = self.env["res.partner"].create({"name": tz})
            subscription = self._subscription(
                partner_id=partner.id, tz=tz, anchor_day=anchor_day, date_start="2023-12-31"
            )
            statements = subscription._ensure_statements(datetime(2025, 6, 15)).sorted("period_start")
            with self.subTest(tz=tz):
                self.assertGreater(len(statements), 17)
                self.assertEqual(statements.mapped("period_start")[1:], statements.mapped("period_end")[:-1])

    def test_usage_at_the_boundary_lands_in_one_period(self):
        subscription = self.subscribe(tz="Europe/Paris")
        boundary = datetime(2025, 3, 31, 22)
        self.use(1, boundary - timedelta(seconds=1), subject="globex")
        self.use(2, boundary, subject="globex")
        march = self.rated(datetime(2025, 3, 10), subscription)
        april = self.rated(datetime(2025, 4, 10), subscription)
        self.assertEqual((march.charge_ids.quantity, april.charge_ids.quantity), (1, 2))

    def test_usage_at_a_boundary_inside_a_utc_hour(self):
        """Kathmandu's midnight is 18:15 UTC: the hour of the boundary is shared exactly."""
        subscription = self.subscribe(tz="Asia/Kathmandu")
        boundary = datetime(2025, 3, 31, 18, 15)
        for minutes, tokens in ((-20, 1), (-1, 2), (0, 4), (30, 8), (60, 16)):
            self.use(tokens, boundary + timedelta(minutes=minutes), subject="globex")
        march = self.rated(datetime(2025, 3, 10), subscription)
        april = self.rated(datetime(2025, 4, 10), subscription)
        self.assertEqual((march.charge_ids.quantity, april.charge_ids.quantity), (3, 28))

    def test_usage_in_the_hour_that_comes_twice(self):
        subscription = self.subscribe(tz="Europe/Paris")
        for hour in (0, 1, 2):  # 02:00 summer time, 02:00 winter time, 03:00
            self.use(1, datetime(2025, 10, 26, hour, 30), subject="globex")
        self.assertEqual(self.rated(datetime(2025, 10, 10), subscription).charge_ids.quantity, 3)

    def test_statements_of_all_periods_until_a_moment(self):
        made = self.subscription._ensure_statements(datetime(2025, 3, 1))
        self.assertEqual(
            [str(day) for day in sorted(made.mapped("date_from"))], ["2025-01-01", "2025-02-01", "2025-03-01"]
        )
        self.assertFalse(self.subscription._ensure_statements(datetime(2025, 3, 31)))
        self.assertEqual(len(self.subscription._ensure_statements(datetime(2025, 4, 1))), 1)

    def test_gaps_are_filled(self):
        self.subscription._ensure_statement(datetime(2025, 3, 10))
        made = self.subscription._ensure_statements(datetime(2025, 4, 10))
        self.assertEqual([day.month for day in sorted(made.mapped("date_from"))], [1, 2, 4])

    def test_a_period_opened_by_someone_else_meanwhile(self):
        """The transaction cannot see the other one's statement: it starts over."""
        self.statement()
        vals = self.subscription._statement_vals(2)
        with mute_logger("odoo.sql_db"), self.assertRaises(ConcurrencyError):
            self.subscription._create_statements([vals])

    def test_none_before_the_start(self):
        self.assertFalse(self.subscription._ensure_statements(datetime(2024, 12, 31)))
        self.assertFalse(self.subscription._ensure_statement(datetime(2024, 12, 31, 23)))
