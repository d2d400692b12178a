"""What a worker has to tell the API, kept until the API has it.

Rules:

- A result or a claim given back stays until a report with it got a receipt; so does the lease of its job.
- Live output is cut into numbered pieces when it is put into a report, and a piece that was cut goes into every
  further report unchanged until one got a receipt: the number makes the repetition harmless.
- What has been sent live is always a beginning of the job's output. Output that does not fit is dropped with
  all that follows it; the result has everything anyway.
- When a job ends, output that was not cut yet is sent with the result if some was sent before, so that whoever
  follows it sees the end; otherwise it is dropped, as the result says the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from holdfast.execution.core.protocol import GivenBack, Held, Output, Report, WireResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.execution.core.task import Stream

LIVE_INTERVAL_S: Final = 0.05
"""Live output waits at most this long for more."""
LIVE_BYTES: Final = 16 * 1024
"""With this much waiting, it goes at once."""
LIVE_PENDING_BYTES: Final = 256 * 1024
"""Most live output of one job that is kept for an API that does not answer."""
REPORT_BYTES: Final = 4 * 2**20
"""A report takes no further result once it is this large; one result may be larger."""

Key: TypeAlias = tuple[str, int]
"""Job and token: one claim."""


@dataclass(slots=True)
class _Live:
    """Live output of one claim."""

    waiting: list[tuple[Stream, bytearray]] = field(default_factory=list)
    cut: list[Output] = field(default_factory=list)
    seq: int = 0
    size: int = 0
    """Bytes in ``waiting`` and ``cut``."""
    since: float | None = None
    """When the oldest byte of ``waiting`` came."""
    dropped: bool = False


class Outbox:
    """What is waiting to be reported. Times are monotonic seconds."""

    def __init__(self, worker: str, epoch: str, *, renew_s: float, now: float) -> None:
        self._worker = worker
        self._epoch = epoch
        self._renew_s = renew_s
        self._renewed = now
        self._held: dict[Key, _Live] = {}
        self._results: dict[Key, WireResult] = {}
        self._returns: dict[Key, GivenBack] = {}

    @property
    def held(self) -> tuple[Held, ...]:
        """All claims that the API has not released us from."""
        return tuple(Held(id=id, token=token) for id, token in self._held)

    def hold(self, key: Key) -> None:
        """Take up a claim."""
        self._held[key] = _Live()

    def output(self, key: Key, stream: Stream, data: bytes, now: float) -> bool:
        """Note live output; whether :meth:`due_at` is earlier for it."""
        live = self._held.get(key)
        if live is None or live.dropped:
            return False
        if live.size + len(data) > LIVE_PENDING_BYTES:
            live.dropped = True
            return False
        before, live.size = live.size, live.size + len(data)
        if live.waiting and live.waiting[-1][0] == stream:
            live.waiting[-1][1].extend(data)
        else:
            live.waiting.append((stream, bytearray(data)))
        if live.since is None:
            live.since = now
            return True
        return before < LIVE_BYTES <= live.size

    def finish(self, result: WireResult) -> None:
        """Note the end of a job."""
        key = (result.id, result.token)
        if key in self._held:
            self._last_output(key)
            self._results[key] = result

    def give_back(self, key: Key, reason: str, *, counts: bool) -> None:
        """Note that a job is not brought to an end here."""
        if key in self._held:
            self._last_output(key)
            self._results.pop(key, None)
            self._returns[key] = GivenBack(id=key[0], token=key[1], reason=reason[:500], counts=counts)

    def forget(self, key: Key) -> None:
        """The lease is gone: nothing more is said about this claim."""
        self._held.pop(key, None)
        self._results.pop(key, None)
        self._returns.pop(key, None)

    def renewed(self, now: float) -> None:
        """The API has heard which leases are held."""
        self._renewed = now

    def due_at(self) -> float | None:
        """When the next report should go; ``None``: nothing to say. In the past: now."""
        if self._results or self._returns:
            return float("-inf")
        due = self._renewed + self._renew_s if self._held else None
        for live in self._held.values():
            if live.cut or live.size >= LIVE_BYTES:
                return float("-inf")
            if live.since is not None:
                at = live.since + LIVE_INTERVAL_S
                due = at if due is None else min(due, at)
        return due

    def report(self, *, alone: bool = False) -> Report:
        """Everything that is to be said now, as far as it fits; with ``alone`` one result, or one claim given back."""
        results: list[WireResult] = []
        size = 0
        for result in self._results.values():
            if results and (alone or size + _size(result) > REPORT_BYTES):
                break
            results.append(result)
            size += _size(result)
        if not alone:
            for key, live in self._held.items():
                _cut(key, live)
        returns = list(self._returns.values())
        return Report(
            worker=self._worker,
            epoch=self._epoch,
            held=self.held,
            output=() if alone else tuple(piece for live in self._held.values() for piece in live.cut),
            results=tuple(results),
            given_back=tuple((() if results else returns[:1]) if alone else returns),
        )

    def rejected(self, report: Report, reason: str) -> list[Key]:
        """The API will never take this report, which was made with ``alone``; the claims that end here unsettled.

        A result becomes a claim given back; what cannot even be given back is left to its lease.
        """
        for live in self._held.values():
            live.cut, live.waiting, live.since, live.size, live.dropped = [], [], None, 0, True
        for result in report.results:
            self.give_back((result.id, result.token), reason, counts=True)
        ended = [(item.id, item.token) for item in report.given_back]
        for key in ended:
            self.forget(key)
        return ended

    def delivered(self, report: Report, now: float) -> list[Key]:
        """A report got its receipt; the claims that are settled by it."""
        self._renewed = now
        for piece in report.output:
            live = self._held.get((piece.id, piece.token))
            if live is not None and live.cut:  # nothing was cut since: one report is under way at a time
                live.size -= sum(len(sent.data) for sent in live.cut)
                live.cut = []
        settled = [(one.id, one.token) for one in report.results] + [(one.id, one.token) for one in report.given_back]
        for key in settled:
            self.forget(key)
        return settled

    def _last_output(self, key: Key) -> None:
        live = self._held[key]
        if not live.seq:
            live.size -= sum(len(data) for _, data in live.waiting)
            live.waiting, live.since = [], None
        live.dropped = True


def _cut(key: Key, live: _Live) -> None:
    for stream, data in live.waiting:
        live.cut.append(Output(id=key[0], token=key[1], seq=live.seq, stream=stream, data=bytes(data)))
        live.seq += 1
    live.waiting, live.since = [], None


def _size(result: WireResult) -> int:
    compiled = result.compiled
    return len(result.stdout) + len(result.stderr) + (len(compiled.stdout) + len(compiled.stderr) if compiled else 0)


def keys(held: Iterable[Held]) -> list[Key]:
    """Claims as they are named on the wire."""
    return [(one.id, one.token) for one in held]
