import re
from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.models.usage_source_total import COUNTED

from .common import OUTCOMES
from .common_query import CONTROLLER, QueryCommon

HEALTH = "/usage/v1/health"
METRICS = "/usage/v1/metrics"
# Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"([a-z_]+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+(?:\.\d+)?)")


class MonitoringCommon(QueryCommon):
    def metrics(self, key=None):
        """Dict of (name, labels as text) to number; every line must be of the format."""
        response = self.get(METRICS, key=key)
        self.assertEqual(response.status_code, 200, response.text[:500])
        self.assertEqual(response.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertTrue(response.text.endswith("\n"))
        samples, described = {}, set()
        for line in response.text.splitlines():
            if line.startswith("# "):
                _hash, word, name, text = line.split(" ", 3)
                self.assertIn(word, ("HELP", "TYPE"))
                self.assertTrue(text)
                described.add((word, name))
                continue
            name, labels, value = SAMPLE.fullmatch(line).groups()
            self.assertTrue({("HELP", name), ("TYPE", name)} <= described, name)
            self.assertNotIn((name, labels), samples, "a sample is told once")
            samples[name, labels] = float(value)
        return samples

    def events(self, source="acme-cloud", key=None):
        """What the metrics say of a source's events: dict of outcome to number."""
        prefix = f'source="{source}",environment="production",outcome='
        return {
            labels.removeprefix(prefix).strip('"'): value
            for (name, labels), value in self.metrics(key).items()
            if name == "usage_events_total" and labels.startswith(prefix)
        }

    def age(self, **ago):
        """Let so much time pass since all that there is."""
        self.env.cr.execute("UPDATE usage_batch SET received_at = received_at - %s", [timedelta(**ago)])
        self.env.cr.execute("UPDATE usage_source_total SET until = until - %s", [timedelta(**ago)])


@tagged("post_install", "-at_install")
class TestHealth(MonitoringCommon):
    """Anyone may ask whether the service is alive; the answer tells nothing else."""

    def test_alive(self):
        self.fold()
        self.assertEqual(self.answer(HEALTH, key=""), {"status": "ok", "fold_lag_seconds": 0.0})

    def test_lag(self):
        self.fold()
        self.ingest([self.event("e-1")])
        self.age(seconds=90)
        health = self.answer(HEALTH, key="")
        self.assertEqual(health["status"], "ok")
        self.assertAlmostEqual(health["fold_lag_seconds"], 90, delta=30)
        self.fold()
        self.assertEqual(self.answer(HEALTH, key="")["fold_lag_seconds"], 0)

    def test_behind(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=6)
        self.assertEqual(self.answer(HEALTH, key="")["status"], "behind")

    def test_a_clock_that_is_ahead(self):
        self.fold()
        self.ingest([self.event("e-1")])
        self.age(minutes=-5)
        self.assertEqual(self.answer(HEALTH, key="")["fold_lag_seconds"], 0)

    def test_tells_no_more(self):
        self.assertEqual(set(self.answer(HEALTH, key="")), {"status", "fold_lag_seconds"})


@tagged("post_install", "-at_install")
class TestMetrics(MonitoringCommon):
    """``GET /usage/v1/metrics``: what came in, what waits."""

    def send_one_of_each(self):
        self.ingest([self.event("known")])
        return self.ingest(
            [
                self.event("good"),
                self.event("known"),
                self.event("known", tokens=9),
                self.event("held", subject="new"),
                self.event("bad", tokens="x"),
                self.event("bad too", tokens=-1),
            ]
        )

    def test_events_by_outcome(self):
        self.assertEqual(self.events(), dict.fromkeys(OUTCOMES, 0))
        self.send_one_of_each()
        counted = {"accepted": 2, "duplicate": 1, "conflict": 1, "quarantined": 1, "rejected": 2}
        self.assertEqual(self.events(), counted)

    def test_requests(self):
        self.ingest([self.event("e-1")])
        self.post(b"no json")
        samples = self.metrics()
        labels = 'source="acme-cloud",environment="production",result='
        self.assertEqual(samples["usage_requests_total", f'{labels}"judged"'], 1)
        self.assertEqual(samples["usage_requests_total", f'{labels}"refused"'], 1)

    def test_open_exceptions(self):
        self.send_one_of_each()
        labels = 'source="acme-cloud",environment="production",reason='
        found = {
            key[1].removeprefix(labels): value
            for key, value in self.metrics().items()
            if key[0] == "usage_open_exceptions"
        }
        self.assertEqual(
            found, {'"account_unmapped"': 1, '"conflict"': 1, '"value_negative"': 1, '"value_not_number"': 1}
        )
        self.exceptions(reason="conflict").action_ignore()
        self.assertNotIn(("usage_open_exceptions", f'{labels}"conflict"'), self.metrics())

    def test_queue(self):
        self.fold()
        self.assertEqual(self.metrics()["usage_fold_queue_batches", None], 0)
        self.ingest([self.event("e-1")])
        self.ingest([self.event("e-2")])
        self.age(seconds=60)
        samples = self.metrics()
        self.assertEqual(samples["usage_fold_queue_batches", None], 2)
        self.assertAlmostEqual(samples["usage_fold_lag_seconds", None], 60, delta=30)

    def test_names_are_escaped(self):
        source = self._source('odd "name" \\ of\ntwo lines')
        samples = self.metrics(self.new_key(source))
        labels = r'source="odd \"name\" \\ of\ntwo lines",environment="production",outcome="accepted"'
        self.assertEqual(samples["usage_events_total", labels], 0)

    def test_a_sources_key_tells_of_that_source(self):
        other = self._source("other-cloud")
        self.send_one_of_each()
        self.assertNotIn("other-cloud", str(self.metrics()))
        self.assertNotIn("acme-cloud", str(self.metrics(self.new_key(other))))

    def test_a_key_is_needed(self):
        self.assertNeedsKey(METRICS)


@tagged("post_install", "-at_install")
class TestMetricsOfViewers(MonitoringCommon):
    """A person's Odoo API key watches all sources of their companies, and cannot send."""

    def key_of(self, user, scope="rpc"):
        return self.env["res.users.apikeys"].with_user(user).sudo()._generate(scope, "monitoring", False)

    def test_all_sources(self):
        self._source("other-cloud")
        self.ingest([self.event("e-1")])
        key = self.key_of(self.viewer)
        self.assertEqual(self.events(key=key)["accepted"], 1)
        self.assertEqual(self.events("other-cloud", key=key)["accepted"], 0)

    def test_a_key_without_a_scope(self):
        self.assertIn("accepted", self.events(key=self.key_of(self.viewer, None)))

    def test_companies(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        self._source("elsewhere", company)
        self.assertFalse(self.events("elsewhere", key=self.key_of(self.viewer)))
        self.viewer.company_ids |= company
        self.assertTrue(self.events("elsewhere", key=self.key_of(self.viewer)))

    def test_without_the_group(self):
        user = new_test_user(self.env, "usage_test_nobody", groups="base.group_user")
        self.assertRefused(self.get(METRICS, key=self.key_of(user)), 403, "not_a_viewer")

    def test_revoked(self):
        key = self.key_of(self.viewer)
        self.env["res.users.apikeys"].sudo().search([("user_id", "=", self.viewer.id)]).unlink()
        with mute_logger(CONTROLLER):
            self.assertRefused(self.get(METRICS, key=key), 401, "unauthorized")

    def test_it_does_not_send(self):
        with mute_logger(CONTROLLER):
            response = self.post([self.event("e-1")], key=self.key_of(self.viewer))
        self.assertRefused(response, 401, "unauthorized")


@tagged("post_install", "-at_install")
class TestSourceTotals(MonitoringCommon):
    """Counters only grow, and cost no more with every batch there ever was."""

    def total(self):
        self.env.invalidate_all()
        return self.env["usage.source.total"].search([("source_id", "=", self.source.id)])

    def advance(self):
        self.env["usage.source.total"]._cron_total()

    def test_recent_batches_are_left_for_later(self):
        self.ingest([self.event("e-1")])
        self.advance()
        self.assertFalse(self.total())
        self.assertEqual(self.events()["accepted"], 1)

    def test_older_batches_are_taken_in(self):
        self.ingest([self.event("e-1")])
        self.ingest([self.event("e-2"), self.event("e-1"), self.event("e-3", tokens="x")])
        self.post(b"no json")
        before = self.events()
        self.age(minutes=11)
        self.advance()
        total = self.total()
        self.assertEqual(
            {name: total[name] for name in COUNTED},
            {
                "request_count": 3,
                "refused_count": 1,
                "accepted_count": 2,
                "duplicate_count": 1,
                "conflict_count": 0,
                "quarantined_count": 0,
                "rejected_count": 1,
            },
        )
        self.assertEqual(self.events(), before)

    def test_counted_once(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        for _run in range(3):
            self.advance()
            self.assertEqual(self.events()["accepted"], 1)
        self.ingest([self.event("e-2")])
        self.assertEqual(self.events()["accepted"], 2)
        self.advance()
        self.assertEqual(self.events()["accepted"], 2)

    def test_a_source_that_was_quiet(self):
        """What one source sends does not hide what another sent since the totals were made."""
        other = self._source("other-cloud")
        key = self.new_key(other)
        self.ingest([self.event("e-1")])
        self.age(minutes=30)
        self.advance()
        self.ingest([self.event("e-1")], other)
        self.age(minutes=11)
        self.assertEqual(self.events("other-cloud", key)["quarantined"], 1)
        self.advance()
        self.assertEqual(self.events("other-cloud", key)["quarantined"], 1)
        self.assertEqual(self.events()["accepted"], 1)

    def test_batches_that_retention_deleted_stay_counted(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        self.advance()
        self.env.cr.execute("DELETE FROM usage_batch")
        self.assertEqual(self.events()["accepted"], 1)

    def test_more_than_two_billion(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        self.advance()
        self.env.cr.execute("UPDATE usage_source_total SET accepted_count = 9007199254740991")
        self.assertEqual(
            self.env["usage.source.total"]._current(self.source)[self.source.id]["accepted_count"], 2**53 - 1
        )

    def test_nothing_to_do(self):
        self.advance()
        self.assertFalse(self.total())

    def test_the_moment_is_that_of_the_last_batch_that_is_settled(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        self.advance()
        ago = fields.Datetime.now() - self.total().until
        self.assertAlmostEqual(ago.total_seconds(), 600, delta=30)

    def test_read_by_viewers_written_by_nobody(self):
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        self.advance()
        total = self.total()
        for user in (self.viewer, self.operator, self.admin):
            own = total.with_user(user)
            self.assertEqual(own.accepted_count, 1)
            with self.assertRaises(AccessError):
                own.write({"accepted_count": 0})
            with self.assertRaises(AccessError):
                own.unlink()
            with self.assertRaises(AccessError):
                own.create({"source_id": self.source.id, "company_id": self.company.id})
        for user in (self.source.user_id, new_test_user(self.env, "usage_test_nobody", groups="base.group_user")):
            with self.assertRaises(AccessError):
                total.with_user(user).read(["accepted_count"])

    def test_only_of_the_own_companies(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        source = self._source("elsewhere", company)
        self.ingest([self.event("e-1")], source)
        self.ingest([self.event("e-1")])
        self.age(minutes=11)
        self.advance()
        totals = self.env["usage.source.total"].with_user(self.viewer)
        self.assertEqual(totals.search([]).source_id, self.source)
        self.viewer.company_ids |= company
        self.assertEqual(totals.with_context(allowed_company_ids=company.ids).search([]).source_id, source)
