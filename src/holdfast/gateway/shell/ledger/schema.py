"""The ledger's tables. Money is nano-dollars, times are seconds since the epoch.

- ``gateway_journals``: how far each journal is folded in. Moved on in the transaction that folds, and only from where
  the fold began: no record counts twice, whatever dies in between.
- ``gateway_attempts``: one row per attempt at a provider, and per answer of the cache (``outcome`` is ``cached``).
  ``open`` until its end is folded; ``orphaned`` when its process died before it ended.
- ``gateway_shares``: what each journal was granted and has spent of each scope in each window. All scopes are in it,
  limited or not, so that a limit that is set today knows what this month has cost.
- ``gateway_budgets``: a row to lock for each scope and window in which something is granted.
"""

from __future__ import annotations

from typing import Final

COMPONENT: Final = "gateway.ledger"

VERSIONS: Final = (
    (
        """CREATE TABLE gateway_journals (
            journal TEXT PRIMARY KEY,
            instance TEXT NOT NULL,
            segment {bigint} NOT NULL,
            place {bigint} NOT NULL,
            wall {float} NOT NULL
        )""",
        """CREATE TABLE gateway_attempts (
            attempt TEXT PRIMARY KEY,
            request TEXT NOT NULL,
            journal TEXT NOT NULL,
            tenant TEXT NOT NULL,
            team TEXT,
            holder TEXT,                      -- the user
            key_id TEXT NOT NULL,
            model TEXT NOT NULL,
            deployment TEXT NOT NULL,
            upstream_model TEXT NOT NULL,
            kind TEXT NOT NULL,
            hedge SMALLINT NOT NULL,
            shadow SMALLINT NOT NULL,
            day {bigint} NOT NULL,            -- that it is charged to, since the epoch
            began {float} NOT NULL,
            ended {float},
            outcome TEXT NOT NULL,
            status INTEGER NOT NULL,
            reserved {bigint} NOT NULL,
            cost {bigint},                    -- NULL: open, or its price is unknown
            input_tokens {bigint} NOT NULL,
            output_tokens {bigint} NOT NULL,
            cache_read_tokens {bigint} NOT NULL,
            cache_write_tokens {bigint} NOT NULL,
            reasoning_tokens {bigint} NOT NULL,
            estimated SMALLINT NOT NULL,
            details {blob} NOT NULL,          -- the whole usage, msgpack
            first_token {float},
            duration {float} NOT NULL
        )""",
        "CREATE INDEX gateway_attempts_by_tenant ON gateway_attempts (tenant, day)",
        "CREATE INDEX gateway_attempts_by_day ON gateway_attempts (day)",
        "CREATE INDEX gateway_attempts_unended ON gateway_attempts (journal) WHERE outcome = 'open'",
        """CREATE TABLE gateway_tags (
            attempt TEXT NOT NULL,
            tag TEXT NOT NULL,
            PRIMARY KEY (attempt, tag)
        )""",
        """CREATE TABLE gateway_shares (
            scope TEXT NOT NULL,
            period TEXT NOT NULL,
            number {bigint} NOT NULL,
            journal TEXT NOT NULL,
            granted {bigint} NOT NULL,
            spent {bigint} NOT NULL,
            PRIMARY KEY (scope, period, number, journal)
        )""",
        """CREATE TABLE gateway_budgets (
            scope TEXT NOT NULL,
            period TEXT NOT NULL,
            number {bigint} NOT NULL,
            asked {bigint} NOT NULL,
            PRIMARY KEY (scope, period, number)
        )""",
        """CREATE TABLE gateway_keys (
            key_id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            team TEXT,
            holder TEXT,
            limits TEXT NOT NULL,             -- LimitSettings, JSON; empty: those of `limits.default`
            tags TEXT NOT NULL,               -- JSON
            created_by TEXT NOT NULL,
            created {float} NOT NULL
        )""",
        "CREATE INDEX gateway_keys_by_tenant ON gateway_keys (tenant, created)",
    ),
)
