"""Counting by definitions: versions of a meter, filters, conversion, summaries, and trying them."""

import json
from datetime import timedelta
from decimal import Decimal

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.aggregations import Window
from odoo.addons.usage_connector_base.ingestion.facts import Filter

from .test_aggregations import AggregationCommon, divided

DATA = (
    {},
    {"a": None},
    {"a": "x"},
    {"a": ""},
    {"a": 1},
    {"a": "1"},
    {"a": Decimal("1.50")},
    {"a": True},
    {"a": "true"},
    {"a": {"b": "x"}},
    {"a": {"0": "x"}},
    {"a": ["x", "y"]},
    {"a": {"b": {"c": 7}}},
)


@tagged("post_install", "-at_install")
class TestFilters(AggregationCommon):
    def test_sql_is_what_ingestion_does(self):
        """The same event passes or is left out when it is received and when it is counted."""
        aggregates, meter = self.env["usage.aggregate"], self.meters["sum"]
        for path in (("a",), ("a", "b"), ("a", "0"), ("a", "b", "c"), ("0",)):
            for operator in ("in", "not_in", "set", "not_set"):
                condition = Filter(path, operator, frozenset({"x", "1", "1.5", "true", "7"}))
                for data in DATA:
                    text = json.dumps(data, default=str).replace('"1.50"', "1.5")
                    query = SQL("SELECT %s FROM (SELECT %s::jsonb AS data) e", aggregates._sql_passes(condition), text)
                    with self.subTest(path=path, operator=operator, data=text):
                        decoded = {"a": Decimal("1.5")} if data.get("a") == Decimal("1.50") else data
                        self.assertEqual(self.env.execute_query(query), [(condition.passes(decoded),)])
        self.assertEqual(aggregates._sql_filter(meter._definitions()), SQL("true"))

    def test_left_out_is_not_counted_and_not_reported(self):
        meter = self._meter(
            "eu",
            "level",
            aggregation="max",
            value_path="n",
            filter_ids=[Command.create({"path": "zone", "operator": "in", "value_list": "a"})],
        )
        self.fold()
        self.send((self.at(1), 4, "a"), (self.at(1), 9, "b"))
        self.assertEqual(list(self.figures(meter).values()), [("4", 1)])
        [hour] = self.env["usage.aggregate"].search([("meter_id", "=", meter.id)])
        self.assertEqual(len(hour._event_ids()), 1)
        windows = [Window.over(meter, self.account, self.at(1, -30), self.at(1, 30))]
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), [4])
        self.assertEqual(self.env["usage.aggregate"]._quantities_from_events(windows), [4])

    def test_only_what_should_count_is_missed(self):
        """Events without a number that a filter leaves out are nobody's concern."""
        for zone in ("a", "b", "b"):
            event = self.level(self.at(1), 0, zone)
            self.ingest([{**event, "type": "new", "data": {"zone": zone}}])
        self._meter(
            "new",
            "new",
            aggregation="max",
            value_path="n",
            filter_ids=[Command.create({"path": "zone", "operator": "in", "value_list": "a"})],
        )
        self.fold()
        [exception] = self.exceptions(reason="value_missing", event_type="new")
        self.assertEqual(exception.message, "1 stored events have no number for new at data.n.")


