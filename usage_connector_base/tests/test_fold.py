from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged

from odoo.addons.usage_connector_base.aggregations import Span, Window
from odoo.addons.usage_connector_base.models import usage_aggregate

from .common import UsageCommon

LINGER_SECONDS = usage_aggregate.LINGER_SECONDS  # which the tests of the job set to none
LARGE, SMALL = '{"model": "large"}', '{"model": "small"}'


@tagged("post_install", "-at_install")
class TestFold(UsageCommon):
    """From events to hours: everything once, nothing twice, every digit kept."""

    def bucket(self, dimensions=LARGE, account="acme", hours=0):
        return account, self.hour + timedelta(hours=hours), dimensions

    def test_sum(self):
        self.ingest([self.event("a", tokens=5), self.event("b", tokens=7)])
        self.assertEqual(self.figures(), {}, "nothing is counted before the fold")
        self.assertEqual(self.fold(), 1)
        self.assertEqual(self.figures(), {self.bucket(): ("12", 2)})

    def test_count(self):
        meter = self._meter("requests")
        self.ingest([self.event("a", tokens=5), self.event("b", tokens=7)])
        self.fold()
        self.assertEqual(self.figures(meter), {self.bucket("{}"): ("2", 2)})

    def test_tenths_add_up(self):
        self.ingest([self.event(f"{n}", tokens=Decimal("0.1")) for n in range(10)])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("1.0", 10)})

    def test_every_digit(self):
        values = ["999999999999999999", "0.000000000000000001", "999999999999999999.999999999999999999"]
        self.ingest([self.event(value, tokens=Decimal(value)) for value in values])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("1999999999999999999.000000000000000000", 3)})

    def test_stored_as_unlimited_numeric(self):
        self.env.cr.execute(
            "SELECT data_type, numeric_precision FROM information_schema.columns "
            "WHERE table_name = 'usage_aggregate' AND column_name = 'quantity'"
        )
        self.assertEqual(self.env.cr.fetchall(), [("numeric", None)])

    def test_zero_is_counted(self):
        self.ingest([self.event("a", tokens=0)])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("0", 1)})

    def test_folding_again_changes_nothing(self):
        self.ingest([self.event("a", tokens=5)])
        self.fold()
        figures = self.figures()
        self.assertEqual(self.fold(), 0)
        self.assertEqual(self.figures(), figures)

    def test_batches_one_after_the_other(self):
        for n in range(4):
            self.ingest([self.event(f"{n}", tokens=n)])
            self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("6", 4)})

    def test_batches_at_once(self):
        for n in range(4):
            self.ingest([self.event(f"{n}", tokens=n)])
        self.assertEqual(self.fold(), 4)
        self.assertEqual(self.figures(), {self.bucket(): ("6", 4)})

    def test_limit(self):
        answers = [self.ingest([self.event(f"{n}")]) for n in range(3)]
        self.assertEqual(self.env["usage.aggregate"]._fold(limit=2), 2)
        batches = self.env["usage.batch"].browse([answer["batch"] for answer in answers])
        self.assertEqual([bool(batch.folded_at) for batch in batches], [True, True, False], "the oldest first")
        self.assertEqual(self.env["usage.aggregate"]._fold(limit=2), 1)
        self.assertEqual(self.figures(), {self.bucket(): ("3", 3)})

    def test_duplicates_and_conflicts_do_not_count(self):
        self.ingest([self.event("a", tokens=5), self.event("a", tokens=5), self.event("a", tokens=6)])
        self.ingest([self.event("a", tokens=5), self.event("a", tokens=7), self.event("b", tokens="x")])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("5", 1)})

    def test_hours_are_half_open(self):
        moments = {"start": 0, "middle": 30, "last": 59, "next": 60}
        self.ingest([self.event(name, time=self.time(minutes)) for name, minutes in moments.items()])
        end = (self.hour + timedelta(minutes=59, seconds=59, microseconds=999999)).isoformat() + "Z"
        self.ingest([self.event("last microsecond", time=end)])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("4", 4), self.bucket(hours=1): ("1", 1)})

    def test_hours_are_utc(self):
        """Also where the clocks of a zone are half an hour off."""
        local = (self.hour + timedelta(hours=5, minutes=45)).isoformat() + "+05:30"
        self.ingest([self.event("a", time=local)])
        self.env(context={"tz": "Asia/Kolkata"})["usage.aggregate"]._fold()
        self.assertEqual(self.figures(), {self.bucket(): ("1", 1)})

    def test_late_event(self):
        self.ingest([self.event("a")])
        self.fold()
        self.ingest([self.event("b", time=self.time(5)), self.event("c", time=self.time(-48 * 60))])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("2", 2), self.bucket(hours=-48): ("1", 1)})

    def test_accounts_apart(self):
        self._account("other", self.customer)
        self.ingest([self.event("a"), self.event("b", subject="other")])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("1", 1), self.bucket(account="other"): ("1", 1)})

    def test_dimensions_apart(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest(
            [
                self.event("b", data={"tokens": 2, "model": "small"}),
                self.event("c", data={"tokens": 4}),
                self.event("d", data={"tokens": 8, "model": None}),
                self.event("e", data={"tokens": 16, "model": 7}),
                self.event("f", data={"tokens": 32, "model": True}),
                self.event("g", data={"tokens": 64, "model": ""}),
            ]
        )
        self.fold()
        self.assertEqual(
            {dimensions: quantity for (_a, _h, dimensions), (quantity, _n) in self.figures().items()},
            {LARGE: "1", SMALL: "2", "{}": "12", '{"model": 7}': "16", '{"model": true}': "32", '{"model": ""}': "64"},
        )

    def test_nested_dimensions(self):
        meter = self._meter("nested", dimensions="meta.region, model")
        self.ingest([self.event("a", data={"tokens": 1, "model": "large", "meta": {"region": "eu"}})])
        self.fold()
        self.assertEqual(self.figures(meter), {self.bucket('{"model": "large", "meta.region": "eu"}'): ("1", 1)})
        aggregate = self.env["usage.aggregate"].search([("meter_id", "=", meter.id)])
        self.assertEqual(aggregate.dimension_label, "large · eu")
        self.assertEqual(aggregate.dimensions, {"model": "large", "meta.region": "eu"})

    def test_long_dimensions_do_not_stop_the_count(self):
        """What PostgreSQL could not index would stop the counting of all sources for good."""
        names = [f"d{n}" for n in range(20)]
        self.meter.dimensions = ", ".join(names)
        long_data = {
            name: "".join(chr(0x4E00 + (n * 37 + i * 101) % 20000) for i in range(200)) for n, name in enumerate(names)
        }
        self.ingest([self.event("a", data={"tokens": 1, **long_data}), self.event("b")])
        self.fold()
        self.assertEqual(sum(int(quantity) for quantity, _n in self.figures().values()), 2)

    def test_one_event_feeds_several_meters(self):
        requests, other = self._meter("requests"), self._meter("other type", "other.type")
        self.ingest([self.event("a", tokens=5)])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(): ("5", 1)})
        self.assertEqual(self.figures(requests), {self.bucket("{}"): ("1", 1)})
        self.assertEqual(self.figures(other), {})

    def test_meters_count_their_company_only(self):
        company = self.env["res.company"].create({"name": "Other"})
        other = self._source("other-cloud", company)
        meter = self._meter("other_tokens", value_path="tokens", company_id=company.id)
        self.ingest([self.event("a", tokens=5)])
        self.ingest([self.event("a", tokens=7)], source=other)
        self.fold()
        self.assertEqual([quantity for quantity, _n in self.figures().values()], ["5"])
        self.assertEqual([quantity for quantity, _n in self.figures(meter).values()], ["7"])
        aggregate = self.env["usage.aggregate"].search([("meter_id", "=", meter.id)])
        self.assertEqual((aggregate.company_id, aggregate.source_id), (company, other))

    def test_unmapped_usage_is_counted_and_waits(self):
        """Mapping moves nothing: the figures are the customer's from that moment."""
        self.ingest([self.event("a", subject="new", tokens=5)])
        self.fold()
        self.assertEqual(self.figures(), {self.bucket(account="new"): ("5", 1)})
        aggregate = self.env["usage.aggregate"].search([("account_id.external_id", "=", "new")])
        self.assertFalse(aggregate.partner_id)
        aggregate.account_id.partner_id = self.customer
        self.assertEqual(aggregate.partner_id, self.customer)
        self.assertEqual(self.fold(), 0)
        self.assertEqual(
            self.env["usage.aggregate"]._read_group(
                [("meter_id", "=", self.meter.id)], ["partner_id"], ["quantity:sum", "event_count:sum"]
            ),
            [(self.customer, 5.0, 1)],
        )


