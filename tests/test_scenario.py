"""The tools of `setup/`: the invented month, event files, the sender; without a server."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date, datetime, timedelta, timezone

import pytest

import traces
from scenario import sender
from scenario.dates import STORY_DAYS, story_start
from scenario.eventfile import EventFileError, EventFiles
from scenario.saas import ACCOUNTS, CONFLICTS, CUSTOMERS, MALFORMED, METERS, Saas
from scenario.story import batches

DAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def saas():
    return Saas(today=DAY)


@pytest.fixture(scope="module")
def events(saas):
    return saas.events()


def without_dates(event):
    """An event without what depends on when the story takes place."""
    return {name: value for name, value in event.items() if name not in ("id", "time")}


class TestInventedMonth:
    def test_the_same_seed_invents_the_same_events(self, events):
        assert Saas(today=DAY).events() == events

    def test_another_seed_invents_others(self, events):
        assert Saas(seed=1, today=DAY).events() != events

    def test_figures_do_not_depend_on_the_day_of_the_run(self, events):
        elsewhere = Saas(today=date(2027, 3, 14)).events()
        assert list(map(without_dates, elsewhere)) == list(map(without_dates, events))

    def test_it_begins_on_a_monday_and_is_over_before_today(self):
        for offset in range(800):
            today = DAY + timedelta(days=offset)
            start = story_start(today)
            assert start.weekday() == 0
            assert start.day <= 7
            assert timedelta() <= today - (start + timedelta(days=STORY_DAYS)).date() <= timedelta(days=62)

    def test_its_billing_period_always_has_31_days(self):
        for offset in range(800):
            start = story_start(DAY + timedelta(days=offset))
            following = (start.replace(day=28) + timedelta(days=4)).replace(day=start.day)
            assert following - start == timedelta(days=31)

    def test_there_are_as_many_accounts_and_customers_as_promised(self, saas):
        customers = saas.story.customers
        assert len({customer.name for customer in customers}) == CUSTOMERS
        assert len({account for customer in customers for account in customer.accounts}) == ACCOUNTS

    def test_account_sizes_differ_widely(self, events):
        counts = sorted(Counter(event.get("subject") for event in events).values())
        assert counts[-1] > 10 * counts[len(counts) // 10]

    def test_weekends_are_quieter(self, saas, events):
        days = Counter(
            datetime.fromisoformat(event["time"][:10]).weekday()
            for event in events
            if event["time"] < f"{saas.end.isoformat()}Z"
        )
        assert max(days[5], days[6]) < 0.6 * min(days[day] for day in range(5))

    def test_nights_are_quieter_where_the_account_is(self, saas, events):
        european = {account.external_id for account in saas.accounts if account.region == "eu-west"}
        hours = Counter(int(e["time"][11:13]) for e in events if e.get("subject") in european and "T" in e["time"])
        assert hours[3] < 0.5 * hours[14]

    def test_repeated_events_come_after_the_first_ones(self, events):
        first, repeated, contradicted = {}, 0, 0
        for event in (event for event in events if "id" in event):
            if event["id"] not in first:
                first[event["id"]] = event
            elif event == first[event["id"]]:
                repeated += 1
            else:
                contradicted += 1
        assert contradicted == CONFLICTS
        assert repeated > 0.01 * len(events)

    def test_something_is_malformed_late_and_unknown(self, saas, events):
        known = {account.external_id for account in saas.accounts}
        assert sum(event.get("type") == "api.requests" and not _is_sound(event) for event in events) == MALFORMED
        assert any(event.get("subject", "").startswith("trial-") for event in events)
        assert known < {event.get("subject") for event in events}
        assert {"gpu.session"} == {event["type"] for event in events} - {meter.event_type for meter in METERS}


def _is_sound(event):
    number = event["data"].get("requests")
    return (
        {"id", "subject"} <= event.keys()
        and event["specversion"] == "1.0"
        and event["time"][:2] == "20"
        and isinstance(number, int)
        and number >= 0
    )


class TestEventFiles:
    def write(self, path, *events):
        path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
        return path

    def event(self, **changes):
        return {
            "specversion": "1.0",
            "id": "1",
            "source": "app",
            "type": "api.call",
            "subject": "customer-1",
            "time": "2026-01-31T23:00:00-02:00",
            "data": {"calls": 3, "ok": True, "size": {"kilo bytes": 1, "bytes": 5}},
            **changes,
        }

    def test_numbers_become_meters(self, tmp_path):
        story = EventFiles([self.write(tmp_path / "events.jsonl", self.event())]).story
        assert [(m.event_type, m.aggregation, m.value_path) for m in story.meters] == [
            ("api.call", "sum", "calls"),
            ("api.call", "sum", "size.bytes"),
        ]
        assert {price.meter for price in story.plans[0].prices} == {meter.code for meter in story.meters}

    def test_a_type_without_a_number_in_every_event_is_counted(self, tmp_path):
        path = self.write(tmp_path / "events.jsonl", self.event(), self.event(id="2", data={}))
        [meter] = EventFiles([path]).story.meters
        assert (meter.aggregation, meter.value_path) == ("count", "")

    def test_months_are_those_of_utc(self, tmp_path):
        story = EventFiles([self.write(tmp_path / "events.jsonl", self.event())]).story
        assert (story.start, story.until) == (datetime(2026, 2, 1), datetime(2026, 3, 1))

    def test_a_month_that_still_runs_is_not_billed(self, tmp_path):
        now = datetime.now(timezone.utc)
        path = self.write(tmp_path / "events.jsonl", self.event(time=now.isoformat()))
        story = EventFiles([path]).story
        assert story.start == datetime(now.year, now.month, 1)
        assert story.until < datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(seconds=1)

    def test_subjects_become_customers(self, tmp_path):
        path = self.write(tmp_path / "events.jsonl", self.event(), self.event(id="2", subject="b"), self.event(id="3"))
        assert [c.accounts for c in EventFiles([path]).story.customers] == [("b",), ("customer-1",)]

    def test_gzip_and_several_files_keep_their_order(self, tmp_path):
        packed = tmp_path / "more.jsonl.gz"
        packed.write_bytes(gzip.compress(json.dumps(self.event(id="2")).encode()))
        files = EventFiles([self.write(tmp_path / "events.jsonl", self.event()), packed])
        assert [event["id"] for event in files.events()] == ["1", "2"]

    def test_unusable_events_are_sent_all_the_same(self, tmp_path):
        broken = self.event(id="2", time="yesterday")
        files = EventFiles([self.write(tmp_path / "events.jsonl", self.event(), broken, "text")])
        assert files.events()[1:] == [broken, "text"]
        assert len(files.story.customers) == 1

    def test_what_is_wrong_is_said_with_its_place(self, tmp_path):
        path = self.write(tmp_path / "events.jsonl", self.event())
        path.write_text(path.read_text() + "{oops\n")
        with pytest.raises(EventFileError, match="events.jsonl, line 2: not JSON"):
            EventFiles([path])

    @pytest.mark.parametrize("name", ["missing.jsonl", "missing.jsonl.gz"])
    def test_a_missing_file_is_named(self, tmp_path, name):
        with pytest.raises(EventFileError, match=f"{name}: No such file"):
            EventFiles([tmp_path / name])

    def test_a_file_that_is_not_gzip_is_named(self, tmp_path):
        path = self.write(tmp_path / "events.jsonl.gz", self.event())
        with pytest.raises(EventFileError, match="events.jsonl.gz: Not a gzipped file"):
            EventFiles([path])

    def test_a_file_without_events_shows_what_one_looks_like(self, tmp_path):
        with pytest.raises(EventFileError, match='A line looks like {"specversion"'):
            EventFiles([self.write(tmp_path / "events.jsonl", {"hello": "world"})])


class TestSender:
    def test_batches_lose_nothing(self):
        assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
        assert list(batches([], 3)) == []

    def test_the_same_id_travels_in_the_same_lane(self, events):
        lanes = {}
        for event in events:
            lanes.setdefault(event.get("id"), set()).add(sender._lane(event, 4))
        assert all(len(lane) == 1 for lane in lanes.values())
        assert set.union(*lanes.values()) == {0, 1, 2, 3}

    def test_a_text_in_place_of_an_event_has_a_lane(self):
        assert sender._lane("text", 2) in (0, 1)


@pytest.mark.usefixtures("shared_data")
class TestTraces:
    """The traces are what their README says."""

    def test_llm_trace(self):
        events = list(traces.llm_events())
        assert len(events) == 19_366
        assert sum(event["data"]["context_tokens"] for event in events) == 22_361_870
        assert sum(event["data"]["generated_tokens"] for event in events) == 4_088_665
        assert [event["id"] for event in events] == [str(number) for number in range(1, 19_367)]

    def test_access_log(self):
        events = list(traces.access_events())
        assert len(events) == 10_000
        assert sum(event["data"]["bytes"] for event in events) == 2_747_282_740
        assert sum(event["data"]["bytes"] == 0 for event in events) == 669
        assert len({event["subject"] for event in events}) == 1_753

    def test_busiest_addresses(self):
        clients = Counter(event["subject"] for event in traces.access_events())
        busiest = traces.busiest()
        assert len(set(busiest)) == 100
        assert min(clients[client] for client in busiest) == 14
        assert sum(clients[client] for client in busiest) == 4_710
        assert sorted(clients.values())[-101] == 13
