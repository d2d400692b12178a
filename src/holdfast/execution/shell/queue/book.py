"""What one transaction is going to change, gathered while it decides and written in one go.

Sums (lanes, tenants, costs) are written as differences, next to the rows that they are sums of: nothing else in this
package touches them, so they cannot come apart. And a batch costs one ``executemany`` per table, whatever its size.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.execution.core.estimate import learn
from holdfast.execution.core.lease import expires
from holdfast.execution.shell.queue import prices, sql
from holdfast.execution.shell.queue.record import Record, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.execution.core.estimate import Estimate
    from holdfast.execution.core.job import Result
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx

WORK: Final = "queue_work"
"""Channel: there may be something to claim or to kill."""
JOBS: Final = "queue_jobs"
"""Channel: something happened to these jobs; ids with commas between them."""

SPAN_S: Final = 5
"""The drain rate is measured in spans of this many seconds."""

_IDS_PER_NOTE: Final = 100  # of 26 characters: well below the 4000 bytes that a note may have


def day_of(now: float) -> str:
    """The UTC day, ``YYYY-MM-DD``."""
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%d")


class Book:
    """The changes of one transaction. Used once: gather, then :meth:`write`."""

    def __init__(self, tx: Tx, settings: ExecutionSettings, now: float) -> None:
        """Waits for the transaction's turn; has to come before anything that is read."""
        if (turn := sql.TURN[tx.dialect]) is not None:
            tx.one(turn)
        self.tx = tx
        self.settings = settings
        self.now = now
        self.work = False
        """Whether workers that wait should look."""
        self._told: dict[str, None] = {}
        self._changed: dict[str, Record] = {}
        self._inserted: list[tuple[Any, ...]] = []
        self._programs: list[tuple[str, bytes]] = []
        self._output: dict[str, Record] = {}
        self._renewed: list[tuple[float, str, int]] = []
        self._events: list[tuple[str, int, str, float, bytes]] = []
        self._results: list[tuple[str, bytes]] = []
        self._callbacks: list[tuple[str, str, str, float]] = []
        self._letters: list[tuple[str, str, str, float, str, int]] = []
        self._removed: list[tuple[str]] = []
        self._lanes: defaultdict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
        self._tenants: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._costs: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._drained: list[tuple[int, int]] = []
        self._observed: list[tuple[str, str, int]] = []

    # ------------------------------------------------------------ rows

    def jobs(self, ids: Iterable[str]) -> dict[str, Record]:
        """By id; those that do not exist are left out."""
        wanted = set(ids)
        if not wanted:
            return {}
        rows = self.tx.all(sql.of(self.tx.dialect, sql.JOBS), sql.several(self.tx.dialect, wanted))
        return {row[0]: Record(*row) for row in rows}

    def insert(self, job: tuple[Any, ...], program: bytes) -> None:
        """Add a job, a tuple in the order of :class:`Record`."""
        self._inserted.append(job)
        self._programs.append((job[0], program))

    def change(self, job: Record) -> None:
        """Write the job's row."""
        self._changed[job.id] = job
        self._told[job.id] = None

    def renew(self, job: Record) -> None:
        """Let the lease run from now."""
        self._renewed.append((expires(self.now, self.settings.lease), job.id, job.token))

    def event(self, job: Record, kind: str, data: Any) -> None:
        """Note an event under the job's next number; its row has to be written too."""
        job.seq += 1
        self._events.append((job.id, job.seq, kind, self.now, msgspec.json.encode(data)))

    def output(self, job: Record, stream: str, data: bytes) -> None:
        """Note live output. Writes the row."""
        job.seq += 1
        self._events.append((job.id, job.seq, stream, self.now, data))
        self.note_pieces(job)

    def note_pieces(self, job: Record) -> None:
        """Write how much live output was taken."""
        self._output[job.id] = job
        self._told[job.id] = None

    def result(self, job: Record, result: Result) -> None:
        """Keep what came out."""
        self._results.append((job.id, encode(result)))

    def callback(self, job: Record) -> None:
        """Have the job's owner told, if it asked for that: the order to do so is committed with the job's end."""
        if job.callback_url is not None:
            self._callbacks.append((job.id, job.tenant, job.callback_url, self.now))

    def letter(self, job: Record, reason: str) -> None:
        """Put it with the dead letters."""
        self._letters.append((job.id, job.tenant, job.language, self.now, reason, job.attempts))

    def remove(self, job: Record) -> None:
        """Remove everything that hangs on the job's id. Its row stays."""
        self._removed.append((job.id,))

    # ------------------------------------------------------------ sums

    def queued(self, tenant: str, language: str, heavy: int, estimate_us: int, count: int = 1) -> None:
        """``count`` jobs came into the queue; a negative one: left it."""
        lane = self._lanes[tenant, language, heavy]
        lane[0] += count
        lane[1] += count * estimate_us

    def running(self, tenant: str, count: int, deficit_us: int = 0) -> None:
        """``count`` jobs were started, or ended if negative; what the tenant has left changed by ``deficit_us``."""
        sums = self._tenants[tenant]
        sums[0] += count
        sums[1] += deficit_us

    def used(self, job: Record, cpu_us: int, *, ended: bool) -> None:
        """Charge for CPU time; ``ended`` counts a job too."""
        job.cost_us += cpu_us
        cost = self._costs[job.tenant, job.language]
        cost[0] += ended
        cost[1] += cpu_us

    def drained(self, job: Record, cpu_us: int) -> None:
        """Note how much CPU time a slot got through while it was busy with the job."""
        self._drained.append((cpu_us, max(0, round((self.now - (job.started or self.now)) * 1e6))))

    def observed(self, job: Record, cpu_us: int) -> None:
        """Learn from what the job cost."""
        self._observed.append((job.tenant, job.language, cpu_us))

    # ------------------------------------------------------------ out

    def write(self) -> None:
        """Write everything."""
        tx = self.tx
        _many(tx, sql.INSERT_JOB, self._inserted)
        _many(tx, sql.INSERT_PROGRAM, self._programs)
        _many(tx, sql.UPDATE_JOB, [job.changes() for job in self._changed.values()])
        _many(tx, sql.RENEW, self._renewed)
        _many(
            tx,
            sql.NOTE_OUTPUT,
            [(j.seq, j.pieces, j.output_left, j.id) for j in self._output.values() if j.id not in self._changed],
        )
        _many(tx, sql.INSERT_EVENT, self._events)
        _many(tx, sql.STORE_RESULT, self._results)
        _many(tx, sql.STORE_CALLBACK, self._callbacks)
        _many(tx, sql.STORE_LETTER, self._letters)
        for statement in sql.REMOVE:
            _many(tx, statement, self._removed)
        _many(tx, sql.ADD_TO_TENANT, [(*sums, self.now, name) for name, sums in sorted(self._tenants.items())])
        _many(tx, sql.ADD_TO_LANE, [(*lane, *sums) for lane, sums in sorted(self._lanes.items()) if any(sums)])
        day = day_of(self.now)
        _many(tx, sql.ADD_COST, [(day, *kind, *sums) for kind, sums in sorted(self._costs.items()) if any(sums)])
        self._write_estimates()
        if self._drained:
            cpu_us, busy_us = map(sum, zip(*self._drained, strict=True))
            tx.run(sql.ADD_DRAIN, int(self.now // SPAN_S), cpu_us, busy_us, len(self._drained))
        told = list(self._told)
        for start in range(0, len(told), _IDS_PER_NOTE):
            tx.notify(JOBS, ",".join(told[start : start + _IDS_PER_NOTE]))
        if self.work:
            tx.notify(WORK, "")

    def _write_estimates(self) -> None:
        if not self._observed:
            return
        known = prices.known(self.tx, {tenant for tenant, _, _ in self._observed})
        changed: dict[tuple[str, str], Estimate] = {}
        for tenant, language, cpu_us in self._observed:
            for kind in ((tenant, language), (prices.EVERYBODY, language)):
                known[kind] = changed[kind] = learn(known.get(kind), cpu_us)
        _many(
            self.tx,
            sql.STORE_ESTIMATE,
            [(*kind, figures.mean_us, figures.high_us) for kind, figures in sorted(changed.items())],
        )


def _many(tx: Tx, statement: str, rows: list[Any]) -> None:
    if rows:
        tx.many(statement, rows)
