from decimal import Decimal
from fractions import Fraction

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.ingestion.envelope import decode
from odoo.addons.usage_connector_base.ingestion.facts import dump

from .common import UsageCommon

# JSON that stands at the path "a"
VALUES = (
    *("1", "1.0", "1e0", "1.50", "0.10", "0.1", "1e-7", "1E+3", "-0.0", "123456789012345678901234567890", "1e25"),
    *("true", "false", "null", '""', '" "', '"1"', '"1.0"', '"true"', '"null"', '"large"', '"Large"', '"größe"'),
    *('"gr\\u00f6\\u00dfe"', '"gro\\u0308\\u00dfe"', '"a,b"', '"\\ud83d\\ude00"', '"x y"', '"\\\\"', '"\'"', '"%s"'),
    *("[]", "{}", '[1, "large"]', '{"b": "large"}', '{"b": null}', '{"b": 1}', '{"0": "large"}', '["large"]'),
    '{"0": {"0": "large"}}',
)
LISTS = ("1", "1.0", "0.1, 1.5", "true", "null", "large", "größe", "😀, x y", "1000, 1e3", "\\, ', %s", "0.0000001, 0")
PATHS = ("a", "a.b", "a.0", "a.0.0", "missing", "missing.b")


@tagged("post_install", "-at_install")
class TestFilters(UsageCommon):
    def test_python_and_sql_agree(self):
        """Ingestion and counting let the same events through, whatever stands in them."""
        lines = [
            {"path": path, "operator": operator, "value_list": values}
            for path in PATHS
            for operator in ("in", "not_in")
            for values in LISTS
        ] + [{"path": path, "operator": operator} for path in PATHS for operator in ("set", "not_set")]
        self.meter.filter_ids = [Command.create(line) for line in lines]
        conditions = self.meter._filters()
        aggregates = self.env["usage.aggregate"]
        passes = SQL(", ").join(aggregates._sql_passes(condition) for condition in conditions)
        counts = {True: 0, False: 0}
        for text in (*(f'{{"a": {value}}}' for value in VALUES), "{}"):
            data = decode(text.encode())
            query = SQL("SELECT %s FROM (SELECT %s::jsonb AS data) e", passes, dump(data))
            [row] = self.env.execute_query(query)
            for condition, in_sql in zip(conditions, row, strict=True):
                in_python = condition.passes(data)
                counts[in_python] += 1
                self.assertEqual(in_python, in_sql, (text, condition))
        self.assertGreater(min(counts.values()), 500)

    def passing(self, *lines):
        """Which of the data below pass the filters of a meter."""
        self.meter.filter_ids = [Command.clear(), *map(Command.create, lines)]
        conditions = self.meter._filters()
        data = {
            "eu": {"region": "eu", "status": 200},
            "us": {"region": "us", "status": 500},
            "none": {"status": 200},
            "null": {"region": None},
        }
        return {name for name, content in data.items() if all(condition.passes(content) for condition in conditions)}

    def test_operators(self):
        region = {"path": "region", "value_list": "eu, de"}
        self.assertEqual(self.passing({**region, "operator": "in"}), {"eu"})
        self.assertEqual(self.passing({**region, "operator": "not_in"}), {"us", "none", "null"})
        self.assertEqual(self.passing({**region, "operator": "set"}), {"eu", "us"})
        self.assertEqual(self.passing({**region, "operator": "not_set"}), {"none", "null"})
        self.assertEqual(self.passing({"path": "status", "value_list": "200"}), {"eu", "none"})

    def test_all_must_pass(self):
        status, region = {"path": "status", "value_list": "200"}, {"path": "region", "operator": "set"}
        self.assertEqual(self.passing(status, region), {"eu"})

    def test_an_event_left_out_is_not_judged(self):
        """What a meter does not count need not have its value."""
        self.meter.filter_ids = [Command.create({"path": "model", "value_list": "large"})]
        answer = self.ingest(
            [
                self.event("a", tokens=5),
                self.event("b", data={"model": "small"}),
                self.event("c", data={"model": "large"}),
                self.event("d", data={"model": "small", "tokens": "x"}),
            ]
        )
        self.assertEqual(self.codes(answer), {2: "value_missing"})
        self.assertEqual(answer["accepted"], 3)
        self.fold()
        self.assertEqual([row[0] for row in self.figures().values()], ["5"])

    def test_names(self):
        self.meter.filter_ids = [
            Command.create({"path": "model", "operator": "in", "value_list": "a,b ,"}),
            Command.create({"path": "model", "operator": "set", "value_list": "unread"}),
        ]
        self.assertEqual(self.meter.filter_ids.mapped("display_name"), ["model is one of a, b", "model is there"])


