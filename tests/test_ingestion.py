"""The contract of `POST /usage/v1/events`, over real connections to a real server."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter
from decimal import Decimal

import psutil
import pytest

from harness import BATCH, PLAIN, SINGLE, packed, product
from scenario.story import Customer, Meter

METERS = (
    Meter("calls", "API Calls", "api.call", "call", "sum", "calls", "region"),
    Meter("logins", "Logins", "login", "login", "count"),
)
CUSTOMERS = tuple(Customer(f"Customer {n}", f"c{n}@example.com", "", (f"acct-{n}",)) for n in range(1, 5))


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "ingestion", ["usage_connector_base"]) as running:
        running.stage.create_meters(METERS)
        running.stage.create_customers(CUSTOMERS)
        yield running


def counts(answer):
    """The outcomes of an answer that are not zero."""
    names = ("accepted", "duplicate", "conflict", "quarantined", "rejected")
    return {name: answer[name] for name in names if answer[name]}


class TestMediaTypes:
    """The same event counts once, in whichever of the documented shapes it comes."""

    def test_batch_single_and_plain(self, platform):
        event = platform.event()
        assert counts(platform.post([event], BATCH)[1]) == {"accepted": 1}
        assert counts(platform.post(event, SINGLE)[1]) == {"duplicate": 1}
        assert counts(platform.post({"events": [event]}, PLAIN)[1]) == {"duplicate": 1}
        assert platform.stored(event["id"]) == 1

    def test_gzip(self, platform):
        event = platform.event()
        assert counts(platform.post(packed([event]), Content_Encoding="gzip")[1]) == {"accepted": 1}

    def test_parameters_of_the_media_type_are_allowed(self, platform):
        assert platform.post([platform.event()], f"{BATCH}; charset=utf-8")[0] == 200

    def test_an_empty_batch_is_fine(self, platform):
        status, answer = platform.post([])
        assert (status, counts(answer)) == (200, {})

    def test_the_answer_lists_what_was_not_accepted(self, platform):
        good, again, bad = platform.event(), platform.event(), platform.event(time="yesterday")
        platform.post([again])
        status, answer = platform.post([good, again, bad])
        assert status == 200
        assert answer["batch"] > 0
        assert [(event["index"], event["id"], event["outcome"], event["code"]) for event in answer["events"]] == [
            (1, again["id"], "duplicate", "id_known"),
            (2, bad["id"], "rejected", "time_invalid"),
        ]
        assert all(event["message"] for event in answer["events"])


class TestRefusedRequests:
    """A request refused as a whole counts nothing, and says what to do."""

    def refusal(self, platform, status, code, *request, **headers):
        before = platform.stored()
        found, answer = platform.post(*request, **headers)
        assert (found, answer["error"]["code"]) == (status, code)
        assert answer["error"]["message"]
        assert platform.stored() == before

    @pytest.mark.parametrize("key", ["", "wrong", "0" * 40])
    def test_a_wrong_or_missing_key(self, platform, key):
        self.refusal(platform, 401, "unauthorized", [platform.event()], BATCH, key)

    def test_a_password_is_no_key(self, platform):
        self.refusal(platform, 401, "unauthorized", [platform.event()], BATCH, "demo")

    def test_a_key_in_another_scheme(self, platform):
        self.refusal(
            platform, 401, "unauthorized", [platform.event()], BATCH, "", Authorization=f"Basic {platform.key}"
        )

    def test_the_key_of_a_suspended_source(self, platform):
        ada, ben = platform.staff["ada"], platform.staff["ben"]
        ada.call("usage.source", "action_suspend", [platform.stage.source_id])
        try:
            self.refusal(platform, 403, "source_not_approved", [platform.event()])
        finally:
            ben.call("usage.source", "action_approve", [platform.stage.source_id])
        assert platform.post([platform.event()])[0] == 200

    def test_another_environment(self, platform):
        self.refusal(platform, 403, "wrong_environment", [platform.event()], X_Usage_Environment="staging")

    @pytest.mark.parametrize("body", [b"", b"{oops", b"[{]", b"\xff\xfe", b"[" * 100_000])
    def test_not_json(self, platform, body):
        self.refusal(platform, 400, "invalid_json", body)
        assert self.recorded(platform) == "invalid_json"

    @pytest.mark.parametrize(
        ("body", "media_type"),
        [({}, BATCH), ([], SINGLE), ("text", SINGLE), ([], PLAIN), ({"events": {}}, PLAIN), (None, BATCH)],
    )
    def test_another_shape(self, platform, body, media_type):
        self.refusal(platform, 400, "invalid_body", body, media_type)
        assert self.recorded(platform) == "invalid_body"

    @pytest.mark.parametrize("media_type", ["text/plain", "application/xml", ""])
    def test_another_media_type(self, platform, media_type):
        self.refusal(platform, 415, "unsupported_media_type", [platform.event()], media_type)

    def test_too_many_events(self, platform):
        self.refusal(platform, 413, "too_many_events", [{}] * 10_001)
        assert self.recorded(platform) == "too_many_events"

    def test_too_many_bytes(self, platform):
        self.refusal(platform, 413, "too_many_bytes", b" " * (16 * 1024 * 1024 + 1))

    def test_a_decompression_bomb(self, platform):
        self.refusal(platform, 413, "too_many_bytes", packed("x" * (17 * 1024 * 1024)), Content_Encoding="gzip")

    @pytest.mark.parametrize("body", [b"no gzip", packed([{}])[:-9]])
    def test_broken_gzip(self, platform, body):
        self.refusal(platform, 400, "invalid_gzip", body, Content_Encoding="gzip")

    def test_another_encoding(self, platform):
        self.refusal(platform, 415, "unsupported_encoding", b"[]", Content_Encoding="br")

    def test_another_method(self, platform):
        connection = platform.connection()._http
        connection.request("GET", "/usage/v1/events")
        assert connection.getresponse().status == 405

    def recorded(self, platform):
        """The refusal code in the record of the latest request."""
        return platform.query("SELECT refusal_code FROM usage_batch ORDER BY id DESC LIMIT 1")


BAD_EVENTS = {
    "not_an_object": [1, "text", None, [], True],
    "specversion_unsupported": [{"specversion": "0.3"}, {"specversion": 1}],
    "id_invalid": [{"id": None}, {"id": ""}, {"id": 7}, {"id": "x" * 256}, {"id": {"a": 1}}],
    "type_invalid": [{"type": None}, {"type": ""}, {"type": 7}],
    "subject_invalid": [{"subject": None}, {"subject": ""}, {"subject": 7}, {"subject": "x" * 256}],
    "time_invalid": [
        {"time": "yesterday"},
        {"time": "2026-05-04"},
        {"time": "2026-05-04T10:15:00"},
        {"time": "2026-02-30T10:15:00Z"},
        {"time": 1778000000},
        {"time": ""},
    ],
    "time_in_future": [{"time": "3000-01-01T00:00:00Z"}],
    "time_too_old": [{"time": "1999-12-31T23:59:59Z"}],
    "data_invalid": [{"data": "text"}, {"data": [1]}, {"data": 5}],
    "data_too_large": [{"data": {"calls": 1, "x": "x" * 40_000}}],
    "value_missing": [{"data": {}}, {"data": None}, {"data": {"calls": None}}],
    "value_not_number": [{"data": {"calls": value}} for value in ("3", True, [], {})],
    "value_negative": [{"data": {"calls": -1}}, {"data": {"calls": -0.5}}],
    "value_out_of_range": [{"data": {"calls": 10**18}}, {"data": {"calls": 1e-30}}],
    "dimension_invalid": [{"data": {"calls": 1, "region": value}} for value in ([], {}, "x" * 201)],
    "character_invalid": [{"id": "a\0b"}, {"subject": "\0"}, {"data": {"calls": 1, "note": "a\0b"}}],
    "reference_invalid": [{"tenant": 7}, {"user": "x" * 256}, {"subscription": ""}],
}
BAD_CASES = [(code, change) for code, changes in BAD_EVENTS.items() for change in changes]


class TestRejectedEvents:
    """One malformed event is kept with its reason and costs no other event."""

    @pytest.mark.parametrize(("code", "change"), BAD_CASES, ids=lambda value: str(value)[:40])
    def test_between_two_good_ones(self, platform, code, change):
        first, last = platform.event(), platform.event()
        bad = platform.event(**change) if isinstance(change, dict) else change
        status, answer = platform.post([first, bad, last])
        assert (status, counts(answer)) == (200, {"accepted": 2, "rejected": 1})
        assert [(event["index"], event["code"]) for event in answer["events"]] == [(1, code)]
        assert platform.stored(first["id"], last["id"]) == 2
        kept = platform.exceptions(reason=code)[0]
        assert kept["state"] == "open"
        assert kept["message"] == answer["events"][0]["message"]

    def test_the_payload_is_kept_as_it_came(self, platform):
        bad = platform.event(data={"calls": "12", "note": "as sent"})
        platform.post([bad])
        [kept] = platform.exceptions(event_ref=bad["id"])
        assert json.loads(kept["payload"]) == bad

    def test_a_thousand_bad_events_leave_the_good_one(self, platform):
        good = platform.event()
        answer = platform.post([*(platform.event(time="never") for _ in range(999)), good])[1]
        assert counts(answer) == {"accepted": 1, "rejected": 999}
        assert platform.stored(good["id"]) == 1

    def test_a_rejected_id_may_be_used_again(self, platform):
        event = platform.event()
        assert counts(platform.post([{**event, "time": "never"}])[1]) == {"rejected": 1}
        assert counts(platform.post([event])[1]) == {"accepted": 1}


class TestCountingOnce:
    def test_a_resent_batch_is_all_duplicates(self, platform):
        events = [platform.event() for _ in range(50)]
        assert counts(platform.post(events)[1]) == {"accepted": 50}
        before = platform.quantity("calls")
        assert counts(platform.post(events)[1]) == {"duplicate": 50}
        assert platform.quantity("calls") == before

    def test_the_same_event_twice_in_a_batch(self, platform):
        event = platform.event()
        assert counts(platform.post([event, event])[1]) == {"accepted": 1, "duplicate": 1}
        assert platform.stored(event["id"]) == 1

    def test_the_same_content_written_differently_is_a_duplicate(self, platform):
        event = platform.event(time="2026-05-04T12:15:00+02:00")
        again = {name: event[name] for name in reversed(event)} | {"time": "2026-05-04T10:15:00.000Z"}
        platform.post([event])
        assert counts(platform.post([again])[1]) == {"duplicate": 1}

    @pytest.mark.parametrize(
        "change",
        [
            {"data": {"calls": 3, "region": "eu"}},
            {"subject": "acct-2"},
            {"type": "login"},
            {"time": "2026-05-04T10:15:01Z"},
        ],
    )
    def test_the_same_id_with_other_content_is_a_conflict(self, platform, change):
        event = platform.event()
        platform.post([event])
        before = platform.quantity("calls")
        other = {**event, **change}
        assert counts(platform.post([other])[1]) == {"conflict": 1}
        assert platform.quantity("calls") == before
        [kept] = platform.exceptions(event_ref=event["id"])
        assert kept["reason"] == "conflict"
        assert json.loads(kept["payload"]) == other
        assert json.loads(kept["other_payload"])["id"] == event["id"]

    def test_two_different_events_with_one_id_in_a_batch(self, platform):
        event = platform.event()
        answer = platform.post([event, {**event, "data": {"calls": 9}}])[1]
        assert counts(answer) == {"accepted": 1, "conflict": 1}

    def test_events_without_a_time_take_the_time_they_came(self, platform):
        event = platform.event(time=None)
        assert counts(platform.post([event])[1]) == {"accepted": 1}
        age = platform.query(
            "SELECT extract(epoch FROM now() AT TIME ZONE 'UTC' - time) < 60 FROM usage_event "
            f"WHERE event_id = '{event['id']}'"
        )
        assert age == "t"


class TestExactQuantities:
    def test_decimals_are_not_binary_fractions(self, platform):
        before, _events = platform.quantity("calls")
        values = ["0.1"] * 3 + ["123456789012345.000000000000000001", "1e-18", "2.50"]
        bodies = [json.dumps(platform.event()).replace('"calls": 2', f'"calls": {value}') for value in values]
        assert counts(platform.post(f"[{','.join(bodies)}]".encode())[1]) == {"accepted": len(values)}
        after, _events = platform.quantity("calls")
        assert after - before == sum(map(Decimal, values))

    def test_dimensions_keep_quantities_apart(self, platform):
        events = [platform.event(data={"calls": 1, "region": region}) for region in ("mars", "mars", "venus", 7, None)]
        platform.post(events)
        platform.wait_counted()
        rows = platform.query(
            "SELECT dimensions->>'region', sum(event_count) FROM usage_aggregate "
            "WHERE dimensions->>'region' IN ('mars', 'venus', '7') GROUP BY 1 ORDER BY 1"
        )
        assert rows.splitlines() == ["7|1", "mars|2", "venus|1"]

    def test_hours_are_those_of_utc(self, platform):
        platform.post([platform.event(type="login", time="2026-03-29T01:59:59.999+01:00", data=None)])
        platform.wait_counted()
        march = "SELECT max(hour) FROM usage_aggregate WHERE hour < '2026-04-01'"
        assert platform.query(march) == "2026-03-29 00:00:00"

    def test_counted_within_seconds(self, platform):
        started = time.monotonic()
        platform.post([platform.event()])
        platform.wait_counted()
        assert time.monotonic() - started < 5


class TestHeldEvents:
    """What is not known yet waits, and is counted when it is."""

    def test_an_unknown_account_is_mapped_later(self, platform):
        events = [platform.event(subject="stranger", data={"calls": 5}) for _ in range(4)]
        answer = platform.post(events)[1]
        assert counts(answer) == {"quarantined": 4}
        assert {event["code"] for event in answer["events"]} == {"account_unmapped"}
        [waiting] = platform.exceptions(account_id="stranger")
        assert (waiting["reason"], waiting["state"]) == ("account_unmapped", "open")
        before = platform.quantity("calls", mapped=True)
        platform.map_accounts(["stranger"], "A Stranger Known")
        after = platform.quantity("calls", mapped=True)
        assert (after[0] - before[0], after[1] - before[1]) == (20, 4)
        assert platform.exceptions(account_id="stranger")[0]["state"] == "resolved"
        assert counts(platform.post([platform.event(subject="stranger")])[1]) == {"accepted": 1}

    def test_an_unknown_type_is_metered_later(self, platform):
        events = [platform.event(type="gpu.session", data={"seconds": 30}) for _ in range(3)]
        answer = platform.post(events)[1]
        assert counts(answer) == {"quarantined": 3}
        assert {event["code"] for event in answer["events"]} == {"meter_unknown"}
        [waiting] = platform.exceptions(event_type="gpu.session")
        assert (waiting["reason"], waiting["state"]) == ("meter_unknown", "open")
        platform.stage.create_meters((Meter("gpu", "GPU", "gpu.session", "second", "sum", "seconds"),))
        assert platform.quantity("gpu") == (90, 3)
        assert platform.exceptions(event_type="gpu.session")[0]["state"] == "resolved"


class TestConcurrency:
    """Real connections to several server processes at the same moment."""

    def test_the_same_batch_at_once_counts_once(self, platform):
        for _ in range(5):
            batch = [platform.event() for _ in range(400)]
            answers = platform.send_at_once(batch, batch)
            assert sum(answer["accepted"] for answer in answers) == 400
            assert sum(answer["duplicate"] for answer in answers) == 400
            assert platform.stored(*(event["id"] for event in batch)) == 400

    def test_opposite_orders_do_not_wait_for_one_another(self, platform):
        batch = [platform.event() for _ in range(400)]
        started = time.monotonic()
        answers = platform.send_at_once(batch, batch[::-1], batch[200:] + batch[:200])
        assert time.monotonic() - started < 10
        assert sum(answer["accepted"] for answer in answers) == 400
        assert sum(answer["duplicate"] for answer in answers) == 800

    def test_contradicting_batches_at_once_keep_one_content(self, platform):
        batch = [platform.event() for _ in range(200)]
        other = [{**event, "data": {"calls": 7}} for event in batch]
        answers = platform.send_at_once(batch, other)
        assert sum(answer["accepted"] for answer in answers) == 200
        assert sum(answer["conflict"] for answer in answers) == 200

    def test_a_new_account_of_several_batches_is_made_once(self, platform):
        bodies = [[platform.event(subject="newcomer") for _ in range(50)] for _ in range(4)]
        answers = platform.send_at_once(*bodies)
        assert sum(answer["quarantined"] for answer in answers) == 200
        assert platform.query("SELECT count(*) FROM usage_account WHERE external_id = 'newcomer'") == "1"
        assert len(platform.exceptions(account_id="newcomer")) == 1

    def test_sending_while_counting_loses_nothing(self, platform):
        before, events = platform.quantity("calls")
        platform.send([platform.event(data={"calls": 3}) for _ in range(6000)], size=100)
        after, events_after = platform.quantity("calls")
        assert (after - before, events_after - events) == (18_000, 6000)


class TestKilledServer:
    """Killed anywhere, at any moment: nothing lost, nothing twice."""

    KILLS = 10
    ROUND = 1000

    def test_kill_9_while_sending(self, platform):
        before, events_before = platform.quantity("calls")
        sent, totals, kills = [], Counter(), []
        enough = threading.Event()
        killer = threading.Thread(target=self.kill_workers, args=(platform, enough, kills))
        killer.start()
        try:
            while not enough.is_set():
                events = [platform.event(data={"calls": len(sent) + number}) for number in range(self.ROUND)]
                sent += events
                totals.update(platform.send(events, size=100))
        finally:
            enough.set()
            killer.join()
        # What was stored but not answered for was sent again and found to be there.
        assert totals["accepted"] + totals["duplicate"] == totals["sent"] == len(sent)
        assert counts(platform.send(sent)) == {"duplicate": len(sent)}
        platform.wait_counted(wake=True)
        expected = before + sum(range(len(sent))), events_before + len(sent)
        assert platform.quantity("calls") == expected

    def kill_workers(self, platform, enough, kills):
        """Kill random processes of the server, cron included, one every half second or so."""
        rng = random.Random(7)
        while len(kills) < self.KILLS and not enough.wait(rng.uniform(0.1, 0.7)):
            with contextlib.suppress(IndexError, psutil.NoSuchProcess):
                victim = rng.choice(platform.workers())
                victim.kill()
                kills.append(victim.pid)
        enough.set()
