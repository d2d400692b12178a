"""Results that the engine has not taken yet, on disk.

Every result goes through here, whether the engine answers or not:

    add -> waiting (memory) -> a group, committed -> sent -> receipt -> deleted with the next group

Rules:

- Nothing is sent before it is committed: a number that the engine has seen is never given to another result, also
  when the agent was killed, or the machine lost its power (``synchronous=FULL``), in between.
- A group waits at most :data:`LINGER_S` for more, and not at all for a failure. What a kill can cost is what came in
  since the last commit: that time, plus the commit itself.
- Numbers go on where they ended, for as long as the file lives. What is dropped leaves its numbers unused.
- The file has a bound. Beyond it the oldest groups go, and are counted in the file.

A row is a group, not a result: at a thousand results a second that is a fiftieth of the statements.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.netpulse.core.protocol import BATCH_RESULTS
from holdfast.netpulse.core.result import Result
from holdfast.netpulse.shell.agent.clock import STEP_S, Clock
from holdfast.netpulse.shell.agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

LINGER_S: Final = 0.05
"""A result waits at most this long for others to be committed and sent with."""
MEMORY: Final = 20_000
"""Results that are kept in memory besides: those that wait for a commit, and the newest of those on disk."""
SAY_EVERY_S: Final = 60.0
AGAIN_S: Final = 1.0
"""Between two attempts to write to a disk that does not take it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spool (
    id TEXT NOT NULL,
    boot TEXT NOT NULL,
    next INTEGER NOT NULL,      -- number of the next result
    dropped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS groups (
    first INTEGER PRIMARY KEY,  -- the numbers of its results are first to last
    last INTEGER NOT NULL,
    anchor REAL,                -- of the clock by which their times were told; NULL: of another boot
    data BLOB NOT NULL          -- MessagePack, an array of results
);
"""


@dataclass(slots=True)
class Group:
    """Results that were committed together."""

    first: int
    last: int
    anchor: float | None
    results: list[Result]


@dataclass(frozen=True, slots=True)
class _Change:
    """One transaction."""

    groups: Sequence[Group]
    rewritten: Sequence[Group]
    taken: int
    next: int
    dropped: int


class _File:
    """The database: used by one thread at a time."""

    def __init__(self, path: Path, size: int, boot: str) -> None:
        self._size = size
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Result]).decode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite makes the log alike
        self._link = link = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"journal_size_limit={4 * 2**20}"):
                link.execute(f"PRAGMA {pragma}")
            link.executescript(_SCHEMA)
            with self._transaction():
                if (row := link.execute("SELECT id, boot, next, dropped FROM spool").fetchone()) is None:
                    row = (secrets.token_hex(8), boot, 1, 0)
                    link.execute("INSERT INTO spool VALUES (?, ?, ?, ?)", row)
                self.id: str = row[0]
                self.next: int = row[2]
                self.dropped: int = row[3]
                if row[1] != boot or not boot:
                    link.execute("UPDATE groups SET anchor = NULL")
                    link.execute("UPDATE spool SET boot = ?", (boot,))
            first, self.bytes = link.execute("SELECT MIN(first), COALESCE(SUM(LENGTH(data)), 0) FROM groups").fetchone()
            self.first: int = self.next if first is None else first
        except BaseException:
            link.close()
            raise

    def commit(self, change: _Change) -> tuple[int, int]:
        """Store and forget. How many results were dropped for want of room, and the highest number among them."""
        run = self._link.execute
        size, dropped, upto = self.bytes, 0, 0
        with self._transaction():
            for (freed,) in run(
                "DELETE FROM groups WHERE last <= ? RETURNING LENGTH(data)", (change.taken,)
            ).fetchall():
                size -= freed
            for group in change.rewritten:
                data = self._encode(group.results)
                if (
                    row := run("SELECT LENGTH(data) FROM groups WHERE first = ?", (group.first,)).fetchone()
                ) is not None:
                    run("UPDATE groups SET data = ? WHERE first = ?", (data, group.first))
                    size += len(data) - row[0]
            for group in change.groups:
                data = self._encode(group.results)
                run("INSERT INTO groups VALUES (?, ?, ?, ?)", (group.first, group.last, group.anchor, data))
                size += len(data)
            while size > self._size:
                gone, freed, upto = run(
                    "DELETE FROM groups WHERE first = (SELECT MIN(first) FROM groups) "
                    "RETURNING last - first + 1, LENGTH(data), last"
                ).fetchall()[0]
                size, dropped = size - freed, dropped + gone
            run("UPDATE spool SET next = ?, dropped = ?", (change.next, change.dropped + dropped))
        self.bytes = size
        return dropped, upto

    def read(self, after: int, before: int, most: int) -> list[Group]:
        """The oldest groups with numbers between, of at least one and about ``most`` results."""
        found, count = [], 0
        for first, last, anchor, data in self._link.execute(
            "SELECT first, last, anchor, data FROM groups WHERE last > ? AND first < ? ORDER BY first", (after, before)
        ):
            found.append(Group(first, last, anchor, self._decode(data)))
            count += last - first + 1
            if count >= most:
                break
        return found

    def close(self) -> None:
        self._link.close()

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        self._link.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._link.execute("COMMIT")
        except BaseException:
            if self._link.in_transaction:
                self._link.execute("ROLLBACK")
            raise


class Spool:
    """What waits for the engine. Belongs to one loop; :meth:`run` has to run for anything to be committed."""

    def __init__(self, file: _File, lock: int, clock: Clock, memory: int) -> None:
        self._file = file
        self._memory = memory
        self._lock = lock
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self.id = file.id
        """Names the file to the engine."""
        self.dropped = file.dropped
        """Results that were lost to a full spool or never accepted, since the file was made."""
        self._next = file.next
        self._waiting: list[Result] = []
        self._since: float | None = None
        self._hurry = asyncio.Event()
        self._added = asyncio.Event()
        self._committed = asyncio.Event()
        self._recent: deque[Group] = deque()  # the newest groups of the file
        self._recent_results = 0
        self._memory_from = file.next  # groups with lower numbers are only in the file
        self._under_way: list[Group] = []
        self._rewritten: dict[int, Group] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._said: dict[str, float] = {}
        self._taken = file.first - 1
        self._upto = file.next - 1  # the highest number that is committed

    @classmethod
    def open(cls, path: Path, *, size_bytes: int, clock: Clock, boot: str, memory: int = MEMORY) -> Spool:
        """Open or make the file. Blocks for some milliseconds. ``memory`` is in results.

        Raises :class:`AgentError` for one that cannot be used, or that another agent is using.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AgentError(
                f"{path.parent} cannot be written ({error.strerror}); name a directory of this user in agents.spool"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(_File(path, size_bytes, boot), lock, clock, memory)
        except BlockingIOError:
            os.close(lock)
            raise SpoolBusy(f"{path} is in use by another agent; give this one another name") from None
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            os.close(lock)
            raise AgentError(
                f"{path} cannot be used ({error}); if it is damaged, move it away: what it holds is lost then"
            ) from error

    @property
    def spooled(self) -> int:
        """Results without a receipt."""
        under_way = sum(len(group.results) for group in self._under_way)
        return max(0, self._upto - self._taken) + under_way + len(self._waiting)

    @property
    def committed(self) -> bool:
        """Whether there is something to send."""
        return self._upto > self._taken

    def add(self, result: Result, *, hurry: bool) -> None:
        """Take up a result; its number is given here. ``hurry``: commit and send it at once."""
        self._waiting.append(msgspec.structs.replace(result, seq=self._next))
        self._next += 1
        if len(self._waiting) > self._memory:  # the disk does not take them
            del self._waiting[: self._memory // 10]
            self.dropped += self._memory // 10
        if hurry:
            self._hurry.set()
        self._added.set()

    def amend(self, change: Callable[[Result], Result | None]) -> int:
        """Correct what has no receipt: ``change`` gives another result, or ``None``. How many were corrected.

        An engine that took one, and whose receipt was lost, keeps what it took: it knows the number.
        """
        count = _amended(self._waiting, change)
        for group in (*self._recent, *self._under_way):
            if changed := _amended(group.results, change):
                self._rewritten[group.first] = group
                self._added.set()
                count += changed
        return count

    def clock_set(self, step_s: float) -> None:
        """The clock was set by so much: what waits is told by the clock of now; what is on disk knows its own."""
        self._waiting = [msgspec.structs.replace(result, at=result.at + step_s) for result in self._waiting]

    # ---------------------------------------------------------------- writing

    async def run(self) -> None:
        """Commit what comes in, until cancelled."""
        while True:
            await self._added.wait()
            if not self._hurry.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        await self._hurry.wait()
            self._added.clear()
            self._hurry.clear()
            try:
                await self.flush()
            except sqlite3.Error as error:
                self._say("spool_failed", "the spool cannot be written; results wait in memory", error=str(error))
                self._added.set()
                await asyncio.sleep(AGAIN_S)

    async def flush(self) -> None:
        """Commit all that waits. Raises ``sqlite3.Error``; then it still waits."""
        if self._flushing is not None:
            await asyncio.wait({self._flushing})
        self._flushing = asyncio.create_task(self._flush(), name="spool: commit")
        await asyncio.shield(self._flushing)  # a commit that has begun is finished, and what it did is known

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        rewritten, self._rewritten = self._rewritten, {}
        anchor = self._clock.anchor
        self._under_way = groups = [
            Group(part[0].seq, part[-1].seq, anchor, part)
            for part in (waiting[at : at + BATCH_RESULTS] for at in range(0, len(waiting), BATCH_RESULTS))
        ]
        change = _Change(
            groups=groups,
            rewritten=tuple(rewritten.values()),
            taken=self._taken,
            next=waiting[-1].seq + 1 if waiting else self._next,
            dropped=self.dropped,
        )
        try:
            dropped, upto = await self._in_thread(self._file.commit, change)
        except BaseException:
            self._waiting[:0] = waiting
            self._rewritten = {**rewritten, **self._rewritten}
            raise
        finally:
            self._under_way = []
        if dropped:
            self.dropped += dropped
            self._taken = max(self._taken, upto)
            self._say("spool_dropped", "the spool is full, and the oldest results go", dropped=self.dropped)
        for group in groups:
            self._recent.append(group)
            self._recent_results += len(group.results)
        self._forget()
        while self._recent_results > self._memory:
            self._pop()
        if groups:
            self._upto = groups[-1].last
            self._committed.set()

    # ---------------------------------------------------------------- sending

    async def head(self, most: int) -> list[Result]:
        """The oldest results without a receipt, at most so many; waits for one. Their times are by the clock of now."""
        while True:
            self._committed.clear()
            groups: Sequence[Group] = self._recent
            if self._memory_from > self._taken + 1:
                groups = await self._in_thread(self._file.read, self._taken, self._memory_from, most) or self._recent
            found: list[Result] = []
            for group in groups:
                shift = 0.0 if group.anchor is None else self._clock.anchor - group.anchor
                if abs(shift) < STEP_S:
                    shift = 0.0  # (nobody set the clock: the anchor was measured anew)
                found.extend(
                    msgspec.structs.replace(result, at=result.at + shift) if shift else result
                    for result in group.results
                    if result.seq > self._taken
                )
                if len(found) >= most:
                    break
            if found:
                del found[most:]
                return found
            await self._committed.wait()

    def taken(self, upto: int) -> None:
        """The engine has everything up to this number; the file forgets it with the next commit, which saves one."""
        self._taken = max(self._taken, upto)
        self._forget()

    def drop(self, seq: int) -> None:
        """The engine will never take this one."""
        self.dropped += 1
        self.taken(seq)

    async def close(self) -> None:
        """Commit what waits, and forget what was received. A disk that does not take it is said."""
        try:
            if self._flushing is not None:
                await asyncio.wait({self._flushing})
            await self.flush()
        except sqlite3.Error as error:
            text = "the spool cannot be written; results are lost"
            log.error(text, extra={"action": "spool_lost", "error": str(error), "lost": len(self._waiting)})  # noqa: TRY400
        await self._in_thread(self._file.close)
        self._thread.shutdown()
        os.close(self._lock)

    def _forget(self) -> None:
        while self._recent and self._recent[0].last <= self._taken:
            self._pop()

    def _pop(self) -> None:
        group = self._recent.popleft()
        self._recent_results -= len(group.results)
        self._memory_from = group.last + 1

    def _say(self, action: str, text: str, **fields: object) -> None:
        """Log, at most once a minute: what fails here may fail twenty times a second."""
        now = self._clock.steady()
        if now - self._said.get(action, float("-inf")) >= SAY_EVERY_S:
            self._said[action] = now
            log.error(text, extra={"action": action, "spooled": self.spooled, **fields})

    async def _in_thread(self, call: Callable[..., Any], *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *values)


def _amended(results: list[Result], change: Callable[[Result], Result | None]) -> int:
    count = 0
    for at, result in enumerate(results):
        if (other := change(result)) is not None:
            results[at] = other
            count += 1
    return count


class SpoolBusy(AgentError):
    """Another agent has it."""
