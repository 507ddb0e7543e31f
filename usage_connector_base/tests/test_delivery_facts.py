from unittest.mock import patch

from odoo.tests import tagged

from ..models import usage_exception_delivery
from ..models.usage_exception import exception_digest
from .common_delivery import DeliveryCase

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class FactCase(DeliveryCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.partner = cls.env["res.partner"].create({"name": "Acme", "ref": "C-1"})
        cls.other_partner = cls.env["res.partner"].create({"name": "Globex"})

    def make_account(self, external_id="acme", **values):
        return self.env["usage.account"].create({"source_id": self.source.id, "external_id": external_id, **values})

    def told(self, event_type):
        """The data of the messages of a type that wait, the oldest first."""
        deliveries = self.env["usage.delivery"].search([("event_type", "=", event_type)], order="id")
        self.env.flush_all()
        return [self.data_of(delivery) for delivery in deliveries]

    def data_of(self, delivery):
        self.env.cr.execute("SELECT payload::json->'data' FROM usage_delivery WHERE id = %s", [delivery.id])
        return self.env.cr.fetchone()[0]


@tagged("post_install", "-at_install")
class TestAccountMapped(FactCase):
    def setUp(self):
        super().setUp()
        self.make_endpoint(types=["usage.account.mapped"])

    def test_mapping(self):
        account = self.make_account(name="Acme Inc.")
        self.assertFalse(self.told("usage.account.mapped"))
        account.with_user(self.users["operator"]).partner_id = self.partner
        [data] = self.told("usage.account.mapped")
        self.assertEqual(
            data,
            {
                "account": {"id": account.id, "external_id": "acme", "name": "Acme Inc."},
                "source": "cloud",
                "customer": {"id": self.partner.id, "name": "Acme", "reference": "C-1"},
                "previous_customer": None,
                "changed_by": self.users["operator"].name,
            },
        )

    def test_mapping_to_another_customer_and_to_none(self):
        account = self.make_account(partner_id=self.partner.id)
        account.partner_id = self.other_partner
        account.partner_id = False
        customers = [(data["previous_customer"], data["customer"]) for data in self.told("usage.account.mapped")]
        names = [tuple(customer and customer["name"] for customer in pair) for pair in customers]
        self.assertEqual(names, [(None, "Acme"), ("Acme", "Globex"), ("Globex", None)])

    def test_what_changes_nothing_is_not_told(self):
        account = self.make_account(partner_id=self.partner.id)
        account.partner_id = self.partner
        account.name = "Other"
        self.assertEqual(len(self.told("usage.account.mapped")), 1)

    def test_many_at_once(self):
        accounts = self.make_account("a") + self.make_account("b") + self.make_account("c")
        accounts.partner_id = self.partner
        told = {data["account"]["external_id"] for data in self.told("usage.account.mapped")}
        self.assertEqual(told, {"a", "b", "c"})

    def test_other_companies_are_not_told(self):
        source = self.env["usage.source"].create({"name": "S", "code": "s", "company_id": self.other_company.id})
        account = self.env["usage.account"].create({"source_id": source.id, "external_id": "x"})
        account.partner_id = self.partner
        self.assertFalse(self.told("usage.account.mapped"))

    def test_rolled_back_with_the_mapping(self):
        account = self.make_account()
        with self.assertRaises(ZeroDivisionError), self.env.cr.savepoint():
            account.partner_id = self.partner
            raise ZeroDivisionError
        self.assertFalse(self.told("usage.account.mapped"))

    def test_arrives(self):
        endpoint = self.env["usage.endpoint"].search([("company_id", "=", self.company.id)])
        self.make_account(partner_id=self.partner.id)
        [message] = self.delivered(endpoint)
        self.assertEqual(message["type"], "usage.account.mapped")
        self.assertEqual(message["data"]["customer"]["name"], "Acme")


@tagged("post_install", "-at_install")
class TestExceptionsAnnounced(FactCase):
    def setUp(self):
        super().setUp()
        with self.enter_registry_test_mode():
            self.env["usage.exception"]._cron_announce()  # whatever the database has
        self.make_endpoint(types=["usage.exception.opened", "usage.exception.settled"])

    def record(self, *references, reason="value_missing", **values):
        """Exceptions as ingestion records them."""
        self.env["usage.exception"]._record(
            [
                {
                    "source_id": self.source.id,
                    "company_id": self.company.id,
                    "reason": reason,
                    "digest": exception_digest(reference),
                    "event_ref": reference,
                    "event_type": "tokens",
                    "message": "It lacks a value.",
                    "payload": '{"secret": "of the customer"}',
                    **values,
                }
                for reference in references
            ]
        )
        return self.env["usage.exception"].search([("event_ref", "in", references)], order="id")

    def announce(self):
        self.env.flush_all()
        with self.enter_registry_test_mode():
            return self.env["usage.exception"]._cron_announce()

    def make_batch(self, correlation_id):
        self.env.cr.execute(
            "INSERT INTO usage_batch (source_id, company_id, received_at, correlation_id) "
            "VALUES (%s, %s, now(), %s) RETURNING id",
            [self.source.id, self.company.id, correlation_id],
        )
        return self.env.cr.fetchone()[0]

    def test_opened(self):
        [exception] = self.record("e-1")
        self.assertFalse(self.told("usage.exception.opened"), "not where events are taken in")
        self.assertEqual(self.announce(), 1)
        [data] = self.told("usage.exception.opened")
        [named] = data.pop("exceptions")
        self.assertEqual(
            data,
            {"source": "cloud", "reason": "value_missing", "category": "operational", "state": "open", "count": 1},
        )
        self.assertEqual(
            (named["id"], named["event_id"], named["event_type"], named["message"]),
            (exception.id, "e-1", "tokens", "It lacks a value."),
        )
        self.assertRegex(named["first_seen"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_payload_of_the_event_is_not_told(self):
        self.record("e-1")
        self.announce()
        [delivery] = self.env["usage.delivery"].search([("event_type", "=", "usage.exception.opened")])
        self.assertNotIn("of the customer", delivery.payload)

    def test_told_once(self):
        self.record("e-1")
        self.announce()
        self.record("e-1")  # again: counted on the open one
        self.assertEqual(self.announce(), 0)
        self.assertEqual(len(self.told("usage.exception.opened")), 1)

    def test_a_flood_is_one_message(self):
        self.record(*(f"e-{index}" for index in range(150)))
        self.announce()
        [data] = self.told("usage.exception.opened")
        self.assertEqual(data["count"], 150)
        self.assertEqual(len(data["exceptions"]), usage_exception_delivery.MAX_NAMED)

    def test_reasons_are_told_apart(self):
        self.record("e-1", "e-2")
        self.record("e-3", reason="conflict")
        self.announce()
        told = {data["reason"]: (data["category"], data["count"]) for data in self.told("usage.exception.opened")}
        self.assertEqual(told, {"value_missing": ("operational", 2), "conflict": ("business", 1)})

    def test_in_portions(self):
        self.record(*(f"e-{index}" for index in range(7)))
        with patch.object(usage_exception_delivery, "ANNOUNCE_LIMIT", 3):
            self.assertEqual(self.announce(), 7)
        self.assertEqual([data["count"] for data in self.told("usage.exception.opened")], [3, 3, 1])

    def test_settled(self):
        exceptions = self.record("e-1", "e-2")
        self.announce()
        exceptions.action_ignore()
        self.announce()
        [data] = self.told("usage.exception.settled")
        self.assertEqual((data["state"], data["count"]), ("ignored", 2))
        self.assertEqual(data["exceptions"][0]["resolution"], "Ignored")

    def test_reopened(self):
        exceptions = self.record("e-1")
        self.announce()
        exceptions.action_ignore()
        self.announce()
        exceptions.action_reopen()
        self.announce()
        self.assertEqual(len(self.told("usage.exception.opened")), 2)

    def test_settled_before_anyone_was_told(self):
        self.record("e-1").action_ignore()
        self.assertEqual(self.announce(), 1)
        self.assertFalse(self.told("usage.exception.opened") + self.told("usage.exception.settled"))
        self.assertEqual(self.announce(), 0)

    def test_unmapped_account(self):
        account = self.make_account()
        self.announce()
        [data] = self.told("usage.exception.opened")
        self.assertEqual((data["reason"], data["exceptions"][0]["account"]), ("account_unmapped", "acme"))
        account.partner_id = self.partner
        self.announce()
        [data] = self.told("usage.exception.settled")
        self.assertEqual(data["state"], "resolved")
        self.assertIn("Acme", data["exceptions"][0]["resolution"])

    def test_correlation_of_the_request(self):
        self.record("e-1", "e-2", batch_id=self.make_batch("order-17"))
        self.announce()
        [delivery] = self.env["usage.delivery"].search([("event_type", "=", "usage.exception.opened")])
        self.assertEqual((delivery.correlation_id, delivery.traceparent), ("order-17", False))

    def test_trace_of_the_request(self):
        self.record("e-1", batch_id=self.make_batch(TRACE))
        self.announce()
        [delivery] = self.env["usage.delivery"].search([("event_type", "=", "usage.exception.opened")])
        self.assertEqual(delivery.traceparent, TRACE)

    def test_correlation_of_several_requests(self):
        self.record("e-1", batch_id=self.make_batch("order-17"))
        self.record("e-2", batch_id=self.make_batch("order-18"))
        self.announce()
        [delivery] = self.env["usage.delivery"].search([("event_type", "=", "usage.exception.opened")])
        self.assertFalse(delivery.correlation_id)
        [data] = self.told("usage.exception.opened")
        self.assertEqual([named["correlation_id"] for named in data["exceptions"]], ["order-17", "order-18"])

    def test_marked_although_nobody_subscribed(self):
        """An endpoint that is added later is not flooded with what happened before."""
        self.env["usage.endpoint"].search([("company_id", "=", self.company.id)]).active = False
        self.record("e-1")
        self.assertEqual(self.announce(), 1)
        self.make_endpoint(types=["usage.exception.opened"])
        self.assertEqual(self.announce(), 0)
        self.assertFalse(self.told("usage.exception.opened"))

    def test_the_job_tells(self):
        self.record("e-1")
        with self.enter_registry_test_mode():
            self.assertIs(self.env.ref("usage_connector_base.cron_announce_exceptions").method_direct_trigger(), True)
        self.deliver()
        [received] = self.receiver.received
        self.assertEqual(received.message["type"], "usage.exception.opened")
