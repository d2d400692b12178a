"""Every statement of the records but those of exports, by name.

Both stores run the same text, except for the words in braces, which :func:`of` fills in:

- ``{among}`` takes one parameter made by :func:`several` and matches any of its values;
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
    "sqlite": {"among": "IN (SELECT value FROM json_each(?))", "lock": "", "take": ""},
    "postgresql": {"among": "= ANY(?)", "lock": "FOR UPDATE", "take": "FOR UPDATE OF n SKIP LOCKED"},
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

NAME_USED = """
    INSERT INTO netpulse_names (kind, name, seen) VALUES (?, ?, ?)
    ON CONFLICT (kind, name) DO UPDATE SET seen = excluded.seen RETURNING id"""
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
