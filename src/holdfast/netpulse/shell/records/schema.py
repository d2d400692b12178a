"""NetPulse's tables. Times are seconds since the epoch, truth values 0 and 1, unless a column says otherwise.

- ``netpulse_engine`` is one row. Whoever takes results or decides holds its lock until the commit, so results are
  numbered without gaps in the order of their commits: "everything after number n" is a cursor that misses nothing.
- ``netpulse_results`` has a row per check, as narrow as it gets: names are numbers (``netpulse_names``), small numbers
  are packed (:mod:`.rows`). PostgreSQL keeps each day in a partition of its own, which is dropped whole. SQLite has one
  table: to drop one of 1.5 million rows kept all writers waiting for 0.6 s, and a day at 1,000 a second has 86 million;
  a step that deletes 2,000 takes some 60 ms, at 3 % of a core for as many as come.
- ``netpulse_minutes``, ``_hours`` and ``_days`` are sums over it, made in the transaction that moves ``rolled`` on.
- Incidents, transitions, spans and notices are written by one transaction for each decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.store import Dialect

COMPONENT: Final = "netpulse.records"

_ROLLUP: Final = """CREATE TABLE {name} (
    monitor INTEGER NOT NULL,
    at {{bigint}} NOT NULL,              -- its beginning
    region INTEGER NOT NULL,
    up INTEGER NOT NULL,
    down INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    data {{blob}} NOT NULL,              -- latencies and phases, see rows.Sums
    PRIMARY KEY (monitor, at, region)
)"""

_RESULTS: Final = """CREATE TABLE netpulse_results (
    seq {bigint} NOT NULL,               -- in the order of the commits, without gaps
    at {bigint} NOT NULL,                -- milliseconds
    monitor INTEGER NOT NULL,
    source INTEGER NOT NULL,             -- region, domain and agent
    delay INTEGER NOT NULL,              -- milliseconds from `at` until it was received
    total INTEGER NOT NULL,              -- hundredths of a millisecond
    address INTEGER NOT NULL,            -- 0: none
    status INTEGER NOT NULL,
    what SMALLINT NOT NULL,              -- outcome, failure and flags
    day SMALLINT NOT NULL,               -- that it was received on, since the epoch
    figures {blob} NOT NULL,             -- phases, and the certificate's days
    detail TEXT NOT NULL"""
# Wide columns first: PostgreSQL aligns them. No NULL: a row with one has 8 bytes more there.

_TABLES: Final = (
    """CREATE TABLE netpulse_engine (
        one SMALLINT PRIMARY KEY,
        epoch {bigint} NOT NULL,         -- of the engine that decides
        stored {bigint} NOT NULL,        -- number of the last result
        rolled {bigint} NOT NULL,        -- number of the last result that is in the rollups
        checkpoint {bigint} NOT NULL     -- number of the last result that is in the states
    )""",
    "INSERT INTO netpulse_engine VALUES (1, 0, 0, 0, 0)",
    """CREATE TABLE netpulse_names (
        id {serial},
        kind SMALLINT NOT NULL,
        name TEXT NOT NULL,
        seen INTEGER NOT NULL,           -- day since the epoch
        UNIQUE (kind, name)
    )""",
    """CREATE TABLE netpulse_spools (
        agent TEXT NOT NULL,
        spool TEXT NOT NULL,
        mark {blob} NOT NULL,            -- the numbers that were taken, see marks.Mark
        seen INTEGER NOT NULL,           -- day since the epoch
        PRIMARY KEY (agent, spool)
    )""",
    "CREATE TABLE netpulse_states (monitor TEXT PRIMARY KEY, data {blob} NOT NULL)",
    # From when on the rollups of each size are complete: what is older was forgotten.
    "CREATE TABLE netpulse_kept (size INTEGER PRIMARY KEY, since {bigint} NOT NULL)",
    """CREATE TABLE netpulse_incidents (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        standing SMALLINT NOT NULL,
        revision INTEGER NOT NULL,
        resolved {float},
        data {blob} NOT NULL
    )""",
    # Ids sort by time, so a page of one tenant is a range.
    "CREATE INDEX netpulse_incidents_listing ON netpulse_incidents (tenant, standing, id)",
    "CREATE INDEX netpulse_incidents_resolved ON netpulse_incidents (resolved) WHERE resolved IS NOT NULL",
    """CREATE TABLE netpulse_members (
        monitor TEXT NOT NULL,
        incident TEXT NOT NULL,
        PRIMARY KEY (monitor, incident)
    )""",
    "CREATE INDEX netpulse_members_of ON netpulse_members (incident)",
    """CREATE TABLE netpulse_transitions (
        incident TEXT NOT NULL,
        number INTEGER NOT NULL,
        data {blob} NOT NULL,
        PRIMARY KEY (incident, number)
    )""",
    """CREATE TABLE netpulse_spans (
        monitor TEXT NOT NULL,
        kind TEXT NOT NULL,
        since {float} NOT NULL,
        until {float},
        PRIMARY KEY (monitor, since, kind)
    )""",
    "CREATE INDEX netpulse_spans_open ON netpulse_spans (monitor) WHERE until IS NULL",
    "CREATE INDEX netpulse_spans_ended ON netpulse_spans (until) WHERE until IS NOT NULL",
    """CREATE TABLE netpulse_notices (
        id {serial},                     -- in the order of the decisions
        key TEXT NOT NULL UNIQUE,
        incident TEXT NOT NULL,          -- empty: of none, a test
        channel TEXT NOT NULL,
        at {float} NOT NULL,
        state TEXT NOT NULL,             -- waiting, sent, failed
        due {float} NOT NULL,            -- of a waiting one: not before; moves on with each lease
        attempts INTEGER NOT NULL,
        lease TEXT NOT NULL,
        error TEXT NOT NULL,
        reference TEXT NOT NULL,
        data {blob} NOT NULL
    )""",
    "CREATE INDEX netpulse_notices_due ON netpulse_notices (due) WHERE state = 'waiting'",
    "CREATE INDEX netpulse_notices_line ON netpulse_notices (incident, channel, id) WHERE state = 'waiting'",
    "CREATE INDEX netpulse_notices_of ON netpulse_notices (incident, id)",
    "CREATE INDEX netpulse_notices_loose ON netpulse_notices (at) WHERE incident = ''",
    # What the API made: monitors, silences, maintenances; `ends` of a silence.
    """CREATE TABLE netpulse_definitions (
        kind TEXT NOT NULL,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        ends {float},
        data {blob} NOT NULL,
        PRIMARY KEY (kind, tenant, id)
    )""",
    "CREATE INDEX netpulse_definitions_ends ON netpulse_definitions (ends) WHERE ends IS NOT NULL",
    """CREATE TABLE netpulse_documents (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        data {blob} NOT NULL,
        PRIMARY KEY (kind, key)
    )""",
)

_DIALECTS: Final[dict[Dialect, tuple[str, ...]]] = {
    "sqlite": (
        _RESULTS.replace("seq {bigint} NOT NULL", "seq INTEGER PRIMARY KEY") + ")",
        "CREATE INDEX netpulse_results_of ON netpulse_results (monitor, at)",
        *(_ROLLUP.format(name=f"netpulse_{size}") + " WITHOUT ROWID" for size in ("minutes", "hours", "days")),
    ),
    "postgresql": (
        f"{_RESULTS}) PARTITION BY RANGE (day)",
        "CREATE INDEX netpulse_results_of ON netpulse_results (monitor, at)",
        # Numbers rise along the table, so a summary of each stretch is enough to find them: a thousandth of a B-tree.
        "CREATE INDEX netpulse_results_seq ON netpulse_results USING brin (seq) WITH (pages_per_range = 32)",
        # Room in each page for the rows that are added to, so that their indices need no change.
        *(_ROLLUP.format(name=f"netpulse_{size}") + " WITH (fillfactor = 80)" for size in ("minutes", "hours", "days")),
    ),
}


def versions(dialect: Dialect) -> tuple[tuple[str, ...], ...]:
    """Of the schema, for :meth:`~holdfast.store.Database.migrate`."""
    return ((*_TABLES, *_DIALECTS[dialect]),)
