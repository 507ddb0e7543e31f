"""Real connections and processes: jobs that run at the same time, and jobs that are killed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest.mock import patch

from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import DummyRLock, Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import config

from ..delivery import transport
from ..models.usage_delivery import UsageDelivery
from .common_delivery import Receiver, slow

EVENT_TYPE = "usage.concurrency.test"
SCRIPT = "env['usage.delivery']._cron_deliver()\n"


class Killed(BaseException):
    """The end of a process, as far as one can have it within a process: nobody may catch it."""


class ConcurrencyCase(BaseCase):
    """Everything here is committed, and removed afterwards."""

    numbers = itertools.count()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(get_db_name())
        cls.classPatch(Registry, "_lock", DummyRLock())  # the runner of tests holds it against other threads
        # The server holds this lock while it runs tests: other threads would wait for it for ever.
        cls.classPatch(Registry, "_lock", DummyRLock())
        with cls.environment() as env:
            parameters = env["ir.config_parameter"]
            cls.allowed = parameters.get_param("usage.delivery_allow_private")
            parameters.set_param("usage.delivery_allow_private", "True")
            cls.paused = env["usage.endpoint"].search([("state", "!=", "paused")]).ids
            env["usage.endpoint"].browse(cls.paused).state = "paused"
            cls.type_id = env["usage.delivery.type"].create({"code": EVENT_TYPE, "name": "Test"}).id
        cls.addClassCleanup(cls.clean_up)

    @classmethod
    def clean_up(cls):
        with cls.environment() as env:
            deliveries = env["usage.delivery"].search([("event_type", "=", EVENT_TYPE)])
            endpoints = env["usage.endpoint"].search([("type_ids", "=", cls.type_id)])
            deliveries.unlink()
            endpoints.unlink()
            env["usage.delivery.type"].browse(cls.type_id).unlink()
            env["usage.endpoint"].browse(cls.paused).state = "active"
            env["ir.config_parameter"].set_param("usage.delivery_allow_private", cls.allowed)

    @classmethod
    def environment(cls):
        """A context manager: an environment on a connection of its own, committed at its end."""
        return cls.Connection(cls.registry)

    class Connection:
        def __init__(self, registry):
            self.cr = registry.cursor()

        def __enter__(self):
            self.cr.__enter__()
            return api.Environment(self.cr, SUPERUSER_ID, {})

        def __exit__(self, *error):
            self.cr.__exit__(*error)

    def prepare(self, receiver, number, **values):
        """A committed endpoint with messages that wait.

        :return: ids of the endpoint and of the deliveries
        """
        with self.environment() as env:
            endpoint = env["usage.endpoint"].create(
                {
                    "name": f"Concurrency {next(self.numbers)} {time.time()}",
                    "url": receiver.url,
                    "type_ids": [self.type_id],
                    "failure_limit": 1000,
                }
            )
            endpoint._rotate_secret()
            endpoint.action_start()
            endpoint.write(values)
            deliveries = env["usage.delivery"]._create_for(endpoint.ids, EVENT_TYPE, [{"n": n} for n in range(number)])
            self.addCleanup(self.finish, deliveries.ids)
            return endpoint.id, deliveries.ids

    def finish(self, delivery_ids):
        """Nothing of one test is left for the next."""
        with self.environment() as env:
            env["usage.delivery"].browse(delivery_ids).write({"state": "delivered"})

    def run_job(self, _number=0):
        with self.environment() as env:
            env["usage.delivery"]._cron_deliver()

    def run_jobs(self, number=2):
        """Jobs at the same time, each with connections of its own."""
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(self.run_job, range(number)))

    def values(self, model, ids, *names):
        with self.environment() as env:
            return [tuple(record[name] for name in names) for record in env[model].browse(ids)]


@tagged("post_install", "-at_install")
class TestTwoJobs(ConcurrencyCase):
    def test_every_message_is_sent_once(self):
        with Receiver(*[slow(0.03)] * 20) as receiver:
            _endpoint, deliveries = self.prepare(receiver, 20)
            self.run_jobs(2)
            self.assertEqual(len(receiver.ids), 20)
            self.assertEqual(len(set(receiver.ids)), 20)
        self.assertEqual(self.values("usage.delivery", deliveries, "state", "attempt_count"), [("delivered", 1)] * 20)

    def test_the_work_is_shared(self):
        """Neither job waits for what the other has."""
        with Receiver(*[slow(0.2)] * 8) as receiver:
            self.prepare(receiver, 8)
            started = time.monotonic()
            self.run_jobs(2)
            self.assertEqual(len(receiver.ids), 8)
            self.assertLess(time.monotonic() - started, 8 * 0.2, "one after the other would take longer")

    def test_no_failure_is_lost(self):
        """Both write the endpoint at the same moment: neither overwrites the other, neither fails."""
        with Receiver(*[slow(0.05, 500)] * 12) as receiver:
            endpoint, deliveries = self.prepare(receiver, 12)
            self.run_jobs(3)
            self.assertEqual(len(receiver.ids), 12)
        self.assertEqual(self.values("usage.endpoint", [endpoint], "failure_count"), [(12,)])
        self.assertEqual(self.values("usage.delivery", deliveries, "attempt_count"), [(1,)] * 12)

    def test_one_probe(self):
        past = fields.Datetime.now() - timedelta(minutes=1)
        with Receiver(*[slow(0.3, 500)] * 5) as receiver:
            endpoint, _deliveries = self.prepare(
                receiver, 5, state="broken", open_until=past, failure_count=10, failure_limit=5
            )
            self.run_jobs(3)
            self.assertEqual(len(receiver.ids), 1)
        self.assertEqual(self.values("usage.endpoint", [endpoint], "state", "failure_count"), [("broken", 11)])

    def test_messages_are_written_while_others_are_sent(self):
        """Telling of a fact never waits for a receiver."""
        with Receiver(slow(1)) as receiver:
            endpoint, _deliveries = self.prepare(receiver, 1)
            with ThreadPoolExecutor(1) as pool:
                job = pool.submit(self.run_job)
                self.wait_for(lambda: receiver.received)
                started = time.monotonic()
                with self.environment() as env:
                    more = env["usage.delivery"]._create_for([endpoint], EVENT_TYPE, [{"n": 2}])
                self.assertLess(time.monotonic() - started, 0.8)
                job.result(10)
            self.addCleanup(self.finish, more.ids)

    def test_pausing_while_one_is_sent(self):
        """What is on its way arrives; the rest waits."""
        with Receiver(slow(0.5)) as receiver:
            endpoint, deliveries = self.prepare(receiver, 3)
            with ThreadPoolExecutor(1) as pool:
                job = pool.submit(self.run_job)
                self.wait_for(lambda: receiver.received)
                with self.environment() as env:
                    env["usage.endpoint"].browse(endpoint).action_pause()
                job.result(10)
            self.assertEqual(len(receiver.ids), 1)
        states = [state for [state] in self.values("usage.delivery", deliveries, "state")]
        self.assertEqual(sorted(states), ["delivered", "pending", "pending"])

    def wait_for(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it never happened")
            time.sleep(0.01)


@tagged("post_install", "-at_install")
class TestKilled(ConcurrencyCase):
    """Killed anywhere and run again: nothing is lost, and a repetition can be told by its id."""

    def kill_and_run_again(self, patcher, sent):
        """:param int sent: how often the message has arrived in the end"""
        with Receiver() as receiver:
            endpoint, [delivery] = self.prepare(receiver, 1)
            with patcher, self.assertRaises(Killed):
                self.run_job()
            self.assertEqual(
                self.values("usage.delivery", [delivery], "state", "attempt_count"), [("pending", 0)], "as before"
            )
            self.run_job()
            self.assertEqual(len(receiver.ids), sent)
            self.assertEqual(len(set(receiver.ids)), 1)
        self.assertEqual(self.values("usage.delivery", [delivery], "state"), [("delivered",)])
        self.assertEqual(self.values("usage.endpoint", [endpoint], "state", "failure_count"), [("active", 0)])

    def test_before_it_is_claimed(self):
        self.kill_and_run_again(patch.object(UsageDelivery, "_claim", side_effect=Killed), sent=1)

    def test_before_it_is_sent(self):
        self.kill_and_run_again(patch.object(UsageDelivery, "_post", side_effect=Killed), sent=1)

    def test_after_it_was_sent(self):
        real = transport.post

        def post(*args):
            real(*args)
            raise Killed

        self.kill_and_run_again(patch.object(transport, "post", post), sent=2)

    def test_after_the_attempt_was_logged(self):
        real = UsageDelivery._log_attempt

        def log(delivery, answer):
            real(delivery, answer)
            raise Killed

        self.kill_and_run_again(patch.object(UsageDelivery, "_log_attempt", log), sent=2)

    def test_before_the_commit(self):
        real = UsageDelivery._succeed

        def succeed(delivery):
            real(delivery)
            delivery.env.flush_all()
            raise Killed

        self.kill_and_run_again(patch.object(UsageDelivery, "_succeed", succeed), sent=2)

    def test_process_that_is_killed_while_it_sends(self):
        """SIGKILL, while the receiver has the message and has not answered."""
        words = [sys.executable, "-c", "import odoo.cli; odoo.cli.main()", "shell", "-d", get_db_name(), "--no-http"]
        if config["config"]:
            words += ["-c", config["config"]]
        with Receiver() as receiver:
            _endpoint, [delivery] = self.prepare(receiver, 1)
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            receiver.answers = [lambda _handler: os.kill(process.pid, signal.SIGKILL)]
            process.communicate(SCRIPT.encode(), timeout=120)
            self.assertEqual(process.returncode, -signal.SIGKILL)
            self.assertEqual(self.values("usage.delivery", [delivery], "state", "attempt_count"), [("pending", 0)])
            self.run_until_delivered(delivery)
            self.assertEqual(len(receiver.ids), 2)
            self.assertEqual(len(set(receiver.ids)), 1)

    def run_until_delivered(self, delivery, seconds=30):
        """PostgreSQL needs a moment to see that the killed process is gone and to let go of its lock."""
        deadline = time.monotonic() + seconds
        while self.values("usage.delivery", [delivery], "state") != [("delivered",)]:
            self.assertLess(time.monotonic(), deadline, "the message was lost")
            self.run_job()
