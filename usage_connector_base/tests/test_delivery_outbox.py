from datetime import timedelta
from unittest.mock import patch

from psycopg2 import IntegrityError
from standardwebhooks import Webhook

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..delivery import transport
from ..models.usage_delivery import UsageDelivery
from .common_delivery import DeliveryCase, Receiver

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MODELS = "odoo.addons.usage_connector_base.models"


@tagged("post_install", "-at_install")
class TestOutbox(DeliveryCase):
    def test_told_are_those_who_subscribed(self):
        endpoint = self.make_endpoint(types=["usage.account.mapped", "usage.exception.opened"])
        self.make_endpoint(types=["usage.exception.opened"])
        self.make_endpoint(company_id=self.other_company.id)
        deliveries = self.enqueue()
        self.assertEqual(deliveries.endpoint_id, endpoint)
        self.assertEqual((deliveries.state, deliveries.company_id), ("pending", self.company))

    def test_every_subscriber_gets_a_message_of_its_own(self):
        endpoints = self.make_endpoint() + self.make_endpoint()
        deliveries = self.enqueue(2)
        self.assertEqual(len(deliveries), 4)
        self.assertEqual(deliveries.endpoint_id, endpoints)
        self.assertEqual(len(set(deliveries.mapped("webhook_id"))), 4)

    def test_nobody_subscribed(self):
        self.assertFalse(self.enqueue())

    def test_unknown_type_is_the_programmers_mistake(self):
        with self.assertRaisesRegex(ValueError, "usage.delivery.type"):
            self.enqueue(event_type="no.such.type")

    def test_floats_are_the_programmers_mistake(self):
        self.make_endpoint()
        with self.assertRaises(TypeError):
            self.env["usage.delivery"]._enqueue("usage.account.mapped", {"amount": 0.1}, self.company)

    def test_waking_the_job(self):
        cron = self.env.ref("usage_connector_base.cron_deliver")
        triggers = self.env["ir.cron.trigger"]
        before = triggers.search_count([("cron_id", "=", cron.id)])
        self.enqueue()
        self.assertEqual(triggers.search_count([("cron_id", "=", cron.id)]), before, "nothing to send")
        self.make_endpoint()
        self.enqueue(5)
        self.assertEqual(triggers.search_count([("cron_id", "=", cron.id)]), before + 1)

    def test_gone_with_the_fact_that_is_rolled_back(self):
        self.make_endpoint()
        before = self.env["usage.delivery"].search_count([])
        with self.assertRaises(ZeroDivisionError), self.env.cr.savepoint():
            self.enqueue()
            raise ZeroDivisionError
        self.assertEqual(self.env["usage.delivery"].search_count([]), before)

    def test_anyone_may_cause_a_message(self):
        self.make_endpoint()
        deliveries = self.env["usage.delivery"].with_user(self.outsider)
        self.assertTrue(deliveries._enqueue("usage.account.mapped", {"n": 1}, self.company))

    def test_message_is_never_edited(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        for name in ("payload", "webhook_id", "event_type", "endpoint_id", "correlation_id", "traceparent"):
            with self.subTest(name), self.assertRaisesRegex(UserError, "never edited"):
                delivery.write({name: False})

    @mute_logger("odoo.sql_db")
    def test_message_id_is_unique(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            delivery.copy({"webhook_id": delivery.webhook_id, "give_up_at": delivery.give_up_at})

    def test_indexes_exist(self):
        self.env.cr.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'usage_delivery'")
        indexes = {name for [name] in self.env.cr.fetchall()}
        self.assertLessEqual({"usage_delivery_due", "usage_delivery_dead", "usage_delivery_webhook_id_uniq"}, indexes)


@tagged("post_install", "-at_install")
class TestSending(DeliveryCase):
    def test_delivered(self):
        endpoint = self.make_endpoint()
        [delivery] = self.enqueue()
        [message] = self.delivered(endpoint)
        self.assertEqual(
            message, {"type": "usage.account.mapped", "timestamp": message["timestamp"], "data": {"number": 0}}
        )
        self.assertEqual((delivery.state, delivery.last_status, delivery.last_error), ("delivered", 200, False))
        self.assertTrue(delivery.delivered_at)
        self.assertFalse(delivery.next_attempt_at)
        self.assertEqual(endpoint.failure_count, 0)

    def test_headers(self):
        self.make_endpoint()
        [delivery] = self.enqueue(correlation_id="order-17", traceparent=TRACE)
        self.deliver()
        headers = self.receiver.received[0].headers
        self.assertEqual(headers["webhook-id"], delivery.webhook_id)
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(headers["x-correlation-id"], "order-17")
        self.assertEqual(headers["traceparent"], TRACE)
        self.assertEqual(self.receiver.received[0].body, delivery.payload, "to the byte")

    def test_headers_that_cannot_be_passed_on_are_left_out(self):
        self.make_endpoint()
        self.enqueue(correlation_id="\r\n", traceparent="00-bad")
        self.deliver()
        headers = self.receiver.received[0].headers
        self.assertNotIn("x-correlation-id", headers)
        self.assertNotIn("traceparent", headers)

    def test_attempts_are_on_record(self):
        self.make_endpoint()
        self.receiver.answers = [(503, {}, "come back later")]
        [delivery] = self.enqueue()
        with freeze_time("2026-05-01 10:00:00"):
            delivery.next_attempt_at = fields.Datetime.now()
            self.deliver()
        [attempt] = delivery.attempt_ids
        self.assertEqual((attempt.status_code, attempt.response), (503, "come back later"))
        self.assertEqual(attempt.error, "The receiver answered 503.")
        self.assertEqual(attempt.attempted_at, fields.Datetime.to_datetime("2026-05-01 10:00:00"))
        self.assertEqual((attempt.address, attempt.company_id), ("127.0.0.1", self.company))
        self.assertGreaterEqual(attempt.duration_ms, 0)
        for change in (lambda: attempt.write({"error": "nothing"}), attempt.unlink):
            with self.assertRaises(UserError):
                change()

    def test_one_endpoint_does_not_keep_another_waiting(self):
        """Endpoints take turns; what one cannot take, the other gets all the same."""
        with Receiver(*[500] * 9) as broken:
            first = self.make_endpoint(receiver=broken)
            second = self.make_endpoint()
            self.enqueue(4)
            due = self.env["usage.delivery"]._due_ids(fields.Datetime.now(), 100)
            turns = [delivery.endpoint_id for delivery in self.env["usage.delivery"].browse(due)]
            self.assertEqual(turns, [first, second] * 4)
            self.deliver()
        self.assertEqual(len(self.receiver.received), 4)
        self.assertEqual(len(broken.received), 4)

    def test_due_is_bounded(self):
        self.make_endpoint()
        self.make_endpoint()
        self.enqueue(5)
        self.assertEqual(len(self.env["usage.delivery"]._due_ids(fields.Datetime.now(), limit=3)), 3)

    def test_more_than_one_run_takes_up(self):
        self.make_endpoint()
        self.enqueue(7)
        with patch(f"{MODELS}.usage_delivery.SEND_LIMIT", 3):
            self.deliver()
        self.assertEqual(len(set(self.receiver.ids)), 7)

    def test_paused_endpoints_wait(self):
        endpoint = self.make_endpoint()
        endpoint.action_pause()
        [delivery] = self.enqueue()
        with freeze_time(fields.Datetime.now() + timedelta(days=30)):
            self.deliver()
            self.assertEqual(delivery.state, "pending", "nothing is given up while it waits for a person")
            self.assertFalse(self.receiver.received)
            endpoint.action_start()
            self.assertEqual(delivery.give_up_at, fields.Datetime.now() + timedelta(hours=72))
            self.deliver()
        self.assertEqual(delivery.state, "delivered")

    def test_new_url_is_used_for_what_waits(self):
        endpoint = self.make_endpoint()
        self.enqueue()
        with Receiver() as moved:
            endpoint.url = moved.url
            self.deliver()
            self.assertEqual(len(moved.received), 1)

    def test_what_cannot_be_handled_does_not_stop_the_others(self):
        self.make_endpoint()
        deliveries = self.enqueue(3)
        poison = deliveries[1]
        real = UsageDelivery._post

        def post(delivery):
            if delivery.id == poison.id:
                raise ZeroDivisionError
            return real(delivery)

        with patch.object(UsageDelivery, "_post", post), self.assertLogs(f"{MODELS}.usage_delivery", "ERROR") as logs:
            self.deliver()
        self.assertIn("could not be handled", logs.output[0])
        self.assertEqual((deliveries - poison).mapped("state"), ["delivered"] * 2)
        self.assertEqual((poison.state, poison.failure_count), ("pending", 1))
        self.assertGreater(poison.next_attempt_at, fields.Datetime.now())

    def test_without_a_secret_nothing_is_sent(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        self.env.cr.execute("DELETE FROM usage_endpoint_secret")
        self.deliver()
        self.assertFalse(self.receiver.received)
        self.assertIn("no secret", delivery.last_error)

    def test_logs_hold_neither_secrets_nor_messages(self):
        self.make_endpoint()
        self.receiver.answers = [500]
        [delivery] = self.enqueue()
        with self.assertLogs("odoo", "DEBUG") as logs, mute_logger("odoo.sql_db"):
            self.deliver()
        text = "\n".join(logs.output)
        self.assertNotIn(self.secret, text)
        self.assertNotIn(delivery.payload, text)
        self.assertNotIn(self.receiver.received[0].headers["webhook-signature"], text)


@tagged("post_install", "-at_install")
class TestRetries(DeliveryCase):
    def setUp(self):
        super().setUp()
        self.clock = self.enterContext(freeze_time("2026-05-01 10:00:00"))
        self.now = fields.Datetime.now()

    def at(self, moment):
        """Let it be later."""
        self.clock.move_to(moment)

    def test_tried_again_with_the_same_id_and_a_new_signature(self):
        endpoint = self.make_endpoint()
        self.receiver.answers = [500, 500]
        [delivery] = self.enqueue()
        for attempt in (1, 2, 3):
            self.deliver()
            self.assertEqual(delivery.attempt_count, attempt)
            self.deliver()
            self.assertEqual(delivery.attempt_count, attempt, "not before its time")
            if delivery.state == "pending":
                self.at(delivery.next_attempt_at)
        self.assertEqual(delivery.state, "delivered")
        self.assertEqual(len(set(self.receiver.ids)), 1)
        timestamps = [received.headers["webhook-timestamp"] for received in self.receiver.received]
        self.assertEqual(len(set(timestamps)), 3)
        Webhook(self.secret).verify(self.receiver.received[-1].body, self.receiver.received[-1].headers)
        self.assertEqual(endpoint.failure_count, 0)

    def test_waits_grow_within_their_bounds(self):
        self.make_endpoint(failure_limit=100)
        self.receiver.answers = [500] * 5
        [delivery] = self.enqueue()
        for longest in (30, 60, 120, 240, 480):
            self.deliver()
            waited = (delivery.next_attempt_at - fields.Datetime.now()).total_seconds()
            self.assertTrue(longest / 2 <= waited <= longest, (longest, waited))
            self.at(delivery.next_attempt_at)

    def test_given_up_after_72_hours(self):
        endpoint = self.make_endpoint(failure_limit=1000)
        self.receiver.answers = [500] * 100
        [delivery] = self.enqueue()
        attempts = 0
        while delivery.state == "pending":
            self.at(delivery.next_attempt_at)
            self.deliver()
            attempts += 1
        self.assertEqual(delivery.state, "dead")
        self.assertEqual(fields.Datetime.now() - self.now, timedelta(hours=72))
        self.assertEqual((delivery.attempt_count, len(self.receiver.received)), (attempts, attempts))
        self.assertTrue(15 <= attempts <= 40)
        [activity] = endpoint.activity_ids
        self.assertEqual(
            activity.activity_type_id, self.env.ref("usage_connector_base.mail_activity_type_dead_letters")
        )
        self.assertEqual(activity.user_id, self.users["admin"])
        self.assertIn("The receiver answered 500.", activity.note)

    def test_server_that_was_off_tries_before_it_gives_up(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        self.at(self.now + timedelta(days=10))
        self.deliver()
        self.assertEqual(delivery.state, "delivered")

    def test_one_activity_for_many_dead_letters(self):
        endpoint = self.make_endpoint(failure_limit=1000)
        self.receiver.answers = [500] * 3
        deliveries = self.enqueue(3)
        deliveries.give_up_at = self.now
        self.deliver()
        self.assertEqual(deliveries.mapped("state"), ["dead"] * 3)
        self.assertEqual(len(endpoint.activity_ids), 1)

    def test_receiver_may_ask_for_more_time(self):
        self.make_endpoint()
        self.receiver.answers = [(429, {"Retry-After": "7200"}, ""), (503, {"Retry-After": "9999999"}, "")]
        [delivery] = self.enqueue()
        self.deliver()
        self.assertEqual(delivery.next_attempt_at, self.now + timedelta(hours=2))
        self.at(delivery.next_attempt_at)
        self.deliver()
        self.assertEqual(delivery.next_attempt_at, delivery.give_up_at, "but not for more than there is")

    # -- replay -----------------------------------------------------------------------------

    def dead(self, number=1):
        deliveries = self.enqueue(number)
        deliveries.write({"state": "dead", "next_attempt_at": False, "failure_count": 20})
        return deliveries

    def test_replay_one(self):
        self.make_endpoint()
        [delivery] = self.dead()
        self.at(self.now + timedelta(days=7))
        delivery.with_user(self.users["operator"]).action_replay()
        self.assertEqual((delivery.state, delivery.failure_count), ("pending", 0))
        self.assertEqual(delivery.give_up_at, fields.Datetime.now() + timedelta(hours=72))
        self.assertEqual(
            (delivery.replayed_by_id, delivery.replayed_at), (self.users["operator"], fields.Datetime.now())
        )
        self.deliver()
        self.assertEqual(delivery.state, "delivered")
        self.assertEqual(self.receiver.ids, [delivery.webhook_id])

    def test_replay_all_of_an_endpoint(self):
        endpoint = self.make_endpoint()
        deliveries = self.dead(3)
        waiting = self.enqueue()
        endpoint.with_user(self.users["operator"]).action_replay_dead()
        self.assertEqual(deliveries.mapped("state"), ["pending"] * 3)
        self.assertFalse(waiting.replayed_by_id)
        self.deliver()
        self.assertEqual(len(self.receiver.received), 4)

    def test_replay_what_was_delivered(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        self.deliver()
        delivery.action_replay()
        self.assertFalse(delivery.delivered_at)
        self.deliver()
        self.assertEqual(self.receiver.ids, [delivery.webhook_id] * 2)
        self.assertEqual(delivery.attempt_count, 2)

    def test_send_now_what_waits(self):
        self.make_endpoint()
        self.receiver.answers = [500]
        [delivery] = self.enqueue()
        self.deliver()
        delivery.action_replay()
        self.deliver()
        self.assertEqual(delivery.state, "delivered")

    # -- retention --------------------------------------------------------------------------

    def test_retention(self):
        self.make_endpoint()
        delivered = self.enqueue()
        self.deliver()
        dead, waiting = self.dead(), self.enqueue()
        attempts = delivered.attempt_ids
        deliveries = self.env["usage.delivery"]
        self.at(self.now + timedelta(days=89))
        self.assertEqual(deliveries._gc_delivered(), (0, False))
        self.at(self.now + timedelta(days=91))
        self.assertEqual(deliveries._gc_delivered(), (1, False))
        self.assertFalse(delivered.exists() or attempts.exists())
        self.assertTrue(dead.exists() and waiting.exists())

    def test_retention_is_a_setting(self):
        self.make_endpoint()
        self.enqueue()
        self.deliver()
        self.env["ir.config_parameter"].set_param("usage.delivery_keep_days", "10")
        self.at(self.now + timedelta(days=11))
        self.assertEqual(self.env["usage.delivery"]._gc_delivered(), (1, False))


@tagged("post_install", "-at_install")
class TestCircuit(DeliveryCase):
    def setUp(self):
        super().setUp()
        self.clock = self.enterContext(freeze_time("2026-05-01 10:00:00"))
        self.now = fields.Datetime.now()

    def later(self, **delta):
        self.clock.move_to(fields.Datetime.now() + timedelta(**delta))

    def broken(self, waiting=8, **values):
        """An endpoint whose circuit has just opened, and its messages."""
        endpoint = self.make_endpoint(failure_limit=3, **values)
        self.receiver.answers = [500] * 3
        deliveries = self.enqueue(waiting)
        self.deliver()
        self.assertEqual(endpoint.state, "broken")
        return endpoint, deliveries

    def test_opens_and_leaves_the_receiver_alone(self):
        endpoint, deliveries = self.broken()
        self.assertEqual(len(self.receiver.received), 3)
        self.assertEqual(endpoint.open_until, self.now + timedelta(minutes=5))
        self.assertEqual(sum(deliveries.mapped("attempt_count")), 3)
        self.later(minutes=4)
        self.deliver()
        self.assertEqual(len(self.receiver.received), 3)

    def test_owner_is_told_once(self):
        endpoint, _deliveries = self.broken()
        activity_type = self.env.ref("usage_connector_base.mail_activity_type_endpoint_broken")
        [activity] = endpoint.activity_ids
        self.assertEqual((activity.activity_type_id, activity.user_id), (activity_type, self.users["admin"]))
        self.assertIn("The receiver answered 500.", activity.note)
        self.receiver.answers = [500]
        self.later(minutes=5)
        self.deliver()
        self.assertEqual(endpoint.activity_ids, activity)

    def test_success_in_between_starts_the_count_anew(self):
        endpoint = self.make_endpoint(failure_limit=3)
        self.receiver.answers = [500, 500, 200, 500, 500]
        self.enqueue(5)
        self.deliver()
        self.assertEqual((endpoint.state, endpoint.failure_count), ("active", 2))

    def test_probe_that_is_taken_closes_it(self):
        endpoint, deliveries = self.broken()
        self.later(minutes=5)
        self.deliver()
        self.assertEqual((endpoint.state, endpoint.failure_count, endpoint.open_until), ("active", 0, False))
        self.assertFalse(endpoint.activity_ids)
        self.deliver()
        self.assertEqual(set(deliveries.mapped("state")), {"delivered"}, "the others follow")

    def test_probe_that_fails_waits_longer(self):
        endpoint, _deliveries = self.broken()
        for probe, minutes in ((1, 10), (2, 20), (3, 40), (4, 60), (5, 60)):
            self.clock.move_to(endpoint.open_until)
            self.receiver.answers = [500]
            self.deliver()
            self.assertEqual(len(self.receiver.received), 3 + probe, "one message, not all")
            self.assertEqual(endpoint.open_until - fields.Datetime.now(), timedelta(minutes=minutes))
            self.assertEqual(endpoint.state, "broken")

    def test_probe_is_claimed_once(self):
        """A second job, or the same one after it was killed, does not probe again before the cool-down."""
        endpoint, _deliveries = self.broken()
        self.later(minutes=5)
        now = fields.Datetime.now()
        self.assertEqual(len(self.env["usage.endpoint"]._claim_probes(now)), 1)
        self.assertFalse(self.env["usage.endpoint"]._claim_probes(now))
        endpoint.invalidate_recordset()
        self.assertEqual(endpoint.open_until, now + timedelta(minutes=5))

    def test_nothing_due_is_no_probe(self):
        endpoint, deliveries = self.broken(waiting=3)
        deliveries.next_attempt_at = self.now + timedelta(hours=1)
        self.env.flush_all()
        self.later(minutes=6)
        self.assertFalse(self.env["usage.endpoint"]._claim_probes(fields.Datetime.now()))
        endpoint.invalidate_recordset()
        self.assertEqual(endpoint.open_until, self.now + timedelta(minutes=5))

    def test_what_waits_behind_it_is_given_up_in_time(self):
        endpoint, deliveries = self.broken(waiting=5)
        for _hour in range(100):
            self.receiver.answers = [500]
            self.later(hours=1)
            self.deliver()
        self.assertEqual(set(deliveries.mapped("state")), {"dead"})
        self.assertEqual(len(endpoint.activity_ids), 2, "one that it is broken, one that messages were given up")

    def test_starting_closes_it(self):
        endpoint, deliveries = self.broken()
        endpoint.with_user(self.users["admin"]).action_start()
        self.assertEqual((endpoint.state, endpoint.failure_count, endpoint.open_until), ("active", 0, False))
        self.deliver()
        self.assertEqual(set(deliveries.mapped("state")), {"delivered"})

    def test_recovery_gives_no_more_time(self):
        """A message that its receiver cannot take does not live for ever, however often others close the circuit."""
        _endpoint, deliveries = self.broken()
        self.later(minutes=5)
        self.deliver()
        self.assertEqual(set(deliveries.mapped("give_up_at")), {self.now + timedelta(hours=72)})

    def test_pausing_beats_it(self):
        endpoint, deliveries = self.broken()
        endpoint.action_pause()
        self.later(days=10)
        self.deliver()
        self.assertEqual(endpoint.state, "paused")
        self.assertEqual(set(deliveries.mapped("state")), {"pending"})
        self.assertEqual(len(self.receiver.received), 3)

    def test_gone_for_good_pauses(self):
        endpoint = self.make_endpoint()
        self.receiver.answers = [410]
        deliveries = self.enqueue(2)
        self.deliver()
        self.assertEqual(endpoint.state, "paused")
        self.assertEqual(len(self.receiver.received), 1)
        self.assertEqual(set(deliveries.mapped("state")), {"pending"})
        self.assertIn("410", endpoint.activity_ids.note)

    def test_endpoints_are_judged_apart(self):
        with Receiver() as good:
            fine = self.make_endpoint(receiver=good)
            broken, _deliveries = self.broken()
            self.assertEqual((fine.state, broken.state), ("active", "broken"))
            self.assertEqual(len(good.received), 8)

    def test_owner_who_cannot_be_told(self):
        """The attempt stays on record."""
        with (
            patch.object(type(self.env["mail.activity"]), "create", side_effect=ZeroDivisionError),
            self.assertLogs(f"{MODELS}.usage_endpoint", "ERROR"),
        ):
            endpoint, deliveries = self.broken()
        self.assertEqual(sum(deliveries.mapped("attempt_count")), 3)
        self.assertFalse(endpoint.activity_ids)

    def test_bug_in_our_code_does_not_open_it(self):
        endpoint = self.make_endpoint(failure_limit=1)
        self.enqueue()
        with patch.object(transport, "post", side_effect=ZeroDivisionError), mute_logger(f"{MODELS}.usage_delivery"):
            self.deliver()
        self.assertEqual(endpoint.state, "active")
