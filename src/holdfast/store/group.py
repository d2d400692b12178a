"""Writes that are committed together.

A group runs as one transaction, its writes one after the other, and nobody is answered before the commit is on
disk. What happens when something fails:

===========================  ==========================================================================
a write raises               the group is rolled back and runs again, each write in a savepoint: only what
                             raised is undone, the others are committed
it could pass another time   (deadlock, serialization, connection lost before the commit) everything is rolled
                             back and each write runs alone, a few times at most
the store fails              (disk full, connection lost during the commit) everything is rolled back and
                             every write of the group gets the same ``StoreUnavailable``
===========================  ==========================================================================

So savepoints are paid for only by groups in which something failed. PostgreSQL would need two more round trips for
each, and more than 64 of them in one transaction slow down everybody's snapshots (PostgreSQL documentation, 67.3
"Subtransactions"). The price is that a write may run more than once, which the contract says anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.store.database import Tx
from holdfast.store.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Note: TypeAlias = tuple[str, str]

ATTEMPTS: Final = 4
"""Runs of a write that meets deadlocks or lost connections. Two groups that lock rows in opposite order are apart
after one; more is for a server that restarts."""


class TryAgain(StoreUnavailable):
    """Nothing was committed, and the same work may well pass if it is run again."""


class Call:
    """Work that somebody waits for."""

    __slots__ = ("deadline", "error", "future", "result", "work")

    def __init__(self, work: Callable[[Tx], Any], future: asyncio.Future[Any], deadline: float) -> None:
        self.work = work
        self.future = future
        self.deadline = deadline
        """On the clock of the loop: the end of somebody's patience, not of the work."""
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Answer, unless the caller has gone. To be called on the loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future refuses it: it would end the waiting coroutine
            self.future.set_exception(RuntimeError("work for the store raised StopIteration"))
        else:
            self.future.set_exception(self.error)


class Link(Tx, Protocol):
    """One connection, as a group sees it. Errors are translated: whatever it raises is a ``StoreError``."""

    failure: StoreError | None
    """The latest statement that failed since :meth:`begin` or :meth:`savepoint`: work that swallowed it cannot be
    kept, because PostgreSQL would not."""
    notes: list[Note]
    """What the work asked to be told to listeners since :meth:`begin`."""

    def begin(self) -> None:
        """Start a transaction that may write; forgets :attr:`failure` and :attr:`notes`."""
        ...

    def commit(self) -> None:
        """On disk when it returns. When it raises, nobody knows."""
        ...

    def rollback(self) -> None:
        """Undo everything; never raises."""
        ...

    def savepoint(self) -> None:
        """Mark where to go back to; forgets :attr:`failure`."""
        ...

    def release(self) -> None:
        """Keep what was done since the savepoint."""
        ...

    def undo(self) -> None:
        """Go back to the savepoint."""
        ...


def commit(link: Link, calls: Sequence[Call]) -> list[Note]:
    """Run and commit; outcomes are in the calls afterwards. What to tell the listeners."""
    ways = (_run, _run_in_savepoint) if len(calls) > 1 else ()
    for run in ways:
        try:
            return _together(link, calls, run)
        except _WriteFailed:
            continue
        except TryAgain:
            break
        except StoreError as error:
            for call in calls:
                call.error = type(error)(*error.args)  # its own: each that raises it adds to its traceback
                call.error.__cause__ = error
            return []
    return [note for call in calls for note in _alone(link, call)]


def read(link: Link, call: Call) -> None:
    """Run on a snapshot; the outcome is in the call."""
    _alone(link, call)


class _WriteFailed(Exception):
    """One write of the group raised."""


def _together(link: Link, calls: Sequence[Call], run: Callable[[Link, Call], None]) -> list[Note]:
    link.begin()
    try:
        for call in calls:
            if not call.future.done():  # cancelled, or out of patience
                run(link, call)
    except BaseException:
        link.rollback()
        raise
    notes = link.notes
    link.commit()
    return notes


def _run(link: Link, call: Call) -> None:
    try:
        call.result = call.work(link)
        call.error = None
    except BaseException as error:
        if link.failure is not None and isinstance(link.failure, StoreUnavailable):
            raise link.failure from error
        raise _WriteFailed from error
    if link.failure is not None:
        if isinstance(link.failure, StoreUnavailable):
            raise link.failure
        raise _WriteFailed


def _run_in_savepoint(link: Link, call: Call) -> None:
    link.savepoint()
    told = len(link.notes)
    try:
        call.result = call.work(link)
        call.error = link.failure
    except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is; the thread goes on
        call.error = error
    if isinstance(link.failure, StoreUnavailable):
        raise link.failure
    if call.error is None:
        link.release()
    else:
        link.undo()
        del link.notes[told:]


def _alone(link: Link, call: Call) -> list[Note]:
    for attempt in range(1, ATTEMPTS + 1):
        if call.future.done():
            break
        try:
            link.begin()
            try:
                call.result = call.work(link)
                call.error = link.failure
            except BaseException as error:  # noqa: BLE001 - as above
                call.error = link.failure if isinstance(link.failure, StoreUnavailable) else error
            if call.error is not None:
                link.rollback()
                if isinstance(call.error, TryAgain) and attempt < ATTEMPTS:
                    continue
                return []
            notes = link.notes
            link.commit()
            return notes
        except TryAgain as error:
            call.error = error
        except StoreError as error:
            call.error = error
            break
    return []
