"""Every statement of the records but those of exports, by name.

Both stores run the same text, except for the words in braces, which :func:`of` fills in:

- ``{among}`` takes one parameter made by :func:`several` and matches any of its values; ``{each}`` is a table of them;
- ``{lock}`` holds rows until the commit, waiting for others that hold them; ``{take}`` leaves those out. SQLite has one
  writer at a time.
"""

# ruff: noqa: S608 - what is put together here are our own words; values are always parameters

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, Final

from holdfast.store import Dialect

_WORDS: Final[dict[Dialect, dict[str, str]]] = {
    "sqlite": {"among": "IN (SELECT value FROM json_each(?))", "each": "json_each(?)", "lock": "", "take": ""},
    "postgresql": {
        "among": "= ANY(?)",
        "each": "unnest(CAST(? AS text[])) AS each (value)",
        "lock": "FOR UPDATE",
        "take": "FOR UPDATE OF n SKIP LOCKED",
    },
}


@functools.cache
def of(dialect: Dialect, statement: str) -> str:
    """The statement as a store wants it."""
    for word, text in _WORDS[dialect].items():
        statement = statement.replace(f"{{{word}}}", text)
    return statement


def several(dialect: Dialect, values: Iterable[str | int]) -> Any:
    """A parameter for ``{among}``."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


# ---------------------------------------------------------------- the engine

# Begins every transaction of the engine. Its lock makes them take turns: results get numbers in the order of their
# commits, and one that was superseded while it waited finds that out.
TURN = "SELECT epoch, stored, rolled, checkpoint FROM netpulse_engine WHERE one = 1 {lock}"
TAKE_OVER = "UPDATE netpulse_engine SET epoch = epoch + 1 WHERE one = 1 RETURNING epoch, stored"
SET_STORED = "UPDATE netpulse_engine SET stored = ? WHERE one = 1"
SET_ROLLED = "UPDATE netpulse_engine SET rolled = ? WHERE one = 1"
SET_CHECKPOINT = "UPDATE netpulse_engine SET checkpoint = ? WHERE one = 1"
ENGINE = "SELECT epoch, stored, rolled, checkpoint FROM netpulse_engine WHERE one = 1"

# ---------------------------------------------------------------- results

RESULT = "r.seq, r.at, r.monitor, r.source, r.delay, r.total, r.address, r.status, r.what, r.day, r.figures, r.detail"

# All at once: the first batch of a day has a thousand of them, and each would be a round trip.
NAMES_USED = """
    INSERT INTO netpulse_names (kind, name, seen)
    SELECT CAST(? AS INTEGER), value, CAST(? AS INTEGER) FROM {each} WHERE TRUE
    ON CONFLICT (kind, name) DO UPDATE SET seen = excluded.seen RETURNING name, id"""
NAMES = "SELECT id, name FROM netpulse_names WHERE id {among}"
NUMBERS = "SELECT name, id FROM netpulse_names WHERE kind = ? AND name {among}"

SPOOLS = "SELECT agent, spool, mark FROM netpulse_spools"
SPOOL = "SELECT mark FROM netpulse_spools WHERE agent = ? AND spool = ?"
STORE_SPOOL = """
    INSERT INTO netpulse_spools (agent, spool, mark, seen) VALUES (?, ?, ?, ?)
    ON CONFLICT (agent, spool) DO UPDATE SET mark = excluded.mark, seen = excluded.seen"""

# Numbers have no gaps but for monitors that were dropped, so a range is a page.
RESULTS_BETWEEN = f"SELECT {RESULT} FROM netpulse_results r WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq"

FORGET_STATES = "DELETE FROM netpulse_states"
STORE_STATE = "INSERT INTO netpulse_states (monitor, data) VALUES (?, ?)"
STATES = "SELECT monitor, data FROM netpulse_states"

# ---------------------------------------------------------------- incidents

REVISIONS = "SELECT id, revision, data FROM netpulse_incidents WHERE id {among}"
STORE_INCIDENT = """
    INSERT INTO netpulse_incidents (id, tenant, standing, revision, resolved, data) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET standing = excluded.standing, revision = excluded.revision,
        resolved = excluded.resolved, data = excluded.data"""
STORE_MEMBER = "INSERT INTO netpulse_members (monitor, incident) VALUES (?, ?) ON CONFLICT DO NOTHING"
TRANSITIONS_AMONG = "SELECT incident, number, data FROM netpulse_transitions WHERE incident {among} AND number >= ?"
STORE_TRANSITION = "INSERT INTO netpulse_transitions (incident, number, data) VALUES (?, ?, ?)"
TIMELINE = "SELECT data FROM netpulse_transitions WHERE incident = ? ORDER BY number"

# An end stays as it was first told.
STORE_SPAN = """
    INSERT INTO netpulse_spans (monitor, kind, since, until) VALUES (?, ?, ?, ?)
    ON CONFLICT (monitor, since, kind) DO UPDATE SET until = excluded.until WHERE netpulse_spans.until IS NULL"""
OPEN_SPANS = "SELECT monitor, kind, since, until FROM netpulse_spans WHERE until IS NULL ORDER BY since, monitor, kind"

STANDING = "SELECT data FROM netpulse_incidents WHERE standing = 1 ORDER BY id"
RESOLVED_SINCE = "SELECT data FROM netpulse_incidents WHERE resolved IS NOT NULL AND resolved >= ? ORDER BY id"
TOLD = "SELECT incident, key, at FROM netpulse_notices WHERE incident {among} ORDER BY id"

# ---------------------------------------------------------------- the outbox

STORE_NOTICE = """
    INSERT INTO netpulse_notices (key, incident, channel, at, state, due, attempts, lease, error, reference, data)
    VALUES (?, ?, ?, ?, 'waiting', ?, 0, '', '', '', ?) ON CONFLICT (key) DO NOTHING"""

# Two that wait in one line go one after the other, unless the first is held back for the night: a ticket must not hold
# back the page that it has become. A test belongs to no incident and waits for nobody.
OWED = """
    SELECT n.key, n.attempts, n.data FROM netpulse_notices n
    WHERE n.state = 'waiting' AND n.due <= ? AND (n.incident = '' OR NOT EXISTS (
        SELECT 1 FROM netpulse_notices b
        WHERE b.state = 'waiting' AND b.incident = n.incident AND b.channel = n.channel AND b.id < n.id
            AND (b.attempts > 0 OR b.due <= n.due)))
    ORDER BY n.due, n.id LIMIT ? {take}"""
LEASE = "UPDATE netpulse_notices SET due = ?, attempts = ?, lease = ? WHERE key = ?"
# Whoever says so: a message that was sent is sent, also when the lease was over before it was told.
SENT = "UPDATE netpulse_notices SET state = 'sent', error = '', reference = ? WHERE key = ? AND state <> 'sent'"
AGAIN = "UPDATE netpulse_notices SET error = ?, due = ? WHERE key = ? AND lease = ? AND state = 'waiting'"
GIVEN_UP = "UPDATE netpulse_notices SET error = ?, state = 'failed' WHERE key = ? AND lease = ? AND state = 'waiting'"
NOTICES = "SELECT data, state, error FROM netpulse_notices WHERE incident = ? ORDER BY id"
OWED_FIGURES = "SELECT count(*), min(at) FROM netpulse_notices WHERE state = 'waiting'"

# ---------------------------------------------------------------- rollups

_TABLES = {60: "netpulse_minutes", 3600: "netpulse_hours", 86_400: "netpulse_days"}

TO_ROLL = "SELECT at, monitor, source, total, what, figures FROM netpulse_results WHERE seq > ? AND seq <= ?"
TAIL = f"{TO_ROLL} AND monitor {{among}}"

ROLLUPS_AT = {
    size: f"SELECT monitor, region, up, down, unknown, data FROM {table} WHERE at = ? AND monitor {{among}}"
    for size, table in _TABLES.items()
}
_REPLACE = """
    ON CONFLICT (monitor, at, region) DO UPDATE SET up = excluded.up, down = excluded.down,
        unknown = excluded.unknown, data = excluded.data"""
STORE_ROLLUP = {
    size: f"""
    INSERT INTO {table} (monitor, at, region, up, down, unknown, data) VALUES (?, ?, ?, ?, ?, ?, ?) {_REPLACE}"""
    for size, table in _TABLES.items()
}
# Of PostgreSQL: a list for each column.
STORE_ROLLUPS = {
    size: f"""
    INSERT INTO {table} (monitor, at, region, up, down, unknown, data)
    SELECT * FROM unnest(CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]),
        CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bytea[])) {_REPLACE}"""
    for size, table in _TABLES.items()
}
SERIES = {
    size: f"SELECT at, region, up, down, unknown, data FROM {table} WHERE monitor = ? AND at >= ? AND at < ?"
    for size, table in _TABLES.items()
}
COUNTS = {
    size: f"""
    SELECT monitor, sum(up), sum(down) FROM {table} WHERE monitor {{among}} AND at >= ? AND at < ? GROUP BY monitor"""
    for size, table in _TABLES.items()
}
KEPT = "SELECT size, since FROM netpulse_kept"
STORE_KEPT = """
    INSERT INTO netpulse_kept (size, since) VALUES (?, ?)
    ON CONFLICT (size) DO UPDATE SET since = excluded.since WHERE netpulse_kept.since < excluded.since"""

# ---------------------------------------------------------------- reading

CHECKS = f"""
    SELECT {RESULT} FROM netpulse_results r
    WHERE r.monitor = ? AND r.at >= ? AND r.at <= ? AND (r.at, r.seq) < (?, ?) ORDER BY r.at DESC, r.seq DESC LIMIT ?"""
SPANS = """
    SELECT monitor, kind, since, until FROM netpulse_spans
    WHERE monitor {among} AND since < ? AND (until IS NULL OR until > ?) ORDER BY since, monitor, kind"""

# One range of an index for each tenant and state; together they are a page without sorting what is not on it.
INCIDENTS = """
    SELECT data FROM netpulse_incidents WHERE tenant = ? AND standing = ? AND id < ? ORDER BY id DESC LIMIT ?"""
INCIDENTS_OF = """
    SELECT i.data FROM netpulse_members m JOIN netpulse_incidents i ON i.id = m.incident
    WHERE m.monitor = ? AND m.incident < ? AND i.tenant = ? AND i.standing = ? ORDER BY m.incident DESC LIMIT ?"""
INCIDENT = "SELECT data FROM netpulse_incidents WHERE id = ? AND tenant IN (?, '')"

# ---------------------------------------------------------------- what the API makes

DEFINITIONS = "SELECT data FROM netpulse_definitions WHERE kind = ? ORDER BY tenant, id"
DEFINITIONS_SINCE = "SELECT data FROM netpulse_definitions WHERE kind = ? AND ends > ? ORDER BY tenant, id"
DEFINE = """
    INSERT INTO netpulse_definitions (kind, tenant, id, ends, data) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, tenant, id) DO UPDATE SET ends = excluded.ends, data = excluded.data"""
UNDEFINE = "DELETE FROM netpulse_definitions WHERE kind = ? AND tenant = ? AND id = ?"

DOCUMENT = "SELECT data FROM netpulse_documents WHERE kind = ? AND key = ?"
DOCUMENTS = "SELECT key, data FROM netpulse_documents WHERE kind = ? ORDER BY key"
STORE_DOCUMENT = """
    INSERT INTO netpulse_documents (kind, key, data) VALUES (?, ?, ?)
    ON CONFLICT (kind, key) DO UPDATE SET data = excluded.data"""
DROP_DOCUMENT = "DELETE FROM netpulse_documents WHERE kind = ? AND key = ?"

# ---------------------------------------------------------------- forgetting, in bounded steps

# The oldest are looked at, and those of them that are over their time go.
FORGET_RESULTS = """
    DELETE FROM netpulse_results
    WHERE at < ? AND seq IN (SELECT seq FROM netpulse_results WHERE seq <= ? ORDER BY seq LIMIT ?)"""
FORGET_ROLLUPS = {
    size: f"""
    DELETE FROM {table} WHERE (monitor, at, region) IN (
        SELECT monitor, at, region FROM {table} WHERE monitor = ? AND at < ? ORDER BY at LIMIT ?)"""
    for size, table in _TABLES.items()
}
FORGET_RESULTS_OF = """
    DELETE FROM netpulse_results WHERE monitor = ? AND seq IN (
        SELECT seq FROM netpulse_results WHERE monitor = ? AND seq <= ? LIMIT ?)"""
ANY_RESULT_OF = "SELECT 1 FROM netpulse_results WHERE monitor = ? LIMIT 1"
MONITORS_AFTER = "SELECT id FROM netpulse_names WHERE kind = 1 AND id > ? ORDER BY id LIMIT ?"

INCIDENTS_OVER = """
    SELECT id FROM netpulse_incidents WHERE resolved IS NOT NULL AND resolved < ? ORDER BY resolved LIMIT ?"""
FORGET_OF_INCIDENT = tuple(
    f"DELETE FROM {table} WHERE {column} {{among}}"
    for table, column in (
        ("netpulse_transitions", "incident"),
        ("netpulse_members", "incident"),
        ("netpulse_notices", "incident"),
        ("netpulse_incidents", "id"),
    )
)
FORGET_TESTS = "DELETE FROM netpulse_notices WHERE incident = '' AND at < ?"
FORGET_SPANS = """
    DELETE FROM netpulse_spans WHERE (monitor, since, kind) IN (
        SELECT monitor, since, kind FROM netpulse_spans WHERE until IS NOT NULL AND until < ? LIMIT ?)"""
FORGET_DEFINITIONS = "DELETE FROM netpulse_definitions WHERE ends IS NOT NULL AND ends < ?"
FORGET_SPOOLS = "DELETE FROM netpulse_spools WHERE seen < ?"
FORGET_NAMES = """
    DELETE FROM netpulse_names WHERE id IN (
        SELECT id FROM netpulse_names WHERE kind = ? AND seen < ? LIMIT ?)"""
DROP_NAME = "UPDATE netpulse_names SET kind = 0, name = CAST(id AS TEXT) WHERE kind = 1 AND name = ?"
DROP_NAMES = "UPDATE netpulse_names SET kind = 0, name = CAST(id AS TEXT) WHERE kind = 1 AND seen < ?"
DROPPED = "SELECT id FROM netpulse_names WHERE kind = 0 ORDER BY id LIMIT 1"
FORGET_NUMBER = "DELETE FROM netpulse_names WHERE id = ?"
FORGET_STATE = "DELETE FROM netpulse_states WHERE monitor = ?"
FORGET_SPANS_OF = "DELETE FROM netpulse_spans WHERE monitor = ?"
