"""Whether millions of stored events slow down what comes after them, and how much room they take.

The events are not sent: set-based SQL stores the same rows as ingestion would, a thousand to a batch, all indexes
in place, so that they are as large as after months of ingestion. Only the digests are another function's (md5,
which PostgreSQL has; as long and as scattered as ours). They are of the shape of the example in readme/API.md;
each further attribute is kept too and takes its room, CloudEvents' `source` some 30 bytes. Then the product
counts them. What is measured, before and after, are batches over HTTP and their counting, as in
`ingest_batch_1000` and `rollup`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import environment

from . import _ingest
from ._measure import Result, at_least
from .rollup import ingest_rate, rollup_rate

GROUP = "growth"
ABOUT = "speed of ingest and rollup with 20 million events stored, beside that when empty; bytes per event"

EVENTS = 20_000_000
DATABASE = "usage_growth"
ROUNDS = 9
WARM_UP = 150  # batches of each client before the rounds
RATIO = 0.8
MAX_BYTES = 400  # of one event, with all indexes
BYTES_SEEDED = 1200  # of disk for one event while it is being stored: itself, its log, its hours
CHUNK = 1_000_000
BATCH = 1000
FOLD_LOT = 200
TABLES = ("usage_event", "usage_event_key")
INDEX_BITS = 14  # an event's id is that of its batch, followed by its place in it

# Events {first} to {last} as ingestion stores them: received evenly since the month began, used within the five
# minutes before, of all accounts in turn.
SEED = """
    CREATE TEMPORARY TABLE seed AS
        SELECT n, {batch} + (n - {first}) / {size} AS batch_id,
            ((({batch} + (n - {first}) / {size})::bigint << {bits}) + (n - {first}) % {size}) AS id,
            '01' || lpad(to_hex(n * 2654435761 % 4294967296), 8, '0') || lpad(to_hex(n), 16, '0') AS event_id,
            date_trunc('second', month + (clock - month) * (n::float / {total})) AS received_at
        FROM generate_series({first}, {last}) AS n,
            (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AS month, now() AT TIME ZONE 'UTC' AS clock) AS span;
    INSERT INTO usage_batch (id, kind, source_id, company_id, user_id, received_at, media_type, body_bytes, event_count,
            accepted_count, duplicate_count, conflict_count, quarantined_count, rejected_count, duration_ms)
        SELECT batch_id, 'events', s.id, s.company_id, s.user_id, min(received_at),
            'application/cloudevents-batch+json', 300 * count(*), count(*), count(*), 0, 0, 0, 0, 30
        FROM seed, usage_source s GROUP BY batch_id, s.id, s.company_id, s.user_id;
    INSERT INTO usage_event (id, batch_id, source_id, company_id, account_id, time, received_at, event_id, type,
            data)
        SELECT seed.id, batch_id, a.source_id, a.company_id, a.id,
            received_at - n * 2654435761 % 300 * interval '1 second', received_at, event_id, 'llm.completion',
            jsonb_build_object('model', CASE n % 2 WHEN 0 THEN 'atlas-large' ELSE 'atlas-small' END, 'usage',
                jsonb_build_object('input_tokens', 1200 + n % 977, 'output_tokens', 90 + n % 131))
        FROM seed JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM usage_account) a
            ON a.place = n * 31 % (SELECT count(*) FROM usage_account)
        ORDER BY seed.id;
    INSERT INTO usage_event_key (key, fingerprint, event_id)
        SELECT md5(event_id)::uuid, hashtextextended(event_id, 1), id FROM seed;
    SELECT setval('usage_batch_id_seq', {batch} + ({last} - {first}) / {size});
    DROP TABLE seed;
"""


@contextmanager
def arena() -> Iterator[_ingest.Arena]:
    """A database of its own, since it grows."""
    with _ingest.arena(DATABASE) as arena:
        yield arena


def measure(arena: _ingest.Arena, events: int) -> Result:
    """Both speeds when empty and with so many events stored; value and floor are the ingest speeds."""
    environment.cache.require_space(events * BYTES_SEEDED / 1e9)
    before = _speeds(arena)
    sizes_before = _sizes(arena)
    _store(arena, events)
    bytes_per_event = {name: round((size - sizes_before[name]) / events, 1) for name, size in _sizes(arena).items()}
    after = _speeds(arena)
    ratios = [now / then for now, then in zip(after, before, strict=True)]
    total = round(sum(bytes_per_event[table] for table in TABLES), 1)
    more = {
        "ingest_ratio": round(ratios[0], 3),
        "rollup_ratio": round(ratios[1], 3),
        "rollup": round(after[1]),
        "rollup_empty": round(before[1]),
        "events": events,
        "bytes_per_event": total,
        "bytes": bytes_per_event,
    }
    result = at_least(RATIO, after[0], before[0], "events/s", **more)
    bound = f"ingest_ratio and rollup_ratio >= {RATIO}, bytes_per_event <= {MAX_BYTES}"
    return Result(result.value, result.unit, bound, min(ratios) >= RATIO and total <= MAX_BYTES, result.floor, more)


def _speeds(arena: _ingest.Arena) -> tuple[float, float]:
    """Events a second: taken in, counted; by a server at work for some time.

    The first change of a page after a checkpoint writes the whole page to PostgreSQL's log. Keys are scattered, so
    that nearly every one is the first of its page just then, and hardly any is a minute later.
    """
    arena.env.cluster.checkpoint()
    _ingest.post_all(arena.connections(), arena.lanes(BATCH, WARM_UP), BATCH)
    return ingest_rate(arena, ROUNDS), rollup_rate(arena, ROUNDS)


def _store(arena: _ingest.Arena, events: int) -> None:
    """Store so many events and have them counted."""
    with arena.uncounted():
        started = time.monotonic()
        stored = 0
        with environment.step(f"Storing {events:,} events", lambda: f"({stored:,})"):
            while stored < events:
                last = min(stored + CHUNK, events) - 1
                batch = int(arena.query("SELECT nextval('usage_batch_id_seq')"))
                numbers = {"first": stored, "last": last, "total": events, "batch": batch}
                arena.query(SEED.format(**numbers, size=BATCH, bits=INDEX_BITS))
                stored = last + 1
        with environment.step("Counting them"):
            arena.fold(FOLD_LOT)
        with environment.step("Cleaning up as PostgreSQL does by itself in time"):
            arena.query("VACUUM ANALYZE")
        environment.say(f"Stored and counted in {time.monotonic() - started:.0f} s")


def _sizes(arena: _ingest.Arena) -> dict[str, int]:
    """Bytes of the tables that hold events and what is made of them, with their indexes, and of each index."""
    rows = arena.query(
        "SELECT coalesce(p.inhparent, c.oid)::regclass, sum(pg_total_relation_size(c.oid)) FROM pg_class c "
        "LEFT JOIN pg_inherits p ON p.inhrelid = c.oid "
        "WHERE c.relkind = 'r' AND coalesce(p.inhparent, c.oid)::regclass::text "
        f"IN ({', '.join(repr(name) for name in (*TABLES, 'usage_batch', 'usage_aggregate'))}) GROUP BY 1"
    )
    return {name: int(size) for name, size in (row.split("|") for row in rows.splitlines())}
