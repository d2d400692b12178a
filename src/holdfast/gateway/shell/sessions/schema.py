"""Tables of sessions and runs. Times are seconds since the epoch, money nano-dollars, truth values 0 and 1.

- ``gateway_sessions``: what all runs of a conversation have in common.
- ``gateway_runs``: a row per message. ``owner`` is the process that works on it until ``lease``; a row without one, or
  whose lease ran out, is anybody's. ``events`` counts those that are stored, and is what a writer has to know to add
  one: of two processes that believe to be the owner, one fails.
- ``gateway_run_events``: what happened, in order, numbered from 1 without gaps.
"""

from __future__ import annotations

from typing import Final

COMPONENT: Final = "gateway.sessions"

VERSIONS: Final = (
    (
        """CREATE TABLE gateway_sessions (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            key_id TEXT NOT NULL,             -- that made it
            created {float} NOT NULL,
            used {float} NOT NULL,            -- when a run last began or ended
            data {blob} NOT NULL              -- model, system, tools, metadata; JSON
        )""",
        "CREATE INDEX gateway_sessions_used ON gateway_sessions (used)",
        """CREATE TABLE gateway_runs (
            id TEXT PRIMARY KEY,
            session TEXT NOT NULL,
            number INTEGER NOT NULL,          -- in its session, from 1
            tenant TEXT NOT NULL,
            key_id TEXT NOT NULL,             -- who pays
            idempotency TEXT,
            body TEXT NOT NULL,               -- SHA-256 of the message as it was sent
            state TEXT NOT NULL,
            ended SMALLINT NOT NULL,
            cancelled SMALLINT NOT NULL,      -- whether somebody asked for it
            owner TEXT NOT NULL,
            lease {float} NOT NULL,
            events INTEGER NOT NULL,
            created {float} NOT NULL,
            updated {float} NOT NULL,
            task {blob} NOT NULL,             -- what is asked, and for whom; JSON
            answer {blob},
            UNIQUE (session, number),
            UNIQUE (session, idempotency)
        )""",
        "CREATE INDEX gateway_runs_unended ON gateway_runs (created) WHERE ended = 0",
        """CREATE TABLE gateway_run_events (
            run TEXT NOT NULL,
            number INTEGER NOT NULL,
            at {float} NOT NULL,
            data {blob} NOT NULL,
            PRIMARY KEY (run, number)
        )""",
    ),
)
