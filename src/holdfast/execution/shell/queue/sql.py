"""Every statement of the queue, by name.

Both stores run the same text, except for the words in braces, which :func:`of` fills in:

- ``{among}`` takes one parameter made by :func:`several` and matches any of its values, ``{not_among}`` none;
- ``{take}`` holds rows until the commit and leaves out those that others hold; SQLite has one writer at a time.

Transactions that change the queue take turns, see :data:`TURN`, so what they read holds until their commit.
"""

# ruff: noqa: S608 - what is put together here are our own words; values are always parameters

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, Final

from holdfast.store import Dialect

_WORDS: Final[dict[Dialect, dict[str, str]]] = {
    "sqlite": {
        "among": "IN (SELECT value FROM json_each(?))",
        "not_among": "NOT IN (SELECT value FROM json_each(?))",
        "take": "",
    },
    "postgresql": {
        "among": "= ANY(?)",
        "not_among": "<> ALL(?)",
        "take": "FOR UPDATE SKIP LOCKED",
    },
}


@functools.cache
def of(dialect: Dialect, statement: str) -> str:
    """The statement as a store wants it."""
    for word, text in _WORDS[dialect].items():
        statement = statement.replace(f"{{{word}}}", text)
    return statement


def several(dialect: Dialect, values: Iterable[str]) -> Any:
    """A parameter for ``{among}``."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


# Begins every transaction that changes the queue; held until its commit. Row locks would not let them run side by side
# either: all of them change the sums over the queue. But a group of writes locks rows in the order in which its members
# came, and two API processes with three workers then spent their time in deadlocks, a second each.
TURN: Final[dict[Dialect, str | None]] = {
    "sqlite": None,  # has one writer at a time
    "postgresql": "SELECT pg_advisory_xact_lock(1751477348, 1)",  # 'hold' in ASCII, and the number of this lock
}

# ---------------------------------------------------------------- jobs

# In the order of `record.Record`.
JOB_COLUMNS = """id, tenant, language, priority, compiled, cpu_limit_us, submitted, deadline, callback_url, metadata,
    key_id, fingerprint, output_limit, idempotency_key, estimate_us, heavy, status, queued_at, order_key, not_before,
    ready, attempts, token, settled, worker, epoch, started, lease_until, stop, verdict, finished, sweep, expired,
    dead_reason, queued_ms, cost_us, seq, pieces, output_left"""

INSERT_JOB = f"INSERT INTO queue_jobs ({JOB_COLUMNS}) VALUES ({', '.join('?' * 39)})"

# What a transition may change; the rest of a job is as it was submitted.
UPDATE_JOB = """
    UPDATE queue_jobs SET idempotency_key = ?, estimate_us = ?, heavy = ?, status = ?, queued_at = ?, order_key = ?,
        not_before = ?, ready = ?, attempts = ?, token = ?, settled = ?, worker = ?, epoch = ?, started = ?,
        lease_until = ?, stop = ?, verdict = ?, finished = ?, sweep = ?, expired = ?, dead_reason = ?, queued_ms = ?,
        cost_us = ?, seq = ?, pieces = ?, output_left = ?
    WHERE id = ?"""

# Two small changes that are made far more often than transitions and touch no index.
RENEW = "UPDATE queue_jobs SET lease_until = ? WHERE id = ? AND token = ? AND status = 'running'"
NOTE_OUTPUT = "UPDATE queue_jobs SET seq = ?, pieces = ?, output_left = ? WHERE id = ?"

JOBS = f"SELECT {JOB_COLUMNS} FROM queue_jobs WHERE id {{among}}"
HELD = f"SELECT {JOB_COLUMNS} FROM queue_jobs WHERE worker = ? AND status = 'running'"
JOB = f"SELECT {JOB_COLUMNS} FROM queue_jobs WHERE id = ? AND tenant = ?"

# One index range per status; together they are a page of all, without sorting what is not on it.
LIST_STATUS = f"""
    SELECT {JOB_COLUMNS} FROM queue_jobs WHERE tenant = ? AND status = ? AND id < ? ORDER BY id DESC LIMIT ?"""
LIST_VERDICT = f"""
    SELECT {JOB_COLUMNS} FROM queue_jobs
    WHERE tenant = ? AND status = ? AND id < ? AND verdict = ? ORDER BY id DESC LIMIT ?"""

POSTED_BEFORE = """
    SELECT idempotency_key, id, fingerprint FROM queue_jobs WHERE tenant = ? AND idempotency_key {among}"""

INSERT_PROGRAM = "INSERT INTO queue_programs (job, data) VALUES (?, ?)"
PROGRAMS = "SELECT job, data FROM queue_programs WHERE job {among}"
PROGRAM = """
    SELECT p.data FROM queue_jobs j JOIN queue_programs p ON p.job = j.id WHERE j.id = ? AND j.tenant = ?"""

STORE_RESULT = """
    INSERT INTO queue_results (job, data) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET data = excluded.data"""
RESULT = "SELECT data FROM queue_results WHERE job = ?"

INSERT_EVENT = "INSERT INTO queue_events (job, seq, kind, at, data) VALUES (?, ?, ?, ?, ?)"
EVENTS = "SELECT seq, kind, at, data FROM queue_events WHERE job = ? AND seq > ? AND seq <= ? ORDER BY seq"
EVENT_SIZES = "SELECT seq, length(data) FROM queue_events WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?"

# ---------------------------------------------------------------- sums: lanes, tenants, turn

# One statement for both signs; a lane is made when it is first used.
ADD_TO_LANE = """
    INSERT INTO queue_lanes (tenant, language, heavy, queued, backlog_us) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tenant, language, heavy) DO UPDATE SET
        queued = queue_lanes.queued + excluded.queued, backlog_us = queue_lanes.backlog_us + excluded.backlog_us"""
ADD_TO_TENANT = """
    UPDATE queue_tenants SET running = running + ?, deficit_us = deficit_us + ?, active = ? WHERE tenant = ?"""
TENANTS = "SELECT tenant, active FROM queue_tenants WHERE tenant {among}"
# A tenant is made when it submits first, which is a way of coming back from being idle.
MARK_FRESH = """
    INSERT INTO queue_tenants (tenant, running, deficit_us, turn, fresh, idle_s, active) VALUES (?, 0, 0, 0, 1, ?, ?)
    ON CONFLICT (tenant) DO UPDATE SET fresh = 1, idle_s = excluded.idle_s"""
TOOK_TURN = "UPDATE queue_tenants SET deficit_us = ?, turn = ?, fresh = 0 WHERE tenant = ?"

ROUND = "SELECT turn FROM queue_turn WHERE one = 1"
SET_ROUND = "UPDATE queue_turn SET turn = ? WHERE one = 1"

# What is queued was priced when it was submitted; a flood may come before the first of its kind has run.
BACKLOGS = """
    SELECT l.tenant, l.queued, l.backlog_us, COALESCE(own.mean_us, everybody.mean_us)
    FROM queue_lanes l
    LEFT JOIN queue_estimates own ON own.tenant = l.tenant AND own.language = l.language
    LEFT JOIN queue_estimates everybody ON everybody.tenant = '' AND everybody.language = l.language
    WHERE l.queued > 0"""
QUEUED_BY_LANGUAGE = """
    SELECT language, SUM(queued) FROM queue_lanes WHERE queued > 0 GROUP BY language ORDER BY language"""
ANY_QUEUED = "SELECT 1 FROM queue_lanes WHERE queued > 0 LIMIT 1"
CONTENDERS = """
    SELECT tenant, deficit_us, turn, fresh, running, idle_s FROM queue_tenants
    WHERE tenant IN (SELECT tenant FROM queue_lanes WHERE queued > 0)"""
RUNNING = "SELECT COUNT(*), COALESCE(SUM(heavy), 0) FROM queue_jobs WHERE status = 'running'"
RUNNING_BY_TENANT = "SELECT tenant, running FROM queue_tenants WHERE running > 0"

# The first jobs of every lane in a language that the worker has. `HEADS` by dialect: SQLite has no LATERAL, and
# PostgreSQL would evaluate a correlated IN once per row of the table.
_HEAD = "j.id, j.tenant, j.language, j.compiled, j.cpu_limit_us, j.estimate_us, j.order_key"
_LANES = "queue_lanes l JOIN"
_FIRST = """
    FROM queue_jobs q
    WHERE q.ready = 1 AND q.tenant = l.tenant AND q.language = l.language AND q.heavy = l.heavy
        AND (q.deadline IS NULL OR q.deadline > ?)
    ORDER BY q.order_key, q.id LIMIT ?"""
HEADS: Final[dict[Dialect, str]] = {
    "sqlite": f"""
        SELECT {_HEAD}
        FROM {_LANES} queue_jobs j ON j.rowid IN (SELECT q.rowid {_FIRST})
        WHERE l.queued > 0 AND l.language {{among}}""",
    "postgresql": f"""
        SELECT {_HEAD}
        FROM {_LANES} LATERAL (SELECT q.* {_FIRST}) j ON TRUE
        WHERE l.queued > 0 AND l.language {{among}}""",
}

# Retries whose backoff is over may be claimed.
RIPEN = """
    UPDATE queue_jobs SET ready = 1 WHERE status = 'queued' AND ready = 0 AND not_before <= ?"""

# The oldest queued job of each tenant is its smallest id.
OLDEST = """
    SELECT MIN(first.queued_at) FROM (
        SELECT (
            SELECT q.queued_at FROM queue_jobs q WHERE q.tenant = t.tenant AND q.status = 'queued' ORDER BY q.id LIMIT 1
        ) AS queued_at
        FROM (SELECT DISTINCT tenant FROM queue_lanes WHERE queued > 0) t
    ) first"""

# ---------------------------------------------------------------- measured: drain, estimates, costs

ADD_DRAIN = """
    INSERT INTO queue_drain (span, cpu_us, busy_us, jobs) VALUES (?, ?, ?, ?)
    ON CONFLICT (span) DO UPDATE SET cpu_us = queue_drain.cpu_us + excluded.cpu_us,
        busy_us = queue_drain.busy_us + excluded.busy_us, jobs = queue_drain.jobs + excluded.jobs"""
DRAINED = "SELECT COALESCE(SUM(cpu_us), 0), COALESCE(SUM(busy_us), 0) FROM queue_drain WHERE span > ?"
FORGET_DRAIN = "DELETE FROM queue_drain WHERE span <= ?"

ESTIMATES = "SELECT tenant, language, mean_us, high_us FROM queue_estimates WHERE tenant {among}"
STORE_ESTIMATE = """
    INSERT INTO queue_estimates (tenant, language, mean_us, high_us) VALUES (?, ?, ?, ?)
    ON CONFLICT (tenant, language) DO UPDATE SET mean_us = excluded.mean_us, high_us = excluded.high_us"""

ADD_COST = """
    INSERT INTO queue_costs (day, tenant, language, jobs, cpu_us) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tenant, day, language) DO UPDATE SET
        jobs = queue_costs.jobs + excluded.jobs, cpu_us = queue_costs.cpu_us + excluded.cpu_us"""
USED_ON_DAY = "SELECT tenant, SUM(cpu_us) FROM queue_costs WHERE tenant {among} AND day = ? GROUP BY tenant"
COSTS = """
    SELECT day, language, jobs, cpu_us FROM queue_costs WHERE tenant = ? AND day > ? ORDER BY day, language"""
FORGET_COSTS = "DELETE FROM queue_costs WHERE day < ?"

# ---------------------------------------------------------------- workers

EPOCHS = "SELECT epoch, state FROM queue_workers WHERE name = ?"
REPLACE_WORKER = "UPDATE queue_workers SET state = 'replaced' WHERE name = ? AND epoch <> ?"
STORE_WORKER = """
    INSERT INTO queue_workers (name, epoch, slots, free, languages, tier, seen, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'live')
    ON CONFLICT (name, epoch) DO UPDATE SET slots = excluded.slots, free = excluded.free,
        languages = excluded.languages, tier = excluded.tier, seen = excluded.seen, state = excluded.state"""
SEEN = "UPDATE queue_workers SET seen = ? WHERE name = ? AND state = 'live' AND seen < ?"
LIVE_SLOTS = "SELECT COUNT(*), COALESCE(SUM(slots), 0) FROM queue_workers WHERE state = 'live' AND seen > ?"
LIVE_LANGUAGES = "SELECT languages FROM queue_workers WHERE state = 'live' AND seen > ? ORDER BY name"
MARK_SILENT = "UPDATE queue_workers SET state = 'silent' WHERE state = 'live' AND seen <= ?"
FORGET_WORKERS = "DELETE FROM queue_workers WHERE state <> 'live' AND seen <= ?"

# ---------------------------------------------------------------- maintenance

LEASES_OVER = f"SELECT {JOB_COLUMNS} FROM queue_jobs WHERE status = 'running' AND lease_until <= ? LIMIT ?"
DEADLINES_OVER = f"""
    SELECT {JOB_COLUMNS} FROM queue_jobs
    WHERE deadline IS NOT NULL AND status IN ('queued', 'running') AND deadline <= ?
        AND (status = 'queued' OR stop IS NULL)
    ORDER BY deadline LIMIT ?"""
SWEEP = f"SELECT {JOB_COLUMNS} FROM queue_jobs WHERE sweep IS NOT NULL AND sweep <= ? ORDER BY sweep LIMIT ?"

# What hangs on a job's id.
REMOVE = (
    "DELETE FROM queue_programs WHERE job = ?",
    "DELETE FROM queue_results WHERE job = ?",
    "DELETE FROM queue_events WHERE job = ?",
    "DELETE FROM queue_dead_letters WHERE job = ?",
    "DELETE FROM queue_callbacks WHERE job = ?",
)
REMOVE_JOB = "DELETE FROM queue_jobs WHERE id = ?"

# ---------------------------------------------------------------- dead letters

STORE_LETTER = """
    INSERT INTO queue_dead_letters (job, tenant, language, died, reason, attempts, replayed)
    VALUES (?, ?, ?, ?, ?, ?, NULL)
    ON CONFLICT (job) DO UPDATE SET died = excluded.died, reason = excluded.reason, attempts = excluded.attempts,
        replayed = NULL"""
LETTERS = """
    SELECT job, language, died, reason, attempts, replayed FROM queue_dead_letters
    WHERE tenant = ? AND job < ? ORDER BY job DESC LIMIT ?"""
LETTERS_TO_REPLAY = """
    SELECT job, reason, language FROM queue_dead_letters WHERE tenant = ? AND replayed IS NULL ORDER BY job"""
MARK_REPLAYED = "UPDATE queue_dead_letters SET replayed = ? WHERE job = ?"

# ---------------------------------------------------------------- callbacks

STORE_CALLBACK = """
    INSERT INTO queue_callbacks (job, tenant, url, state, attempts, due, last_error)
    VALUES (?, ?, ?, 'pending', 0, ?, NULL)
    ON CONFLICT (job) DO UPDATE SET state = 'pending', attempts = 0, due = excluded.due, last_error = NULL"""
CALLBACKS_DUE = """
    SELECT job, tenant, url, attempts FROM queue_callbacks
    WHERE state = 'pending' AND due <= ? AND tenant {not_among} ORDER BY due LIMIT ? {take}"""
NEXT_CALLBACK = "SELECT MIN(due) FROM queue_callbacks WHERE state = 'pending'"
LEASE_CALLBACK = "UPDATE queue_callbacks SET due = ?, attempts = ? WHERE job = ?"
CALLBACK_DELIVERED = """
    UPDATE queue_callbacks SET state = 'delivered', last_error = NULL
    WHERE job = ? AND state = 'pending' AND attempts = ?"""
CALLBACK_FAILED = """
    UPDATE queue_callbacks SET due = ?, last_error = ? WHERE job = ? AND state = 'pending' AND attempts = ?"""
CALLBACK_DEAD = """
    UPDATE queue_callbacks SET state = 'dead', last_error = ? WHERE job = ? AND state = 'pending' AND attempts = ?"""
DEAD_CALLBACKS = """
    SELECT job, url, attempts, COALESCE(last_error, '') FROM queue_callbacks
    WHERE tenant = ? AND state = 'dead' AND job < ? ORDER BY job DESC LIMIT ?"""
REPLAY_CALLBACKS = """
    UPDATE queue_callbacks SET state = 'pending', attempts = 0, due = ?
    WHERE tenant = ? AND state = 'dead' AND job {among}"""
REPLAY_ALL_CALLBACKS = """
    UPDATE queue_callbacks SET state = 'pending', attempts = 0, due = ? WHERE tenant = ? AND state = 'dead'"""
