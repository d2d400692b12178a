"""Jobs that report themselves: whose token it is, and who is overdue."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from holdfast.netpulse.core.settings import HeartbeatCheck
from holdfast.netpulse.core.world import World


@dataclass(slots=True)
class _Job:
    check: HeartbeatCheck
    last: float
    """When it came last; when it was first waited for, if it never came."""
    said: float = 0.0
    """When it was last said to be missing."""


class Heartbeats:
    """All monitors of the kind."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._tokens: dict[bytes, str] = {}
        self._stored: dict[str, float] = {}

    def restore(self, documents: Mapping[str, bytes], *, away_s: float = 0.0) -> None:
        """When each came last, as the records have it; nobody could come for the last ``away_s``."""
        for key, data in documents.items():
            with contextlib.suppress(msgspec.DecodeError):
                self._stored[key] = msgspec.json.decode(data, type=float) + away_s

    def configure(self, world: World, now: float) -> None:
        """Follow a changed world."""
        jobs = {}
        for key, entry in world.entries.items():
            if entry.spec.heartbeat is None or entry.spec.paused:
                continue
            known = self._jobs.get(key)
            last = known.last if known is not None else self._stored.get(key, now)
            jobs[key] = _Job(entry.spec.heartbeat, last, known.said if known is not None else 0.0)
        self._jobs = jobs
        self._tokens = {hashlib.sha256(job.check.token.encode()).digest(): key for key, job in jobs.items()}

    def key(self, digest: bytes) -> str | None:
        """Whose token has this SHA-256; looking up a digest tells nothing of a token by the time it takes."""
        return self._tokens.get(digest)

    def came(self, key: str, now: float) -> None:
        """It is alive."""
        self._jobs[key].last = now
        self._jobs[key].said = 0.0

    def excused(self, seconds: float) -> None:
        """Nobody listened for so long."""
        for job in self._jobs.values():
            job.last += seconds

    def missed(self, now: float) -> Iterator[tuple[str, str]]:
        """Those that are overdue, and by how much; each again a period after that was :meth:`said`."""
        for key, job in tuple(self._jobs.items()):
            overdue = now - job.last - job.check.period - job.check.grace
            if overdue >= 0 and now - job.said >= job.check.period:
                yield key, f"no heartbeat for {now - job.last:.0f} s; expected every {job.check.period}"

    def said(self, key: str, now: float) -> None:
        """It is known, and stored, that one did not come."""
        if key in self._jobs:
            self._jobs[key].said = now
