import time

from odoo import api, models
from odoo.tools import SQL

from .usage_batch import OUTCOMES

BEHIND_SECONDS = 300  # counting is late by so much when its job does not run, or cannot keep up
MAX_WAITING_EVENTS = 5_000_000  # unless the settings say otherwise: minutes of counting
REQUEST_WEIGHT = 50  # events that a request weighs at least: what counting it costs beside its events
LOOK_SECONDS = 1.0  # a process looks so often how much waits

_looked = {}  # database name -> (monotonic time at which this process last looked, whether too much waited)


class UsageMonitoring(models.AbstractModel):
    """What operations watches: is it alive, does it keep up, what came in, what waits for a person."""

    _name = "usage.monitoring"
    _description = "Monitoring of Usage"

    @api.model
    def _health(self):
        """Whether the database answers and counting keeps up.

        :return: dict of status (``ok``, ``behind``, or ``full`` while events are refused) and fold_lag_seconds
        """
        lag = self._fold_lag()
        late = "behind" if lag > BEHIND_SECONDS else "ok"
        return {"status": "full" if self._is_full() else late, "fold_lag_seconds": lag}

    # -- back-pressure ----------------------------------------------------------------------

    @api.model
    def _is_full(self):
        """Whether so much waits to be counted that no more is taken; looked up once a second in a process."""
        now, database = time.monotonic(), self.env.cr.dbname
        looked, full = _looked.get(database, (0, False))
        if now - looked >= LOOK_SECONDS or not looked:
            full = self._is_over_limit(self._waiting_events())
            _looked[database] = now, full
        return full

    def _is_over_limit(self, waiting):
        limit = self._waiting_limit()
        return bool(limit) and waiting >= limit

    def _waiting_limit(self):
        # sudo: nobody is logged in; this setting bounds what may wait
        parameters = self.env["ir.config_parameter"].sudo()
        return int(parameters.get_param("usage.max_waiting_events", MAX_WAITING_EVENTS))

    def _waiting_events(self):
        """How many events wait to be counted, read from as few rows as tell whether it is too many.

        A request of fewer events weighs as much as one of ``REQUEST_WEIGHT``, since counting it has a price of its own.
        """
        [[waiting]] = self.env.execute_query(
            SQL(
                """
                SELECT coalesce(sum(greatest(event_count, %s)), 0)::bigint
                FROM (SELECT event_count FROM usage_batch WHERE folded_at IS NULL LIMIT %s) batches
                """,
                REQUEST_WEIGHT,
                -(-(self._waiting_limit() or MAX_WAITING_EVENTS) // REQUEST_WEIGHT),
            )
        )
        return waiting

    @api.model
    def _metrics(self, sources):
        """Metrics of sources, and of the counting that they share.

        :param sources: ``usage.source`` records, readable by the current user
        :return: text in Prometheus' format
        """
        return "".join(_family(*family) for family in self._families(sources))

    def _families(self, sources):
        """What is told; other addons extend it.

        :return: list of (name, type, help, list of (dict of labels, number))
        """
        codes = {source.id: {"source": source.code, "environment": source.environment} for source in sources}
        totals = self.env["usage.source.total"]._current(sources)
        events = [
            ({**codes[id_], "outcome": outcome}, counts[f"{outcome}_count"])
            for id_, counts in totals.items()
            for outcome in OUTCOMES
        ]
        requests = [
            ({**codes[id_], "result": result}, count)
            for id_, counts in totals.items()
            for result, count in self._results(counts)
        ]
        exceptions = [({**codes[id_], "reason": reason}, count) for id_, reason, count in self._open(sources)]
        waiting = self._waiting_events()
        full = self._is_over_limit(waiting)
        return [
            ("usage_events_total", "counter", "Events received, by what became of them.", events),
            ("usage_requests_total", "counter", "Requests with a valid key, judged or refused.", requests),
            ("usage_open_exceptions", "gauge", "Exceptions that wait for a person, by reason.", exceptions),
            ("usage_fold_queue_batches", "gauge", "Stored batches not counted yet.", [({}, self._fold_queue())]),
            ("usage_fold_lag_seconds", "gauge", "Age of the oldest of them.", [({}, self._fold_lag())]),
            ("usage_waiting_events", "gauge", "Weight of what waits to be counted.", [({}, waiting)]),
            ("usage_refusing", "gauge", "1 while events are refused since too many wait.", [({}, int(full))]),
        ]

    def _results(self, counts):
        refused = counts["refused_count"]
        return ("judged", counts["request_count"] - refused), ("refused", refused)

    def _open(self, sources):
        return self.env.execute_query(
            SQL(
                """
                SELECT source_id, reason, count(*) FROM usage_exception
                WHERE state = 'open' AND source_id = ANY(%s) GROUP BY source_id, reason ORDER BY source_id, reason
                """,
                sources.ids,
            )
        )

    def _fold_lag(self):
        """Seconds since the oldest batch that is not counted yet was received."""
        query = SQL(
            """
            SELECT greatest(extract(epoch FROM now() AT TIME ZONE 'UTC' - received_at), 0)::float
            FROM usage_batch WHERE folded_at IS NULL ORDER BY id LIMIT 1
            """
        )
        rows = self.env.execute_query(query)
        return round(rows[0][0], 3) if rows else 0.0

    def _fold_queue(self):
        [[depth]] = self.env.execute_query(SQL("SELECT count(*) FROM usage_batch WHERE folded_at IS NULL"))
        return depth


def _family(name, kind, description, samples):
    lines = [f"# HELP {name} {description}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels):
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value):
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
