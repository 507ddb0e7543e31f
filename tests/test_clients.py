"""Clients that platforms already use, unchanged, against a real server: they push, and it counts."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import urlsplit

import openmeter
import openmeter.aio
import openmeter.models
import pytest
from cloudevents.conversion import to_binary, to_json, to_structured
from cloudevents.http import CloudEvent
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError
from lago_python_client.client import Client as LagoClient
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent
from lago_python_client.models import Event as LagoEvent

from harness import product
from scenario.story import Customer, Meter

METERS = (
    Meter("calls", "API Calls", "api.call", "call", "sum", "calls", "region"),
    Meter("logins", "Logins", "login", "login", "count"),
)
CUSTOMERS = (Customer("Customer 1", "c1@example.com", "", ("acct-1",)),)
NOW = datetime.now(timezone.utc).replace(microsecond=0)


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "usage_test_clients", ["usage_connector_base"]) as running:
        running.stage.create_meters(METERS)
        running.stage.create_customers(CUSTOMERS)
        yield running


@pytest.fixture
def counted(platform):
    """What was counted since the test began: counted() is (quantity, events) of the calls."""
    quantity, events = platform.quantity("calls")

    def since():
        after = platform.quantity("calls")
        return after[0] - quantity, after[1] - events

    return since


def new_id():
    return str(uuid.uuid4())


class TestOpenMeter:
    """The `openmeter` package: endpoint and token, nothing else."""

    @pytest.fixture
    def client(self, platform):
        return openmeter.Client(endpoint=platform.server.url, token=platform.key)

    def event(self, **changes):
        values = {
            "id": new_id(),
            "source": "my-app",
            "specversion": "1.0",
            "type": "api.call",
            "subject": "acct-1",
            "time": NOW,
            "data": {"calls": 3, "region": "eu"},
        }
        return openmeter.models.Event(**{**values, **changes})

    @pytest.mark.parametrize("folder", ["", "/", "/usage/openmeter", "/usage/openmeter/"])
    def test_addresses(self, platform, counted, folder):
        client = openmeter.Client(endpoint=f"{platform.server.url}{folder}", token=platform.key)
        assert client.events.ingest_event(self.event()) is None
        assert client.events.ingest_events([self.event(), self.event()]) is None
        assert counted() == (9, 3)

    def test_batch(self, client, counted):
        events = [self.event(data={"calls": number}) for number in range(1000)]
        assert client.events.ingest_events(events) is None
        assert counted() == (sum(range(1000)), 1000)

    def test_plain_json(self, client, counted):
        assert client.events.ingest_events_json([self.event(), self.event()]) is None
        assert client.events.ingest_events_json(self.event()) is None
        assert counted() == (9, 3)

    def test_sent_again(self, client, counted):
        event = self.event()
        for _attempt in range(3):
            client.events.ingest_event(event)
        client.events.ingest_events([event, self.event()])
        assert counted() == (6, 2)

    def test_all_attributes(self, client, platform):
        event = self.event(dataschema="https://example.com/schema", datacontenttype="application/json")
        client.events.ingest_event(event)
        kept = platform.query(f"SELECT attributes->>'dataschema', time FROM usage_event WHERE event_id = '{event.id}'")
        assert kept == f"https://example.com/schema|{NOW:%Y-%m-%d %H:%M:%S}"

    def test_a_time_in_another_zone(self, client, platform):
        event = self.event(time=NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
        client.events.ingest_event(event)
        found = platform.query(f"SELECT time FROM usage_event WHERE event_id = '{event.id}'")
        assert found == f"{NOW:%Y-%m-%d %H:%M:%S}"

    def test_without_time_and_data(self, client, platform):
        event = self.event(type="login", time=None, data=None)
        client.events.ingest_event(event)
        assert platform.stored(event.id) == 1

    def test_an_unknown_subject_is_held(self, client, platform):
        event = self.event(subject=new_id())
        client.events.ingest_event(event)
        [waiting] = platform.exceptions(account_id=event.subject)
        assert waiting["reason"] == "account_unmapped"

    def test_malformed(self, client, platform, counted):
        bad, good = self.event(data={"calls": "many"}), self.event()
        with pytest.raises(HttpResponseError) as error:
            client.events.ingest_events([bad, good])
        problem = error.value.model
        assert isinstance(problem, openmeter.models.UnexpectedProblemResponse)
        assert (error.value.status_code, problem.status) == (400, 400)
        assert "must be a JSON number" in problem.detail
        assert [wrong["id"] for wrong in problem.extensions["validationErrors"]] == [bad.id]
        assert counted() == (3, 1)
        assert len(platform.exceptions(event_ref=bad.id)) == 1

    def test_a_wrong_key(self, platform, counted):
        client = openmeter.Client(endpoint=platform.server.url, token="wrong")
        with pytest.raises(ClientAuthenticationError) as error:
            client.events.ingest_event(self.event())
        assert isinstance(error.value.model, openmeter.models.UnauthorizedProblemResponse)
        assert error.value.model.status == 401
        assert counted() == (0, 0)

    def test_asynchronous(self, platform, counted):
        async def push():
            async with openmeter.aio.Client(endpoint=platform.server.url, token=platform.key) as client:
                await asyncio.gather(*(client.events.ingest_event(self.event()) for _ in range(20)))
                await client.events.ingest_events([self.event() for _ in range(20)])

        asyncio.run(push())
        assert counted() == (120, 40)


class TestLago:
    """The `lago-python-client` package: API key and URL, nothing else."""

    @pytest.fixture
    def client(self, platform):
        return LagoClient(api_key=platform.key, api_url=platform.server.url)

    def event(self, **changes):
        values = {
            "transaction_id": new_id(),
            "external_subscription_id": "acct-1",
            "code": "api.call",
            "timestamp": int(NOW.timestamp()),
            "properties": {"calls": 3, "region": "eu"},
        }
        return LagoEvent(**{**values, **changes})

    @pytest.mark.parametrize("folder", ["", "/", "/usage/lago/"])
    def test_addresses(self, platform, counted, folder):
        client = LagoClient(api_key=platform.key, api_url=f"{platform.server.url}{folder}")
        assert client.events.create(self.event()).code == "api.call"
        assert client.events.batch_create(BatchEvent(events=[self.event(), self.event()])) is None
        assert counted() == (9, 3)

    def test_single(self, client, counted):
        event = self.event()
        answer = client.events.create(event)
        assert answer.transaction_id == event.transaction_id
        assert answer.external_subscription_id == "acct-1"
        assert answer.code == "api.call"
        assert answer.properties == {"calls": 3, "region": "eu"}
        assert datetime.fromisoformat(answer.timestamp.replace("Z", "+00:00")) == NOW
        assert uuid.UUID(answer.lago_id)
        assert counted() == (3, 1)

    def test_batch(self, client, counted):
        events = [self.event(properties={"calls": number}) for number in range(1000)]
        assert client.events.batch_create(BatchEvent(events=events)) is None
        assert counted() == (sum(range(1000)), 1000)

    def test_sent_again(self, client, counted):
        event = self.event()
        answers = [client.events.create(event) for _attempt in range(3)]
        client.events.batch_create(BatchEvent(events=[event, self.event()]))
        assert len({answer.lago_id for answer in answers}) == 1
        assert counted() == (6, 2)

    @pytest.mark.parametrize("timestamp", [NOW.timestamp() + 0.25, str(int(NOW.timestamp())), None])
    def test_timestamps(self, client, platform, timestamp):
        event = self.event(timestamp=None)
        object.__setattr__(event, "timestamp", timestamp)  # the model turns a float into an integer
        client.events.create(event)
        found = platform.query(
            f"SELECT extract(epoch FROM time) FROM usage_event WHERE event_id = '{event.transaction_id}'"
        )
        assert abs(Decimal(found) - Decimal(str(timestamp or time.time()))) <= (0 if timestamp else 60)

    def test_numbers_as_texts(self, client, counted):
        client.events.create(self.event(properties={"calls": "2.5", "region": "eu"}))
        assert counted() == (Decimal("2.5"), 1)

    def test_an_unknown_subscription_is_held(self, client, platform):
        event = self.event(external_subscription_id=new_id())
        client.events.create(event)
        [waiting] = platform.exceptions(account_id=event.external_subscription_id)
        assert waiting["reason"] == "account_unmapped"

    def test_the_amount_is_kept(self, client, platform):
        event = self.event(precise_total_amount_cents="12.345")
        assert client.events.create(event).precise_total_amount_cents == "12.345"
        kept = "SELECT attributes->'lago'->>'precise_total_amount_cents' FROM usage_event"
        assert platform.query(f"{kept} WHERE event_id = '{event.transaction_id}'") == "12.345"

    def refused(self, push):
        """The error that a push raises."""
        with pytest.raises(LagoApiError) as error:
            push()
        return error.value

    def test_malformed(self, client, counted):
        bad, good = self.event(properties={"calls": "many"}), self.event()
        error = self.refused(lambda: client.events.create(bad))
        assert (error.status_code, error.response["code"]) == (422, "validation_errors")
        assert error.response["error_details"] == {"properties": ["value_is_not_valid_number"]}
        error = self.refused(lambda: client.events.batch_create(BatchEvent(events=[good, bad])))
        assert error.response["error_details"] == {"1": {"properties": ["value_is_not_valid_number"]}}
        assert counted() == (3, 1)

    def test_other_content(self, client, platform, counted):
        event = self.event()
        client.events.create(event)
        error = self.refused(lambda: client.events.create(event.copy(update={"properties": {"calls": 9}})))
        assert error.response["error_details"] == {"transaction_id": ["value_already_exist"]}
        assert counted() == (3, 1)
        assert [found["reason"] for found in platform.exceptions(event_ref=event.transaction_id)] == ["conflict"]

    def test_a_wrong_key(self, platform, counted):
        client = LagoClient(api_key="wrong", api_url=platform.server.url)
        for push in (
            lambda: client.events.create(self.event()),
            lambda: client.events.batch_create(BatchEvent(events=[self.event()])),
        ):
            error = self.refused(push)
            assert (error.status_code, error.response["error"]) == (401, "Unauthorized")
        assert counted() == (0, 0)


class TestCloudEvents:
    """A sender built on the `cloudevents` package, over `POST /usage/v1/events`."""

    PATH = "/usage/v1/events"

    def event(self, data=None, **attributes):
        values = {"type": "api.call", "source": "https://platform.example", "subject": "acct-1", **attributes}
        return CloudEvent(values, {"calls": 3, "region": "eu"} if data is None else data)

    def post(self, platform, headers, body):
        """Send a request as a plain HTTP client does, which adds no headers of its own.

        :return: the answer, which must be a success
        """
        connection = http.client.HTTPConnection(urlsplit(platform.server.url).netloc)
        connection.request("POST", self.PATH, body, {**headers, "Authorization": f"Bearer {platform.key}"})
        response = connection.getresponse()
        content = json.load(response)
        assert response.status == 200, content
        connection.close()
        return content

    def test_structured(self, platform, counted):
        assert self.post(platform, *to_structured(self.event()))["accepted"] == 1
        assert counted() == (3, 1)

    def test_batch(self, platform, counted):
        events = [self.event({"calls": number}) for number in range(100)]
        body = f"[{','.join(to_json(event).decode() for event in events)}]".encode()
        answer = self.post(platform, {"Content-Type": "application/cloudevents-batch+json"}, body)
        assert (answer["accepted"], counted()) == (100, (sum(range(100)), 100))

    def test_batch_gzipped(self, platform, counted):
        body = gzip.compress(f"[{to_json(self.event()).decode()}]".encode())
        headers = {"Content-Type": "application/cloudevents-batch+json", "Content-Encoding": "gzip"}
        assert self.post(platform, headers, body)["accepted"] == 1
        assert counted() == (3, 1)

    @pytest.mark.parametrize("attributes", [{}, {"datacontenttype": "application/json"}], ids=["untyped", "typed"])
    def test_binary(self, platform, counted, attributes):
        assert self.post(platform, *to_binary(self.event(**attributes)))["accepted"] == 1
        assert counted() == (3, 1)

    def test_every_mode_sends_the_same_event(self, platform, counted):
        event = self.event(tenant="t-1", region="eu", datacontenttype="application/json")
        batch = {"Content-Type": "application/cloudevents-batch+json"}, b"[" + to_json(event) + b"]"
        answers = [self.post(platform, *request) for request in (to_structured(event), batch, to_binary(event))]
        assert [(answer["accepted"], answer["duplicate"]) for answer in answers] == [(1, 0), (0, 1), (0, 1)]
        assert counted() == (3, 1)

    def test_attributes(self, platform):
        event = self.event(
            tenant="t-1", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", shard="7"
        )
        self.post(platform, *to_binary(event))
        found = platform.query(
            f"SELECT tenant_ref, attributes->>'shard' FROM usage_event WHERE event_id = '{event['id']}'"
        )
        assert found == "t-1|7"


class TestAllAtOnce:
    """Clients of different makers push the same usage at the same moment: it counts once."""

    def test_one_identifier_space(self, platform, counted):
        ids = [new_id() for _ in range(30)]
        lago = LagoClient(api_key=platform.key, api_url=platform.server.url)

        def push(identifier):
            event = {"transaction_id": identifier, "external_subscription_id": "acct-1", "code": "api.call"}
            event |= {"timestamp": int(NOW.timestamp()), "properties": {"calls": 1}}
            return lago.events.create(LagoEvent(**event)).lago_id

        def post(identifier):
            time_text = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
            event = {"id": identifier, "type": "api.call", "subject": "acct-1", "time": time_text, "data": {"calls": 1}}
            return platform.post({"events": [event]}, "application/json")[0]

        with ThreadPoolExecutor(4) as pool:
            lago_ids, statuses = pool.map(push, ids), pool.map(post, ids)
            assert len(set(lago_ids)) == 30
            assert set(statuses) == {200}
        assert counted() == (30, 30)
