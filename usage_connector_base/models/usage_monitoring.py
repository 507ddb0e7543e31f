from odoo import api, models
from odoo.tools import SQL

from .usage_batch import OUTCOMES

BEHIND_SECONDS = 300  # counting is late by so much when its job does not run, or cannot keep up


class UsageMonitoring(models.AbstractModel):
    """What operations watches: is it alive, does it keep up, what came in, what waits for a person."""

    _name = "usage.monitoring"
    _description = "Monitoring of Usage"

    @api.model
    def _health(self):
        """Whether the database answers and counting keeps up.

        :return: dict of status (``ok`` or ``behind``) and fold_lag_seconds
        """
        lag = self._fold_lag()
        return {"status": "behind" if lag > BEHIND_SECONDS else "ok", "fold_lag_seconds": lag}

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
        return [
            ("usage_events_total", "counter", "Events received, by what became of them.", events),
            ("usage_requests_total", "counter", "Requests with a valid key, judged or refused.", requests),
            ("usage_open_exceptions", "gauge", "Exceptions that wait for a person, by reason.", exceptions),
            ("usage_fold_queue_batches", "gauge", "Stored batches not counted yet.", [({}, self._fold_queue())]),
            ("usage_fold_lag_seconds", "gauge", "Age of the oldest of them.", [({}, self._fold_lag())]),
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
