import ast
import json
from pathlib import Path

import jsonschema

from odoo.tests import tagged

from odoo.addons.usage_connector_base.contract import openapi, refusals
from odoo.addons.usage_connector_base.contract.questions import PARAMETERS, REQUIRED
from odoo.addons.usage_connector_base.ingestion import corrections, summaries
from odoo.addons.usage_connector_base.ingestion.envelope import MEDIA_TYPES
from odoo.addons.usage_connector_base.ingestion.facts import REJECTIONS
from odoo.addons.usage_connector_base.models.usage_ingestion import MESSAGES
from odoo.addons.usage_connector_base.models.usage_ingestion_summary import SUMMARY_MESSAGES

from .common import OUTCOMES
from .common_query import QueryCommon
from .test_bad_corrections import CORRECTIONS, SUMMARIES

ADDON = Path(__file__).parents[1]
CONTROLLERS = "odoo.addons.usage_connector_base.controllers"
ADDRESSES = ("/usage/", "/api/v1/events")


def refusal_calls():
    """(status, code) of every ``Refusal(status, code, …)`` in the addon's source."""
    for path in sorted(ADDON.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal" and len(node.args) > 1:
                status, code = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                    yield status.value, code.value


@tagged("post_install", "-at_install")
class TestOpenapi(QueryCommon):
    """The description is made from what the code works with, and says no less."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Without what other addons add, which their own tests look at.
        cls.document = openapi.document("https://odoo.example.com", "1", OUTCOMES, MESSAGES, SUMMARY_MESSAGES)

    def schema(self, name):
        """A schema of the description, with all that it refers to."""
        return {"$ref": f"#/components/schemas/{name}", "components": self.document["components"]}

    def assertConforms(self, name, content):
        jsonschema.Draft202012Validator(self.schema(name)).validate(content)

    def operations(self):
        return {
            (path, method): operation
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
        }

    def codes_of(self, operation):
        """Dict of status to the text that lists its codes."""
        return {int(status): response["description"] for status, response in operation["responses"].items()}

    def test_served_to_anyone(self):
        served = self.answer("/usage/v1/openapi.json", key="")
        self.assertEqual(served["openapi"], "3.1.0")
        self.assertEqual(served["servers"], [{"url": self.base_url().rstrip("/")}])
        self.assertGreaterEqual(served["paths"].keys(), self.document["paths"].keys())

    def is_ours(self, rule):
        """Whether a route is of this addon's controllers."""
        return rule.rule.startswith(ADDRESSES) and rule.endpoint.func.__module__.startswith(CONTROLLERS)

    def test_every_route_is_described(self):
        ours = [rule for rule in self.env["ir.http"].routing_map().iter_rules() if self.is_ours(rule)]
        routes = {(rule.rule, method.lower()) for rule in ours for method in rule.methods - {"OPTIONS", "HEAD"}}
        routes.discard(("/usage/v1/events//<path:event_id>", "get"))  # of ids that begin with a slash
        described = {(path.replace("{id}", "<path:event_id>"), method) for path, method in self.operations()}
        self.assertEqual(described, routes)

    def test_every_refusal_is_described(self):
        raised = {code: status for status, code in refusal_calls()}
        raised |= {"too_many_events": 413, "too_many_bytes": 413}  # through check_size
        self.assertEqual({code: status for code, (status, _text) in refusals.REFUSALS.items()}, raised)

    def test_every_refusal_belongs_to_a_route(self):
        told = "".join(text for operation in self.operations().values() for text in self.codes_of(operation).values())
        for code in refusals.REFUSALS:
            self.assertIn(f"`{code}`", told)

    def test_the_readme_names_every_route_refusal_and_parameter(self):
        readme = (ADDON / "readme/API.md").read_text()
        for name in (*refusals.REFUSALS, *PARAMETERS, *openapi.EVENT_STATES):
            self.assertIn(f"`{name}`", readme)
        for path in self.document["paths"]:
            folder = path.removesuffix("/api/v1/events").removesuffix("/api/v1/events/batch")
            self.assertIn(folder or path, readme)

    def test_examples_of_the_readme_conform(self):
        """The JSON of the README is what is taken, and what is answered."""
        blocks = (ADDON / "readme/API.md").read_text().split("```json\n")[1:]
        examples = [json.loads(block.partition("```")[0]) for block in blocks]
        for name, example in zip(("CloudEvent", "Correction", "Summary", "Event"), examples, strict=True):
            self.assertConforms(name, example)

    def test_every_code_of_an_event_is_described(self):
        for schema in ("Verdict", "Event"):
            described = self.document["components"]["schemas"][schema]["properties"]["code"]["description"]
            for code in (*REJECTIONS, *MESSAGES):
                self.assertIn(f"`{code}`", described)
        codes = self.document["components"]["schemas"]["Verdict"]["properties"]["code"]["enum"]
        self.assertEqual(set(codes), {*REJECTIONS, *MESSAGES})

    def test_every_code_of_corrections_and_summaries_is_described(self):
        """No code is answered that the description does not name: of all that each of them may be."""
        schemas = self.document["components"]["schemas"]
        codes = {
            name: set(schemas[name]["properties"]["code"]["enum"]) for name in ("CorrectionVerdict", "SummaryVerdict")
        }
        self.assertEqual(codes["CorrectionVerdict"], {*REJECTIONS, *MESSAGES, *corrections.REJECTIONS})
        self.assertLessEqual({*SUMMARY_MESSAGES, *summaries.REJECTIONS}, codes["SummaryVerdict"])
        for name, table in (("CorrectionVerdict", CORRECTIONS), ("SummaryVerdict", SUMMARIES)):
            self.assertLessEqual({bad.code for bad in table}, codes[name])
        readme = (ADDON / "readme/API.md").read_text()
        for code in (*SUMMARY_MESSAGES, *summaries.REJECTIONS, *corrections.REJECTIONS):
            self.assertIn(f"`{code}`", readme)

    def test_answers_to_corrections_and_summaries_conform(self):
        self.ingest([self.event("a"), self.event("b")])
        self.correct(self.void("v-1", "a"))
        answer = self.correct(
            self.void("v-1", "a"),
            self.void("v-1", "b"),
            self.amend("m-1", "b", subject="new"),
            7,
            self.void("v-2", "a"),
        )
        self.assertConforms("CorrectionJudgement", answer)
        self.assertEqual(len(answer["corrections"]), 5)
        answer = self.summarize(
            self.summary(1), self.summary(1), self.summary(2), self.summary(hours=2), self.summary(meter="new"), 7
        )
        self.assertConforms("SummaryJudgement", answer)
        self.assertEqual(len(answer["summaries"]), 6)
        self.summarize(self.summary(2, sequence=2))
        for event_id in ("a", "b", answer["summaries"][0]["id"], answer["summaries"][4]["id"]):
            self.assertConforms("Event", self.answer(f"/usage/v1/events/{event_id}"))

    def test_corrections_and_summaries_of_the_description_are_accepted(self):
        self.ingest([self.event("a")])
        for name, good, wrongs in (
            ("Correction", self.amend("m", "a", data={}, time=None), ({"id": ""}, {"action": "x"}, {"reason": ""})),
            ("Summary", self.summary(job="x"), ({"account": ""}, {"quantity": "1"}, {"sequence": -1}, {"start": 1})),
        ):
            self.assertConforms(name, good)
            for wrong in wrongs:
                with self.subTest(wrong), self.assertRaises(jsonschema.ValidationError):
                    self.assertConforms(name, {**good, **wrong})

    def test_media_types_and_parameters(self):
        post = self.document["paths"]["/usage/v1/events"]["post"]
        self.assertEqual(set(post["requestBody"]["content"]), set(MEDIA_TYPES))
        parameters = self.document["paths"]["/usage/v1/usage"]["get"]["parameters"]
        self.assertEqual([parameter["name"] for parameter in parameters], list(PARAMETERS))
        self.assertEqual({p["name"] for p in parameters if p["required"]}, set(REQUIRED))

    def test_keys(self):
        public = {path for (path, _method), operation in self.operations().items() if operation.get("security") == []}
        self.assertEqual(public, {"/usage/v1/health", "/usage/v1/openapi.json"})
        for (path, _method), operation in self.operations().items():
            self.assertEqual(401 in self.codes_of(operation), path not in public, path)

    def test_names_of_operations_are_unique(self):
        names = [operation["operationId"] for operation in self.operations().values()]
        self.assertEqual(len(names), len(set(names)))

    def test_every_schema_is_sound_and_used(self):
        schemas = self.document["components"]["schemas"]
        text = str(self.document)
        for name, schema in schemas.items():
            jsonschema.Draft202012Validator.check_schema(schema)
            self.assertIn(f"'#/components/schemas/{name}'", text, "nothing refers to it")

    def test_answers_conform(self):
        self.ingest([self.event("known")])
        events = [
            self.event("good"),
            self.event("known"),
            self.event("known", tokens=2),
            self.event("held", subject="new"),
            self.event("bad", tokens="x"),
            7,
        ]
        answer = self.post(events).json()
        self.assertConforms("Judgement", answer)
        self.assertEqual(len(answer["events"]), 5)
        self.fold()
        for event_id in ("good", "known", "held", "bad"):
            self.assertConforms("Event", self.answer(f"/usage/v1/events/{event_id}"))
        self.env.cr.execute("DELETE FROM usage_event WHERE event_id = 'good'")
        self.assertConforms("Event", self.answer("/usage/v1/events/good"))
        hour = self.hour.isoformat()
        usage = self.answer(
            f"/usage/v1/usage?meter=tokens&from={hour}Z&to={self.now.isoformat()}Z&group_by=model&limit=1"
        )
        self.assertTrue(usage["data"])
        self.assertConforms("Usage", usage)
        self.assertConforms("Health", self.answer("/usage/v1/health"))
        self.assertConforms("Error", self.get("/usage/v1/events/nothing").json())
        self.assertConforms("Error", self.post(b"no json").json())

    def test_events_of_the_description_are_accepted(self):
        event = self.event("e-1", tenant="t", subscription=None, user="u", region="kept")
        self.assertConforms("CloudEvent", event)
        self.assertConforms("Events", {"events": [event, event]})
        for wrong in (
            {"id": ""},
            {"id": 7},
            {"type": "x" * 256},
            {"subject": "a\0b"},
            {"data": []},
            {"specversion": "0.3"},
        ):
            with self.subTest(wrong), self.assertRaises(jsonschema.ValidationError):
                self.assertConforms("CloudEvent", {**event, **wrong})

    def test_quantities(self):
        validator = jsonschema.Draft202012Validator(openapi.DECIMAL)
        for text in ("0", "12", "0.000000000000000001", "-3.5", "999999999999999999.9"):
            validator.validate(text)
        for text in ("", "1e5", "1.", ".5", "NaN", "1,5", 5):
            self.assertFalse(validator.is_valid(text), text)

    def test_an_addon_describes_more(self):
        query = self.env.registry["usage.query"]
        original = query._openapi

        def described(self, url):
            document = original(self, url)
            document["components"]["schemas"]["Event"]["properties"]["charges"] = {"type": "array"}
            return document

        self.patch(query, "_openapi", described)
        served = self.answer("/usage/v1/openapi.json", key="")
        self.assertIn("charges", served["components"]["schemas"]["Event"]["properties"])

    def test_two_descriptions_share_nothing(self):
        """What an addon adds to one is not in the next."""
        self.document["components"]["schemas"]["Event"]["properties"]["charges"] = {}
        fresh = self.env["usage.query"]._openapi("https://odoo.example.com")
        self.assertNotIn("charges", fresh["components"]["schemas"]["Event"]["properties"])
        self.assertEqual(
            set(self.document["components"]["schemas"]["Judgement"]["properties"]) - set(OUTCOMES), {"batch", "events"}
        )
