from psycopg2 import IntegrityError

from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestSettings(UsageInvoicingCommon):
    def test_settings_are_those_of_the_company(self):
        journal = self.company_data["default_journal_sale"]
        self.env["res.config.settings"].create(
            {
                "usage_auto_rate": False,
                "usage_rating_delay": 48,
                "usage_journal_id": journal.id,
                "usage_tz": "Asia/Tokyo",
            }
        ).execute()
        company = self.company
        self.assertEqual((company.usage_auto_rate, company.usage_rating_delay), (False, 48))
        self.assertEqual((company.usage_journal_id, company.usage_tz), (journal, "Asia/Tokyo"))
        other = self.env["res.company"].create({"name": "Other"})
        self.assertEqual((other.usage_auto_rate, other.usage_rating_delay, other.usage_tz), (True, 6, False))

    def test_no_negative_waiting_time(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.company.usage_rating_delay = -1

    def test_the_block_stands_in_the_apps_settings(self):
        admin = self._person("settings", "group_usage_admin", "base.group_system")
        arch = self.env["res.config.settings"].with_user(admin).get_view(view_type="form")["arch"]
        self.assertIn("usage_rating_delay", arch)
        self.assertEqual(arch.count('name="usage_connector_base"'), 1)
