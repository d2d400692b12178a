"""The queue's tables. Times are seconds since the epoch, amounts of CPU microseconds, truth values 0 and 1.

- ``queue_jobs`` is the truth: one small row per job. Everything else about a job hangs on its id.
- ``queue_lanes`` and ``queue_tenants`` are sums over it, kept in the same transactions, so that a submission or a
  claim reads a few rows however long the queue is. A lane is a tenant's queued jobs of one language and weight.
- ``queue_costs`` stands alone: what was used outlives the jobs that used it.
"""

from __future__ import annotations

from typing import Final

COMPONENT: Final = "execution.queue"

VERSIONS: Final = (
    (
        """CREATE TABLE queue_jobs (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            language TEXT NOT NULL,
            priority TEXT NOT NULL,
            compiled SMALLINT NOT NULL,
            cpu_limit_us BIGINT NOT NULL,    -- of running and, where needed, compiling it
            submitted {float} NOT NULL,
            deadline {float},
            callback_url TEXT,
            metadata {blob} NOT NULL,
            key_id TEXT,
            fingerprint {blob} NOT NULL,
            output_limit BIGINT NOT NULL,
            idempotency_key TEXT,            -- forgotten together with the result
            estimate_us BIGINT NOT NULL,     -- as of the submission, then as of the last claim
            heavy SMALLINT NOT NULL,         -- likewise
            status TEXT NOT NULL,
            queued_at {float} NOT NULL,      -- when it came into the queue last: submission, retry, replay
            order_key {float} NOT NULL,      -- within a tenant the smallest goes first
            not_before {float} NOT NULL,     -- of a retry
            ready SMALLINT NOT NULL,         -- queued, and not_before is over
            attempts INTEGER NOT NULL,
            token BIGINT NOT NULL,           -- of the last claim
            settled BIGINT NOT NULL,         -- the last token whose end was taken from its worker
            worker TEXT,
            epoch TEXT,
            started {float},
            lease_until {float},
            stop TEXT,                       -- why a running job is to be killed: cancelled, expired
            verdict TEXT,
            finished {float},
            sweep {float},                   -- when retention has its next step to do
            expired SMALLINT NOT NULL,       -- that step was taken: no program, result or events any more
            dead_reason TEXT,
            queued_ms {float},
            cost_us BIGINT NOT NULL,
            seq BIGINT NOT NULL,             -- number of the last event
            pieces BIGINT NOT NULL,          -- pieces of live output taken of the last claim
            output_left BIGINT NOT NULL      -- bytes of live output that may still be kept of the last claim
        )""",
        # What can be claimed, in order: a claim reads the head of each lane and not one row more.
        """CREATE INDEX queue_jobs_ready ON queue_jobs (tenant, language, heavy, order_key, id)
            WHERE ready = 1""",
        """CREATE INDEX queue_jobs_waiting ON queue_jobs (not_before)
            WHERE status = 'queued' AND ready = 0""",
        # As small as the workers have slots: expiry of leases may read all of it.
        "CREATE INDEX queue_jobs_running ON queue_jobs (worker, heavy) WHERE status = 'running'",
        """CREATE INDEX queue_jobs_deadline ON queue_jobs (deadline)
            WHERE deadline IS NOT NULL AND status IN ('queued', 'running')""",
        "CREATE INDEX queue_jobs_sweep ON queue_jobs (sweep) WHERE sweep IS NOT NULL",
        # Ids sort by time, so a page of one tenant is a range.
        "CREATE INDEX queue_jobs_listing ON queue_jobs (tenant, status, id)",
        """CREATE UNIQUE INDEX queue_jobs_idempotency ON queue_jobs (tenant, idempotency_key)
            WHERE idempotency_key IS NOT NULL""",
        "CREATE TABLE queue_programs (job TEXT PRIMARY KEY, data {blob} NOT NULL)",
        "CREATE TABLE queue_results (job TEXT PRIMARY KEY, data {blob} NOT NULL)",
        # `queued` (always number 1) and `finished` (always the last) are told from the job's row and not kept here.
        """CREATE TABLE queue_events (
            job TEXT NOT NULL,
            seq BIGINT NOT NULL,
            kind TEXT NOT NULL,
            at {float} NOT NULL,
            data {blob} NOT NULL,
            PRIMARY KEY (job, seq)
        )""",
        """CREATE TABLE queue_lanes (
            tenant TEXT NOT NULL,
            language TEXT NOT NULL,
            heavy SMALLINT NOT NULL,
            queued BIGINT NOT NULL,
            backlog_us BIGINT NOT NULL,
            PRIMARY KEY (tenant, language, heavy)
        )""",
        "CREATE INDEX queue_lanes_busy ON queue_lanes (tenant, language, heavy, queued, backlog_us) WHERE queued > 0",
        """CREATE TABLE queue_tenants (
            tenant TEXT PRIMARY KEY,
            running BIGINT NOT NULL,
            deficit_us BIGINT NOT NULL,
            turn BIGINT NOT NULL,
            fresh SMALLINT NOT NULL,         -- has come back from being idle and was not served yet
            idle_s {float} NOT NULL,         -- how long it was idle then
            active {float} NOT NULL          -- when it had a job last
        )""",
        # One row; who holds its lock is the one that claims.
        "CREATE TABLE queue_turn (one SMALLINT PRIMARY KEY, turn BIGINT NOT NULL)",
        "INSERT INTO queue_turn VALUES (1, 0)",
        # How fast work goes: sums over spans of a few seconds, of which the last minute is kept.
        """CREATE TABLE queue_drain (
            span BIGINT PRIMARY KEY,
            cpu_us BIGINT NOT NULL,
            busy_us BIGINT NOT NULL,
            jobs BIGINT NOT NULL
        )""",
        # The tenant '' stands for everybody together.
        """CREATE TABLE queue_estimates (
            tenant TEXT NOT NULL,
            language TEXT NOT NULL,
            mean_us {float} NOT NULL,
            high_us {float} NOT NULL,
            PRIMARY KEY (tenant, language)
        )""",
        # A name may stand here with several epochs; the newest replaced the others, which get nothing.
        """CREATE TABLE queue_workers (
            name TEXT NOT NULL,
            epoch TEXT NOT NULL,
            slots INTEGER NOT NULL,
            free INTEGER NOT NULL,
            languages TEXT NOT NULL,
            tier TEXT NOT NULL,
            seen {float} NOT NULL,
            state TEXT NOT NULL,             -- live, silent, replaced
            PRIMARY KEY (name, epoch)
        )""",
        """CREATE TABLE queue_costs (
            day TEXT NOT NULL,
            tenant TEXT NOT NULL,
            language TEXT NOT NULL,
            jobs BIGINT NOT NULL,
            cpu_us BIGINT NOT NULL,
            PRIMARY KEY (tenant, day, language)
        )""",
        """CREATE TABLE queue_dead_letters (
            job TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            language TEXT NOT NULL,
            died {float} NOT NULL,
            reason TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            replayed {float}
        )""",
        "CREATE INDEX queue_dead_letters_by_tenant ON queue_dead_letters (tenant, job)",
        # Calls to make: written with the end of the job, so that none is forgotten; `due` moves on with each lease.
        """CREATE TABLE queue_callbacks (
            job TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            url TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            due {float} NOT NULL,
            last_error TEXT
        )""",
        "CREATE INDEX queue_callbacks_due ON queue_callbacks (due) WHERE state = 'pending'",
        "CREATE INDEX queue_callbacks_by_tenant ON queue_callbacks (tenant, job)",
    ),
)