@tagged("post_install", "-at_install")
class TestRecount(UsageCommon):
    """Stored events are counted again when what counts them changes."""

    def quantities(self, meter=None):
        return sorted(quantity for quantity, _n in self.figures(meter).values())

    def test_equals_the_fold(self):
        for n in range(5):
            self.ingest([self.event(f"{n} {m}", tokens=Decimal(n) / 10, data={"tokens": n, "model": m}) for m in "xy"])
            self.fold()
        figures = self.figures()
        self.assertEqual(len(figures), 2)
        self.meter.recount_pending = True
        self.assertEqual(self.fold(), 1)
        self.assertEqual(self.figures(), figures)
        self.assertFalse(self.meter.recount_pending)

    def test_waiting_batches_are_counted_once(self):
        """A batch that came before the change and was not folded yet is in neither twice."""
        self.ingest([self.event("a", tokens=1)])
        self.fold()
        self.ingest([self.event("b", tokens=2)])
        self.change(self.meter, dimensions=False)
        self.assertEqual(self.fold(), 2)
        self.assertEqual(self.quantities(), ["3"])

    def test_fold_leaves_a_changed_meter_to_its_recount(self):
        self.ingest([self.event("a", tokens=1)])
        self.meter.dimensions = False
        self.env.flush_all()
        self.env["usage.aggregate"]._fold()
        self.assertEqual(self.figures(), {})
        self.fold()
        self.assertEqual(self.quantities(), ["1"])

    def test_new_meter_counts_what_was_stored(self):
        self.ingest([self.event("a", type="new", data={"bytes": 5}), self.event("b", type="new", data={"bytes": 6})])
        self.fold()
        meter = self._meter("bytes", "new", value_path="bytes")
        self.assertTrue(meter.recount_pending)
        self.fold()
        self.assertEqual(self.quantities(meter), ["11"])

    def test_name_says_what_account_and_when(self):
        self.ingest([self.event("a", tokens=5)])
        self.fold()
        aggregate = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id)]).with_context(tz="UTC")
        self.assertTrue(aggregate.display_name.startswith(f"{self.meter.name} · acme · "), aggregate.display_name)

    def test_changed_value(self):
        self.ingest([self.event("a", data={"tokens": 1, "cached": 10})])
        self.fold()
        self.change(self.meter, value_path="cached")
        self.fold()
        self.assertEqual(self.quantities(), ["10"])

    def test_changed_aggregation_type_and_dimensions(self):
        self.ingest([self.event("a", tokens=5), self.event("b", tokens=6, type="other")])
        self.fold()
        self.change(self.meter, aggregation="count")
        self.fold()
        self.assertEqual(self.figures(), {("acme", self.hour, LARGE): ("1", 1)})
        self.change(self.meter, event_type="other", aggregation="sum", dimensions="")
        self.fold()
        self.assertEqual(self.figures(), {("acme", self.hour, "{}"): ("6", 1)})

    def test_archived_and_back(self):
        self.ingest([self.event("a", tokens=5)])
        self.fold()
        self.meter.active = False
        self.fold()
        self.assertEqual(self.figures(), {})
        self.meter.active = True
        self.fold()
        self.assertEqual(self.quantities(), ["5"])

    def test_other_changes_count_nothing_again(self):
        self.meter.write({"name": "Tokens, all", "unit_name": "token", "note": "As agreed."})
        self.assertFalse(self.meter.recount_pending)

    def test_other_meters_are_left_alone(self):
        requests = self._meter("requests")
        self.ingest([self.event("a")])
        self.fold()
        ids = self.env["usage.aggregate"].search([("meter_id", "=", requests.id)]).ids
        self.change(self.meter, dimensions=False)
        self.fold()
        self.assertEqual(self.env["usage.aggregate"].search([("meter_id", "=", requests.id)]).ids, ids)

    def test_events_that_cannot_be_counted(self):
        """Stored before a meter asked for a number: not counted, and told once, with how many they are."""
        values = ["1", '"2"', "null", "-4", "1000000000000000000", "true"]
        for n, value in enumerate(values):
            self.ingest(
                b'{"events": [{"id": "%d", "type": "new", "subject": "acme", "data": {"bytes": %s}}]}'
                % (n, value.encode())
            )
        self.fold()
        meter = self._meter("bytes", "new", value_path="bytes")
        self.fold()
        self.assertEqual(list(self.figures(meter).values()), [("1", 1)])
        exception = self.exceptions(reason="value_missing")
        self.assertEqual(len(exception), 1)
        self.assertIn("5", exception.message)
        self.assertIn("bytes", exception.message)
        [aggregate] = self.env["usage.aggregate"].search([("meter_id", "=", meter.id)])
        events = self.env["usage.event"].browse(aggregate._event_ids())
        self.assertEqual(events.mapped("event_id"), ["0"], "the drill-down shows what was counted")

    def test_what_a_recount_reported_is_settled_by_the_next_one(self):
        self.ingest([self.event("a", type="new", data={"bytes": "2", "size": 2})])
        meter = self._meter("bytes", "new", value_path="bytes")
        self.fold()
        exception = self.exceptions(reason="value_missing")
        meter.value_path = "size"
        self.fold()
        self.assertEqual((len(exception), exception.state), (1, "resolved"))

    def test_strange_dimensions_from_before(self):
        """What a meter would have rejected must not stop it from counting the rest."""
        self.ingest(
            [
                self.event("a", type="new", data={"tag": {"deep": ["x" * 5000]}}),
                self.event("b", type="new", data={"tag": "".join(chr(0x4E00 + i * 7 % 20000) for i in range(5000))}),
                self.event("c", type="new", data={"tag": "short"}),
            ]
        )
        self.fold()
        meter = self._meter("tagged", "new", dimensions="tag")
        self.fold()
        self.assertEqual(sum(count for _quantity, count in self.figures(meter).values()), 3)
        for aggregate in self.env["usage.aggregate"].search([("meter_id", "=", meter.id)]):
            self.assertEqual(len(aggregate._event_ids()), aggregate.event_count)


