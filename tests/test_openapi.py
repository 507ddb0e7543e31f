"""The OpenAPI description: valid, and true of a real server whatever is sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness import product
from scenario.story import Customer, Meter

PATH = "/usage/v1/openapi.json"
METERS = (
    Meter("calls", "API Calls", "api.call", "call", "sum", "calls", "region"),
    Meter("logins", "Logins", "login", "login", "count"),
)
CUSTOMERS = (Customer("Customer 1", "c1@example.com", "", ("acct-1",)),)

# What a schema cannot say: events are judged one by one, so that a malformed one is answered 200
# with its code where a schema knows only good and bad requests; a sound one may be too old, a range
# may end before it begins, a cursor belongs to an answer.
NOT_OF_A_SCHEMA = "positive_data_acceptance,negative_data_rejection"


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "usage_test_openapi", ["usage_connector_base"]) as running:
        running.stage.create_meters(METERS)
        running.stage.create_customers(CUSTOMERS)
        running.send([running.event(id="known", data={"calls": 1, "region": "eu"})])
        running.post([running.event(id="bad", data={"calls": "x"})])
        running.wait_counted()
        yield running


@pytest.fixture(scope="module")
def description(platform):
    with urlopen(f"{platform.server.url}{PATH}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("application/json")
        return json.load(response)


def test_it_is_valid(description):
    OpenAPIV31SpecValidator(description).validate()


def test_it_names_this_server(platform, description):
    assert description["servers"] == [{"url": platform.server.url}]


def test_it_describes_every_way_in(description):
    events = description["paths"]["/usage/v1/events"]["post"]
    assert list(events["requestBody"]["content"]) == [
        "application/cloudevents-batch+json",
        "application/cloudevents+json",
        "application/json",
    ]
    assert {"200", "400", "401", "403", "413", "415"} <= set(events["responses"])


def with_what_there_is(description):
    """The description, with ids and meters that exist, so that answers hold something."""
    paths = json.loads(json.dumps(description["paths"]))
    paths["/usage/v1/events/{id}"]["get"]["parameters"][0]["schema"]["examples"] = ["known", "bad", "nothing"]
    components = json.loads(json.dumps(description["components"]))
    components["schemas"]["Correction"]["properties"]["event"]["examples"] = ["known", "nothing"]
    summary = components["schemas"]["Summary"]["properties"]
    summary["account"]["examples"], summary["meter"]["examples"] = ["acct-1", "nobody"], ["calls", "nothing"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in paths["/usage/v1/usage"]["get"]["parameters"]}
    schemas["meter"]["enum"] = ["calls", "nothing"]
    schemas["from"]["enum"] = ["2026-05-01", "2026-05-04T10:10:00Z"]
    schemas["to"]["enum"] = ["2026-05-05", "2026-06-01"]
    schemas["tz"]["enum"] = ["UTC", "Asia/Kolkata"]
    schemas["group_by"]["enum"] = ["", "region", "nothing"]
    schemas["account"]["enum"] = ["acct-1", "nobody"]
    return {**description, "paths": paths, "components": components}


def test_a_real_server_answers_as_described(platform, description, tmp_path):
    """Statuses, media types and schemas of all answers, that keys are asked for, other methods refused."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(with_what_there_is(description)))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", str(file), "--url", platform.server.url, "--header", f"Authorization: Bearer {platform.key}"),
            *("--exclude-checks", NOT_OF_A_SCHEMA, "--max-examples", "10"),
            *("--exclude-path", "/api/v1/events/batch"),  # the same as Lago's own
            *("--seed", "19", "--no-shrink", "--continue-on-failure", "--no-color"),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    print(done.stdout[-5000:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def test_what_was_tried_is_accounted_for(platform):
    """After all of that: what was accepted is stored, nothing else is, and the server goes on counting."""
    kinds = "kind = 'events' OR kind = 'summaries'"
    stored = int(
        platform.query(f"SELECT count(*) FROM usage_event e JOIN usage_batch b ON b.id = e.batch_id WHERE {kinds}")
    )
    accepted = int(platform.query(f"SELECT sum(accepted_count + quarantined_count) FROM usage_batch WHERE {kinds}"))
    assert stored == accepted > 1
    corrected = int(platform.query("SELECT count(*) FROM usage_correction WHERE action <> 'replace'"))
    kept = "SELECT coalesce(sum(accepted_count + quarantined_count), 0) FROM usage_batch WHERE kind = 'corrections'"
    assert corrected == int(platform.query(kept))
    before = platform.quantity("calls")
    assert platform.post([platform.event()])[1]["accepted"] == 1
    assert platform.quantity("calls") == (before[0] + 2, before[1] + 1)


def test_no_request_failed_inside(platform):
    """Nothing that was tried left a traceback in the server's log."""
    assert "Traceback" not in platform.server.log_path.read_text(errors="replace")


def test_other_methods_are_refused(platform, description):
    for path in description["paths"]:
        with pytest.raises(HTTPError) as error:
            urlopen(
                f"{platform.server.url}{path}".replace("{id}", "known"),
                data=None if "post" in description["paths"][path] else b"",
            )
        assert error.value.code == 405
        assert error.value.headers["Allow"]
