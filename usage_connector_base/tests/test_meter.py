from datetime import timedelta

import psycopg2

from odoo.exceptions import ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestMeter(UsageCommon):
    def test_sum_needs_a_value(self):
        for value_path in (False, ""):
            with self.assertRaisesRegex(ValidationError, "say where"), self.cr.savepoint():
                self._meter("new", aggregation="sum", value_path=value_path)
        with self.assertRaisesRegex(ValidationError, "say where"):
            self.meter.value_path = False

    def test_paths(self):
        for path in ("tokens", "tokens.input", "a-b_c.D1.e", "0"):
            self.meter.value_path = path
            self.assertEqual(self.meter._value_names(), path.split("."))
        for path in ("tokens.", ".tokens", "a..b", "a b", "a[0]", "$.a", "a/b", "é", "'a'", "a\n", "a,b", "}"):
            with self.subTest(path), self.assertRaisesRegex(ValidationError, "no path"):
                self.meter.value_path = path

    def test_dimensions(self):
        for text, names in (
            (False, []),
            ("", []),
            (" , ,", []),
            ("model", ["model"]),
            ("model, meta.region ,x", ["model", "meta.region", "x"]),
        ):
            self.meter.dimensions = text
            self.assertEqual(self.meter._dimension_names(), names)
        for text in ("mo del", "model;region", "a.,b", "model, reg'ion"):
            with self.subTest(text), self.assertRaisesRegex(ValidationError, "no path"):
                self.meter.dimensions = text

    def test_counting_ignores_a_value_path(self):
        self.meter.aggregation = "count"
        self.assertEqual(self.meter._value_names(), [])

    @mute_logger("odoo.sql_db")
    def test_code_is_unique_in_its_company(self):
        with self.assertRaises(psycopg2.errors.UniqueViolation), self.cr.savepoint():
            self._meter("tokens")
        company = self.env["res.company"].create({"name": "Other"})
        self.assertTrue(self._meter("tokens", company_id=company.id))

    def test_ingestion_sees_changes_at_once(self):
        self.assertEqual(self.outcomes(self.ingest([self.event("a")])), {"accepted": 1})
        self.meter.value_path = "other"
        self.assertEqual(self.codes(self.ingest([self.event("b")])), {0: "value_missing"})
        self.meter.active = False
        self.assertEqual(self.codes(self.ingest([self.event("c")])), {0: "meter_unknown"})
        self.meter.write({"active": True, "value_path": "tokens"})
        self.assertEqual(self.outcomes(self.ingest([self.event("d")])), {"accepted": 1})
        self.meter.unlink()
        self.assertEqual(self.codes(self.ingest([self.event("e")])), {0: "meter_unknown"})

    def test_new_meter_is_seen_at_once(self):
        self.assertEqual(self.codes(self.ingest([self.event("a", type="new")])), {0: "meter_unknown"})
        self._meter("new", "new")
        self.assertEqual(self.outcomes(self.ingest([self.event("b", type="new")])), {"accepted": 1})

    def test_type_is_compared_exactly(self):
        for kind in ("LLM.completion", "llm.completion ", "llm"):
            self.assertEqual(self.codes(self.ingest([self.event(kind, type=kind)])), {0: "meter_unknown"})

    def test_drill_down(self):
        requests = self._meter("requests")
        self.ingest([self.event("a")])
        self.fold()
        action = requests.action_view_usage()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]).meter_id, requests)

    def test_deleted_with_its_figures(self):
        self.ingest([self.event("a")])
        self.fold()
        self.meter.unlink()
        self.assertFalse(self.env["usage.aggregate"].search([("account_id", "=", self.account.id)]))
        self.assertTrue(self.stored("a"), "the events stay")

    def test_copy(self):
        copy = self.meter.copy({"code": "copy"})
        self.assertTrue(copy.recount_pending)
        self.ingest([self.event("a", tokens=3)])
        self.fold()
        self.assertEqual(self.figures(copy), self.figures())

    def test_value_that_changes_while_it_is_counted(self):
        """The mark of a meter that was changed again meanwhile stays."""
        self.meter.recount_pending = True
        self.env.flush_all()
        self.env.invalidate_all()
        self.meter.invalidate_recordset()
        old = self.meter.write_date - timedelta(seconds=1)
        self.env["usage.aggregate"]._mark_counted([(self.meter.id, old)])
        self.assertTrue(self.meter.recount_pending)
        self.env["usage.aggregate"]._mark_counted([(self.meter.id, self.meter.write_date)])
        self.assertFalse(self.meter.recount_pending)