@tagged("post_install", "-at_install")
class TestQuantity(UsageCommon):
    def setUp(self):
        super().setUp()
        self.other = self._account("other", self.customer)
        self.ingest(
            [
                self.event("a", tokens=Decimal("0.1")),
                self.event("b", tokens=Decimal("0.2"), time=self.time(60)),
                self.event("c", tokens=5, subject="other"),
                self.event("d", tokens=7, subject="other", data={"tokens": 7, "model": "small"}),
            ]
        )
        self.fold()

    def both(self, accounts, start=0, end=24):
        """The quantity from the hours and from the events."""
        return self.quantities(self.meter, accounts, start, end)

    def quantities(self, meter, accounts, start, end):
        aggregates = self.env["usage.aggregate"]
        bounds = self.hour + timedelta(hours=start), self.hour + timedelta(hours=end)
        windows = [Window.over(meter, accounts, *bounds)]
        return *aggregates._quantities(windows), *aggregates._quantities_from_events(windows)

    def test_exact(self):
        quantity, from_events = self.both(self.account)
        self.assertIsInstance(quantity, Decimal)
        self.assertEqual(str(quantity), "0.3")
        self.assertEqual(str(from_events), "0.3")

    def test_half_open(self):
        self.assertEqual(self.both(self.account, 0, 1), (Decimal("0.1"), Decimal("0.1")))
        self.assertEqual(self.both(self.account, 1, 2), (Decimal("0.2"), Decimal("0.2")))
        self.assertEqual(self.both(self.account, 2, 3), (0, 0))
        self.assertEqual(self.both(self.account, 0, 0), (0, 0))

    def test_accounts(self):
        self.assertEqual(self.both(self.other), (12, 12))
        self.assertEqual(self.both(self.account | self.other), (Decimal("12.3"), Decimal("12.3")))
        self.assertEqual(self.both(self.env["usage.account"]), (0, 0))

    def test_what_is_not_folded_yet_differs(self):
        """So a reconciliation shows it."""
        self.ingest([self.event("late", tokens=1)])
        self.assertEqual(self.both(self.account), (Decimal("0.3"), Decimal("1.3")))

    def test_count(self):
        requests = self._meter("requests")
        self.fold()
        self.assertEqual(self.quantities(requests, self.other, 0, 1), (2, 2))

    def test_windows_in_their_order(self):
        aggregates, end = self.env["usage.aggregate"], self.hour + timedelta(hours=2)
        requests = self._meter("requests")
        self.fold()
        windows = [
            Window.over(self.meter, self.other, self.hour, end),
            Window.over(requests, self.account | self.other, self.hour, end),
            Window.over(self.meter, self.account, end, end + timedelta(hours=1)),
            Window.over(self.meter, self.account, self.hour, end),
        ]
        self.assertEqual(aggregates._quantities(windows), [12, 4, 0, Decimal("0.3")])
        self.assertEqual(aggregates._quantities_from_events(windows), [12, 4, 0, Decimal("0.3")])

    def test_accounts_for_a_part_of_the_time(self):
        """An account may come more than once, with a gap."""
        hours = [self.hour + timedelta(hours=n) for n in range(4)]
        for n in range(1, 3):
            self.ingest([self.event(f"later {n}", tokens=10**n, time=self.time(60 * n + 1))])
        self.fold()
        spans = (Span(self.account.id, hours[0], hours[1]), Span(self.account.id, hours[2], hours[3]))
        windows = [Window(self.meter, spans), Window(self.meter, (*spans, Span(self.other.id, hours[0], hours[1])))]
        for read in (self.env["usage.aggregate"]._quantities, self.env["usage.aggregate"]._quantities_from_events):
            self.assertEqual(read(windows), [Decimal("100.1"), Decimal("112.1")])

    def test_windows_that_cut_hours(self):
        for minutes in (14, 15, 16, 44, 45, 74, 75):
            self.ingest([self.event(f"at {minutes}", tokens=100, time=self.time(minutes))])
        self.fold()
        cuts = [self.hour + timedelta(minutes=minutes) for minutes in (0, 15, 45, 75, 120)]
        windows = [Window.over(self.meter, self.account, start, end) for start, end in pairwise(cuts)]
        expected = [Decimal("100.1"), 300, Decimal("200.2"), 100]
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), expected)
        self.assertEqual(self.env["usage.aggregate"]._quantities_from_events(windows), expected)

    def test_parts_of_hours_are_counted_when_their_hour_is(self):
        """Else pieces of an hour would not add up to it."""
        self.ingest([self.event("late", tokens=1, time=self.time(20))])
        windows = [Window.over(self.meter, self.account, self.hour, self.hour + timedelta(minutes=30))]
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), [Decimal("0.1")])
        self.fold()
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), [Decimal("1.1")])

    def test_drill_down(self):
        for aggregate in self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id)]):
            ids = aggregate._event_ids()
            events = self.env["usage.event"].browse(ids)
            self.assertEqual(len(ids), aggregate.event_count)
            self.assertEqual(events.account_id, aggregate.account_id)
            self.assertEqual({event.data["model"] for event in events}, {aggregate.dimensions["model"]})
            total = sum(event.data["tokens"] for event in events)
            self.assertAlmostEqual(total, aggregate.quantity)
            action = aggregate.action_view_events()
            self.assertEqual(self.env[action["res_model"]].search(action["domain"]).ids, ids)

    def test_drill_down_of_several_hours(self):
        aggregates = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id)])
        self.assertEqual(set(aggregates._event_ids()), set(self.stored("a", "b", "c", "d").ids))

    def test_drill_down_is_for_those_who_may_read(self):
        aggregates = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id)])
        self.assertEqual(len(aggregates.with_user(self.viewer)._event_ids()), 4)

    def test_groupings_of_the_screens(self):
        domain = [("meter_id", "=", self.meter.id)]
        read_group = self.env["usage.aggregate"].with_user(self.viewer)._read_group
        self.assertEqual(read_group(domain, ["account_id"], ["event_count:sum"]), [(self.account, 2), (self.other, 2)])
        [(partner, quantity)] = read_group(domain, ["partner_id"], ["quantity:sum"])
        self.assertEqual(partner, self.customer)
        self.assertAlmostEqual(quantity, 12.3)
        self.assertEqual(len(read_group(domain, ["hour:day", "dimension_label"], ["quantity:sum"])), 2)