@tagged("post_install", "-at_install")
class TestVersions(AggregationCommon):
    """An event is counted by the version that is valid at its time, whenever it arrives."""

    def quantity(self, meter, start, end):
        windows = [Window.over(meter, self.account, start, end)]
        [quantity] = self.env["usage.aggregate"]._quantities(windows)
        self.assertEqual(self.env["usage.aggregate"]._quantities_from_events(windows), [quantity])
        return quantity

    def test_each_event_by_its_version(self):
        meter = self.meters["sum"]
        self.send((self.at(1), 4), (self.at(5), 10))
        self.change(meter, self.at(3), value_path="m")
        self.ingest([{**self.level(self.at(4), 0), "data": {"n": 100, "m": 7}}])
        self.fold()
        self.assertEqual(self.quantity(meter, self.at(0), self.at(24)), 11)
        self.assertEqual(self.quantity(meter, self.at(2, 30), self.at(4, 30)), 7)
        self.send((self.at(2), 1000))
        self.assertEqual(self.quantity(meter, self.at(0), self.at(24)), 1011, "late, and by the version of its time")

    def test_the_same_aggregation_before_and_after(self):
        """One maximum, not one of each version."""
        meter = self.meters["max"]
        self.send((self.at(1), 4), (self.at(5), 10))
        self.change(meter, self.at(3), dimensions=False)
        self.fold()
        self.assertEqual(self.quantity(meter, self.at(0), self.at(24)), 10)

    def test_another_aggregation_adds_up(self):
        meter = self.meters["sum"]
        self.send((self.at(1), 4), (self.at(2), 5), (self.at(5), 10), (self.at(6), 3))
        self.change(meter, self.at(3), aggregation="max")
        self.fold()
        self.assertEqual(self.quantity(meter, self.at(0), self.at(24)), 9 + 10)

    def test_levels_last_into_a_new_version(self):
        """By what the new version makes of what came before it: other dimensions add nothing twice."""
        meter = self.meters["time_weighted"]
        self.send((self.at(1), 4, "a"), (self.at(2), 10, "b"))
        self.change(meter, self.at(3), dimensions=False)
        self.fold()
        self.assertEqual(self.quantity(meter, self.at(0), self.at(3)), 4 + 14)
        self.assertEqual(self.quantity(meter, self.at(3), self.at(5)), 20, "the last level, of whichever zone")
        self.assertEqual(self.quantity(meter, self.at(0), self.at(5)), 38)
        self.send((self.at(4), 1))
        self.assertEqual(self.quantity(meter, self.at(3), self.at(6)), 12)
        self.assertEqual(self.quantity(meter, self.at(5), self.at(6, 15)), Decimal("1.25"))

    def test_levels_of_another_event_type(self):
        meter = self.meters["time_weighted"]
        self.ingest([{**self.level(self.at(0), 3), "type": "seats"}])
        self.send((self.at(1), 4))
        self.change(meter, self.at(2), event_type="seats")
        self.fold()
        self.assertEqual(self.quantity(meter, self.at(0), self.at(4)), 4 + 6)

    def test_earlier_hours_stay_as_they_are(self):
        meter = self.meters["sum"]
        self.send((self.at(1), 4), (self.at(5), 10))
        self.env.cr.execute(SQL("UPDATE usage_aggregate SET quantity = 5 WHERE quantity = 4"))
        self.change(meter, self.at(3), dimensions=False)
        self.fold()
        self.assertEqual([row[3] for row in self.rows("sum")], ["5", "10"])
        self.assertFalse(meter.recount_pending)
        self.assertFalse(meter.recount_from)

    def test_conversion(self):
        """Each value converted and rounded before it is counted."""
        unit = self.env.ref("uom.product_uom_unit")
        dozen = self.env.ref("uom.product_uom_dozen")
        meter = self._meter(
            "dozens",
            "level",
            aggregation="average",
            value_path="n",
            convert_from_id=unit.id,
            convert_to_id=dozen.id,
            rounding_step="0.5",
            rounding_method="up",
        )
        self.fold()
        self.send((self.at(1), 12), (self.at(1), 13), (self.at(2), 0))  # 1, 1.5 and 0 dozens
        self.assertEqual(self.quantity(meter, self.at(0), self.at(24)), divided("2.5", 3))


@tagged("post_install", "-at_install")
class TestSummaries(AggregationCommon):
    """Windows that the sender counted, counted by the meter that they name."""

    def window(self, meter, moment, quantity, **dimensions):
        """A summary of one hour."""
        end = moment + timedelta(hours=1)
        moments = {"start": f"{moment.isoformat()}Z", "end": f"{end.isoformat()}Z"}
        return {**self.summary(quantity, meter=meter, dimensions=dimensions), **moments}

    def test_beside_events(self):
        for key in ("count", "sum", "min", "max"):
            self.summarize(self.window(f"m_{key}", self.at(1), 7, zone="a"))
        self.send((self.at(1), 4, "a"), (self.at(2), 9, "b"))
        self.assertRead(self.at(0), self.at(24), count=7 + 2, sum=7 + 13, min=4, max=9)
        self.assertEqual(len(self.rows("sum")), 2, "the same hour and dimensions")
        [hour] = self.env["usage.aggregate"].search([("meter_id", "=", self.meters["sum"].id), ("event_count", "=", 2)])
        self.assertEqual(len(hour._event_ids()), 2)

    def test_only_the_meter_that_is_named(self):
        self.summarize(self.window("m_sum", self.at(1), 7))
        self.fold()
        self.assertRead(self.at(0), self.at(24), count=0, sum=7, min=0, max=0)

    def test_no_other_aggregation_counts_them(self):
        """Not even those that came before the meter did."""
        others = ("average", "latest", "unique_count", "time_weighted")
        answer = self.summarize(*[self.window(f"late_{key}", self.at(1), 7) for key in others])
        self.assertEqual(answer["quarantined"], len(others))
        self.meters = {key: self._meter(f"late_{key}", "level", aggregation=key, value_path="n") for key in others}
        self.fold()
        self.assertRead(self.at(0), self.at(24), **dict.fromkeys(others, 0))

    def test_windows_that_cut_their_hour(self):
        self.summarize(self.window("m_sum", self.at(1), 7))
        self.fold()
        self.assertRead(self.at(0, 30), self.at(1, 30), sum=7)
        self.assertRead(self.at(1, 30), self.at(5), sum=0)

    def test_what_became_of_it(self):
        [summary] = self.summarize(self.window("m_sum", self.at(1), Decimal("7.50"), zone="a"))["summaries"]
        self.fold()
        answer = self.env["usage.query"]._event(self.source._as_sender(), summary["id"])
        self.assertEqual(
            [(meter["meter"], meter["quantity"], meter["dimensions"], meter["counted"]) for meter in answer["meters"]],
            [("m_sum", "7.5", {"zone": "a"}, True)],
        )