@tagged("post_install", "-at_install")
class TestConversion(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        units = cls.env["uom.uom"]
        cls.byte = units.create({"name": "Byte"})
        cls.kilo = units.create({"name": "kB", "relative_factor": 1000, "relative_uom_id": cls.byte.id})
        cls.mega = units.create({"name": "MB", "relative_factor": 1000, "relative_uom_id": cls.kilo.id})
        cls.third = units.create({"name": "Third", "relative_factor": 3, "relative_uom_id": cls.byte.id})
        cls.tenth = units.create({"name": "Tenth", "relative_factor": 0.1, "relative_uom_id": cls.byte.id})
        cls.hundredth = units.create({"name": "Hundredth", "relative_factor": 0.1, "relative_uom_id": cls.tenth.id})

    def convert(self, value, sent=None, counted=None, step=False, method=False):
        """What the meter counts of a value, as text."""
        self.meter.write(
            {
                "convert_from_id": sent and sent.id,
                "convert_to_id": counted and counted.id,
                "rounding_step": step,
                "rounding_method": method,
            }
        )
        number = SQL("e.n")
        query = SQL("SELECT (%s)::text FROM (SELECT %s::numeric AS n) e", self.meter._sql_converted(number), value)
        [[text]] = self.env.execute_query(query)
        return text

    def test_factors_are_exact(self):
        for sent, counted, factor in (
            (self.byte, self.mega, "1/1000000"),
            (self.mega, self.byte, "1000000"),
            (self.mega, self.kilo, "1000"),
            (self.byte, self.third, "1/3"),
            (self.hundredth, self.byte, "1/100"),  # as floats 0.1 × 0.1 is 0.010000000000000002
            (self.byte, self.byte, "1"),
        ):
            self.meter.write({"convert_from_id": sent.id, "convert_to_id": counted.id})
            self.assertEqual(self.meter.conversion_factor, factor)
        self.meter.write({"convert_from_id": False, "convert_to_id": False})
        self.assertFalse(self.meter.conversion_factor)

    def test_examples(self):
        for arguments, result in (
            (("5",), "5"),
            (("1234567", self.byte, self.mega), "1.234567"),
            (("0.000000000000000001", self.mega, self.byte), "0.000000000001"),
            (("1", self.byte, self.third), "0.333333333333333333"),
            (("2", self.byte, self.third), "0.666666666666666667"),
            (("1234567", self.byte, self.mega, "0.01", "up"), "1.24"),
            (("1234567", self.byte, self.mega, "0.01", "down"), "1.23"),
            (("1235000", self.byte, self.mega, "0.01", "half_up"), "1.24"),
            (("1200000", self.byte, self.mega, "0.1", "up"), "1.2"),
            (("61", None, None, "60", "up"), "120"),
            (("60", None, None, "60", "up"), "60"),
            (("0", None, None, "60", "up"), "0"),
            (("29.9", None, None, "60", "half_up"), "0"),
            (("30", None, None, "60", "half_up"), "60"),
            (("2.675", None, None, "0.01", "half_up"), "2.68"),
        ):
            with self.subTest(arguments):
                self.assertEqual(self.convert(*arguments), result)

    def test_against_fractions(self):
        """The same as plain arithmetic without rounding errors, over sizes and methods."""
        for value in ("0", "1", "0.1", "999999999999999999", "0.000000000000000001", "123456789.987654321", "2.5"):
            for sent, counted in ((self.byte, self.third), (self.third, self.mega), (self.mega, self.hundredth)):
                for step in ("1", "0.01", "7", "0.000000000000000001"):
                    for method in ("up", "down", "half_up"):
                        text = self.convert(value, sent, counted, step, method)
                        steps = Fraction(value) * Fraction(self.meter.conversion_factor) / Fraction(step)
                        whole = {
                            "up": -(-steps.numerator // steps.denominator),
                            "down": steps.numerator // steps.denominator,
                            "half_up": (2 * steps.numerator + steps.denominator) // (2 * steps.denominator),
                        }[method]
                        self.assertEqual(Fraction(text), whole * Fraction(step), (value, sent.name, step, method))

    def test_counted(self):
        """Each event's value is converted and rounded, then counted."""
        self.meter.write(
            {
                "convert_from_id": self.byte.id,
                "convert_to_id": self.kilo.id,
                "rounding_step": "1",
                "rounding_method": "up",
            }
        )
        self.ingest([self.event("a", tokens=1), self.event("b", tokens=1001), self.event("c", tokens=Decimal("999.5"))])
        self.fold()
        self.assertEqual([row[0] for row in self.figures().values()], ["4"])
