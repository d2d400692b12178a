"""What the API reads of the records, made up on the spot: the same question gets the same answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from holdfast.netpulse.core.incident import Notice, Span
from holdfast.netpulse.core.ports import Bucket
from holdfast.netpulse.core.result import Failure, Observation, Outcome, Phases
from holdfast.testing.netpulse.scene import Look, Scene

_UP: Final = Look()
_FAR_MS: Final = {"eu": 0.0, "us": 85.0, "ap": 160.0, "sa": 190.0}
"""What the way to a region adds."""


class ScriptedRecords:
    """The reading half of :class:`~holdfast.netpulse.core.ports.Records`, and its documents."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._documents: dict[tuple[str, str], bytes] = {}

    def observe(self, monitor: str, region: str, at: float) -> Observation:
        """The check of a monitor (``TENANT/ID``) that began at a time."""
        id = monitor.partition("/")[2]
        look = self.scene.looks.get(id, _UP)
        chance = Random(f"{monitor} {region} {at:.0f}")
        began = self.scene.now - look.since_s
        down = (look.failing > chance.random()) if at >= began else self._was_down(monitor, at)
        total = _FAR_MS.get(region, 0.0) + look.total_ms * math.exp(chance.gauss(0.0, 0.18))
        blind = region == "ap" and at >= self.scene.now - 260
        outcome = Outcome.UNKNOWN if blind else Outcome.DOWN if down else Outcome.UP
        settings = self.scene.settings.regions.get(region)
        return Observation(
            monitor=monitor,
            region=region,
            domain=(settings.domain if settings else "") or region,
            agent=f"{region}-1",
            at=at,
            received=at + total / 1000 + 0.1,
            outcome=outcome,
            failure=Failure.BLIND if blind else Failure(look.failure or "timeout") if down else Failure.NONE,
            total_ms=round(total, 2),
            phases=Phases(*(round(total * part, 2) for part in (0.05, 0.2, 0.25, 0.4, 0.1))),
            status=look.status,
            detail=look.detail if down else "",
            address="192.0.2.7:443",
            cert_days=look.cert_days,
            simulated=look.simulated is not None,
        )

    def _was_down(self, monitor: str, at: float) -> bool:
        return any(
            span.monitor == monitor and span.since <= at < (math.inf if span.until is None else span.until)
            for span in self.scene.spans
        )

    async def checks(
        self, monitor: str, *, since: float, until: float, limit: int, before: str | None = None
    ) -> tuple[Sequence[Observation], str | None]:
        """Newest first, each 30 s from each region; the cursor is a number of checks that came before."""
        start = int(before or 0)
        found: list[Observation] = []
        regions = sorted(self.scene.settings.regions)
        last = math.floor(min(until, self.scene.now) / 30) * 30
        for number in range(start, start + limit):
            step, region = divmod(number, len(regions))
            at = last - 30.0 * step
            if at < since:
                return found, None
            found.append(self.observe(monitor, regions[region], at))
        return found, str(start + limit)

    async def series(self, monitor: str, *, since: float, until: float, step_s: float) -> Sequence[Bucket]:
        """One check stands for each step."""
        found = []
        at = math.floor(since / step_s) * step_s
        count = max(1, round(step_s / 30))
        while at < min(until, self.scene.now):
            for region in sorted(self.scene.settings.regions):
                seen = self.observe(monitor, region, at)
                up = count if seen.outcome is Outcome.UP else 0
                found.append(
                    Bucket(
                        region=region,
                        at=at,
                        up=up,
                        down=count if seen.outcome is Outcome.DOWN else 0,
                        unknown=count if seen.outcome is Outcome.UNKNOWN else 0,
                        p50_ms=seen.total_ms if up else None,
                        p95_ms=round(seen.total_ms * 1.4, 2) if up else None,
                        p99_ms=round(seen.total_ms * 1.9, 2) if up else None,
                        phases_ms={name: getattr(seen.phases, name) for name in Phases.__struct_fields__},
                    )
                )
            at += step_s
        return found

    async def counts(self, monitors: Sequence[str], *, since: float, until: float) -> Mapping[str, tuple[int, int]]:
        """Good and all, a check each 30 s."""
        found = {}
        for monitor in monitors:
            total = max(1, int((until - since) / 30))
            down = sum(
                max(0.0, min(until, until if span.until is None else span.until) - max(since, span.since)) / 30
                for span in self.scene.spans
                if span.monitor == monitor
            )
            found[monitor] = (max(0, total - int(down)), total)
        return found

    async def spans(self, monitors: Sequence[str], *, since: float, until: float) -> Sequence[Span]:
        """Of the downtime that the incidents left."""
        return [
            span
            for span in self.scene.spans
            if span.monitor in monitors and span.since < until and (span.until is None or span.until > since)
        ]

    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]:
        """As the scene has them."""
        return self.scene.notices.get(incident, [])

    async def document(self, kind: str, key: str) -> bytes | None:
        """What was put there."""
        return self._documents.get((kind, key))

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        """All of a kind."""
        return {key: data for (of, key), data in self._documents.items() if of == kind}

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        """Keep it; ``None`` removes it."""
        if data is None:
            self._documents.pop((kind, key), None)
        else:
            self._documents[kind, key] = data

    async def figures(self) -> Mapping[str, float]:
        """As a small shop has them."""
        return {
            "results": 1_204_311.0,
            "bytes": 48_172_440.0,
            "bytes_per_check": 40.0,
            "owed": 1.0,
            "oldest_owed_s": 21.0,
        }