@tagged("post_install", "-at_install")
class TestTry(AggregationCommon):
    def test_each_definition(self):
        aggregates = self.env["usage.aggregate"]
        definitions = [self.meters[key]._definitions() for key in ("count", "sum", "unique_count")]
        self.assertEqual(
            aggregates._try_event(definitions, '{"n": 4.50, "zone": "a"}', "level"),
            [
                {"is_of_type": True, "passes": True, "quantity": quantity, "dimensions": {"zone": "a"}}
                for quantity in ("1", "4.5", "1")
            ],
        )

    def test_what_would_not_count(self):
        aggregates, version = self.env["usage.aggregate"], self.meters["sum"]._definitions()
        [tried] = aggregates._try_event(version, '{"n": "4"}', "level")
        self.assertEqual((tried["quantity"], tried["dimensions"]), (None, {}))
        [tried] = aggregates._try_event(version, '{"n": 4}', "other")
        self.assertFalse(tried["is_of_type"])

    def test_as_it_counts(self):
        """A try shows what the fold then counts, with filter and conversion."""
        meter = self._meter(
            "tried",
            "level",
            aggregation="sum",
            value_path="n",
            rounding_step="10",
            rounding_method="up",
            filter_ids=[Command.create({"path": "zone", "operator": "not_in", "value_list": "b"})],
        )
        self.fold()
        for zone, quantity, figures in (("a", "20", [("20", 1)]), ("b", None, [])):
            [tried] = self.env["usage.aggregate"]._try_event(
                meter._definitions(), json.dumps({"n": 11, "zone": zone}), "level"
            )
            self.assertEqual((tried["passes"], tried["quantity"]), (zone == "a", quantity))
            self.send((self.at(24 if zone == "a" else 48), 11, zone))
            hour = self.at(24 if zone == "a" else 48)
            self.assertEqual([found for key, found in self.figures(meter).items() if key[1] == hour], figures)


@tagged("post_install", "-at_install")
class TestCorrections(AggregationCommon):
    """A correction takes effect when its request is counted, exactly once, in whatever order."""

    def supersede(self, event, **changes):
        """Void an event, or amend what is given of it; the number of the request."""
        correction = self.amend if changes else self.void
        type(self).number += 1
        return self.correct(correction(f"correction {self.number}", event["id"], **changes))["batch"]

    def quantity(self):
        return self.quantity_of("sum", self.at(0), self.at(24))

    def test_void(self):
        event = self.level(self.at(1), 4)
        self.ingest([event, self.level(self.at(1), 10)])
        self.fold()
        self.supersede(event)
        windows = [Window.over(self.meters["sum"], self.account, self.at(0), self.at(24))]
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), [14], "not counted yet")
        self.fold()
        self.assertEqual(self.quantity(), 10)
        self.assertEqual(self.quantity_of("max", self.at(0), self.at(24)), 10)
        [hour] = self.env["usage.aggregate"].search([("meter_id", "=", self.meters["sum"].id)])
        self.assertEqual((hour.event_count, len(hour._event_ids())), (1, 1))

    def test_the_last_event_of_an_hour(self):
        event = self.level(self.at(1), 4)
        self.ingest([event])
        self.fold()
        self.supersede(event)
        self.fold()
        self.assertEqual(self.quantity(), 0)
        self.assertEqual(self.rows("sum"), [], "nothing is left of the hour")

    def test_amend_into_another_hour(self):
        event = self.level(self.at(1), 4)
        self.ingest([event])
        self.fold()
        self.supersede(event, time=f"{self.at(3).isoformat()}Z", data={"n": 6, "zone": "a"})
        self.fold()
        self.assertEqual([(row[1], row[3]) for row in self.rows("sum")], [(self.at(3), "6")])

    def test_amend_and_amend_again(self):
        event = self.level(self.at(1), 4)
        self.ingest([event])
        self.supersede(event, data={"n": 6, "zone": "a"})
        self.supersede(event, data={"n": 8, "zone": "a"})
        self.fold()
        self.assertEqual(self.quantity(), 8)

    def test_corrected_before_it_was_counted(self):
        """The event's own request is counted last."""
        event = self.level(self.at(1), 4)
        batch = self.ingest([event])["batch"]
        correction = self.supersede(event)
        self.fold_only(correction)
        self.assertEqual(self.rows("sum"), [])
        self.fold_only(batch)
        self.assertEqual(self.quantity(), 0)

    def test_corrected_while_it_is_counted(self):
        """The event's request is counted when the correction is stored and not counted yet."""
        event = self.level(self.at(1), 4)
        batch = self.ingest([event])["batch"]
        correction = self.supersede(event)
        self.fold_only(batch)
        self.assertEqual([row[3] for row in self.rows("sum")], ["4"])
        self.fold_only(correction)
        self.assertEqual(self.rows("sum"), [])

    def fold_only(self, batch):
        """Count one request, while the others are stored and wait."""
        aggregates = self.env["usage.aggregate"]
        self.env.cr.execute(SQL("UPDATE usage_batch SET folded_at = now() WHERE id = %s", batch))
        self.env.invalidate_all()
        aggregates._fold_events([batch])
        self.env.invalidate_all()