@tagged("post_install", "-at_install")
class TestFoldJob(UsageCommon):
    """The job that counts, and how it is woken."""

    def setUp(self):
        super().setUp()
        for name in ("LINGER_SECONDS", "POLL_SECONDS"):
            self.startPatcher(patch.object(usage_aggregate, name, 0))
        self.startPatcher(patch.dict(usage_aggregate._last_wake, clear=True))
        self.job = self.env.ref("usage_connector_base.cron_fold")

    def triggers(self):
        return self.env["ir.cron.trigger"].search_count([("cron_id", "=", self.job.id)])

    def run_job(self):
        with self.enter_registry_test_mode():
            self.job.method_direct_trigger()

    def test_runs(self):
        for n in range(3):
            self.ingest([self.event(f"{n}")])
        self.run_job()
        self.assertEqual(list(self.figures().values()), [("3", 3)])

    def test_changed_meter_then_batches(self):
        self.ingest([self.event("a", tokens=2)])
        self.meter.dimensions = False
        self.run_job()
        self.assertEqual(list(self.figures().values()), [("2", 1)])
        self.assertFalse(self.meter.recount_pending)

    def test_nothing_to_do(self):
        self.run_job()
        self.assertEqual(self.figures(), {})

    def test_more_than_one_transaction_of_batches(self):
        for n in range(5):
            self.ingest([self.event(f"{n}")])
        with patch.object(usage_aggregate, "FOLD_BATCHES", 2), self.enter_registry_test_mode():
            self.assertEqual(self.env["usage.aggregate"]._fold_pending(limit=2), 2)
            self.assertEqual(self.env["usage.aggregate"]._fold_pending(limit=2), 2)
            self.assertEqual(self.env["usage.aggregate"]._fold_pending(limit=2), 1)
            self.assertEqual(self.env["usage.aggregate"]._fold_pending(limit=2), 0)

    def test_gives_way_to_other_jobs(self):
        with patch.object(usage_aggregate, "RUN_SECONDS", 0):
            self.ingest([self.event("a")])
            self.run_job()
        self.assertEqual(self.figures(), {})

    def test_woken_once_a_second_by_a_process(self):
        before = self.triggers()
        api_user = self.source.user_id
        for _ in range(3):
            self.env["usage.aggregate"].with_user(api_user)._wake_fold()
        self.assertEqual(self.triggers(), before + 1)
        usage_aggregate._last_wake[self.env.cr.dbname] -= usage_aggregate.WAKE_SECONDS
        self.env["usage.aggregate"].with_user(api_user)._wake_fold()
        self.assertEqual(self.triggers(), before + 2)

    def test_new_meter_wakes_it(self):
        before = self.triggers()
        self._meter("requests")
        self.assertEqual(self.triggers(), before + 1)

    def test_stays_awake_longer_than_it_is_not_woken(self):
        """Else a batch could wait for the next minute."""
        self.assertLess(usage_aggregate.WAKE_SECONDS + usage_aggregate.POLL_SECONDS, LINGER_SECONDS)

    def test_runs_every_minute_all_the_same(self):
        self.assertEqual((self.job.interval_number, self.job.interval_type, self.job.active), (1, "minutes", True))
        self.assertLessEqual(self.job.nextcall, fields.Datetime.now() + timedelta(minutes=2))
