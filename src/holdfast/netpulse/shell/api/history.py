"""What is known of a monitor over time: single checks, latency, uptime, days."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from typing import Annotated, Final

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from holdfast.identity import Scope
from holdfast.kernel import Duration
from holdfast.netpulse.core.ports import Bucket
from holdfast.netpulse.core.result import NO_PHASES, Observation, Phases
from holdfast.netpulse.core.uptime import downtime, downtime_by_day, uptime
from holdfast.netpulse.core.views import MonitorView
from holdfast.netpulse.shell.api.asked import Cursor, Limit, Time, stretch
from holdfast.netpulse.shell.api.bodies import (
    CheckBody,
    ChecksBody,
    DayBody,
    DaysBody,
    MetricsBody,
    ObjectiveBody,
    PercentilesBody,
    SlaBody,
    StepBody,
)
from holdfast.netpulse.shell.api.monitors import known_id
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.netpulse.shell.api.service import Asking, Service, Svc, answer, require
from holdfast.web.times import timestamp

DAY_S: Final = 86_400.0
WINDOWS: Final = {"24h": DAY_S, "7d": 7 * DAY_S, "30d": 30 * DAY_S, "90d": 90 * DAY_S}
STEPS: Final = 1_500
"""Most steps of a series: a chart has not more pixels."""
SHORTEST_STEP_S: Final = 60.0
DAYS: Final = 400
_ONE_STEP_S: Final = 3_600.0 * 1_000_003
"""Holds all times that there are, and is whole hours but not days: percentiles of a stretch, exact to the hour."""


@get("/v1/monitors/{id:str}/checks")
async def read_checks(
    request: Asking,
    service: Svc,
    id: FromPath[str],
    since: Time = None,
    until: Time = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response[ChecksBody]:
    """Single checks, newest first, of the last day unless asked otherwise. Kept for the time in ``retention.raw``."""
    key, _ = await _found(request, service, id)
    begin, end = stretch(since, until, now=service.clock(), default_s=DAY_S)
    try:
        found, following = await service.records.checks(key, since=begin, until=end, limit=limit, before=cursor)
    except ValueError as wrong:
        raise ProblemError("invalid-request", "cursor: not one of ours; send `next` as it came", field="cursor") from (
            wrong
        )
    return answer(ChecksBody(checks=[_check(each) for each in found], next=following))


@get("/v1/monitors/{id:str}/metrics")
async def read_metrics(
    request: Asking,
    service: Svc,
    id: FromPath[str],
    since: Time = None,
    until: Time = None,
    step: Annotated[
        str | None, QueryParameter(max_length=20, description="Like `5m`; what gives about 300 steps when absent.")
    ] = None,
) -> Response[MetricsBody]:
    """Checks, percentiles and the mean of each phase, by region and step. Of the last day unless asked otherwise."""
    key, _ = await _found(request, service, id)
    begin, end = stretch(since, until, now=service.clock(), default_s=DAY_S)
    step_s = _step(step, end - begin)
    regions: dict[str, list[StepBody]] = defaultdict(list)
    for bucket in await service.records.series(key, since=begin, until=end, step_s=step_s):
        regions[bucket.region].append(_bar(bucket))
    return answer(
        MetricsBody(monitor=id, since=timestamp(begin), until=timestamp(end), step_s=step_s, regions=dict(regions))
    )


@get("/v1/monitors/{id:str}/sla")
async def read_sla(request: Asking, service: Svc, id: FromPath[str]) -> Response[SlaBody]:
    """Uptime over 24 h, 7, 30 and 90 days, percentiles by region, and what is left of the error budget."""
    key, view = await _found(request, service, id)
    now, records = service.clock(), service.records
    spans = await records.spans([key], since=now - WINDOWS["90d"], until=now)
    counts = await asyncio.gather(
        *(records.counts([key], since=now - length, until=now) for length in WINDOWS.values())
    )
    checks = dict(zip(WINDOWS, (found.get(key, (0, 0)) for found in counts), strict=True))
    buckets = await records.series(key, since=now - DAY_S, until=now, step_s=_ONE_STEP_S)
    return answer(
        SlaBody(
            monitor=id,
            uptime=view.uptime,
            downtime_s={name: round(downtime(spans, since=now - each, until=now), 1) for name, each in WINDOWS.items()},
            checks={name: {"good": good, "all": total} for name, (good, total) in checks.items()},
            regions={
                each.region: PercentilesBody(
                    p50_ms=each.p50_ms, p95_ms=each.p95_ms, p99_ms=each.p99_ms, checks=each.up + each.down
                )
                for each in buckets
            },
            objective=None if view.objective is None else ObjectiveBody(**view.objective),
        )
    )


@get("/v1/monitors/{id:str}/days")
async def read_days(
    request: Asking,
    service: Svc,
    id: FromPath[str],
    days: Annotated[int, QueryParameter(ge=1, le=DAYS, description="How many, today included.")] = 90,
) -> Response[DaysBody]:
    """How long it was down on each day of UTC."""
    key, _ = await _found(request, service, id)
    now = service.clock()
    begin = now - now % DAY_S - (days - 1) * DAY_S
    spans = await service.records.spans([key], since=begin, until=now)
    watched: dict[float, int] = defaultdict(int)
    for bucket in await service.records.series(key, since=begin, until=now, step_s=DAY_S):
        watched[bucket.at] += bucket.up + bucket.down
    found = [
        DayBody(
            day=dt.datetime.fromtimestamp(start, tz=dt.UTC).date().isoformat(),
            downtime_s=round(lost, 1),
            uptime=uptime(spans, since=start, until=min(now, start + DAY_S), first=start) if watched[start] else None,
        )
        for start, lost in downtime_by_day(spans, days=days, now=now)
    ]
    return answer(DaysBody(monitor=id, days=found))


async def _found(request: Asking, service: Service, id: str) -> tuple[str, MonitorView]:
    """The monitor's full name, if there is one for this tenant."""
    require(request.user, Scope.NETPULSE_READ)
    view = await service.netpulse.monitor(request.user.tenant, known_id(id))
    return f"{request.user.tenant}/{view.id}", view


def _step(text: str | None, length_s: float) -> float:
    shortest = max(SHORTEST_STEP_S, length_s / STEPS)
    if text is None:
        return next((step for step in _ROUND if length_s / step <= 300), DAY_S)
    try:
        step_s = float(Duration.parse(text))
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"step: {wrong}", field="step") from None
    if step_s < shortest:
        text = f"step: less than {Duration(round(shortest, 3))}; take longer steps, or ask for less time"
        raise ProblemError("invalid-request", text, field="step")
    return step_s


_ROUND: Final = (60.0, 300.0, 900.0, 3_600.0, 14_400.0, DAY_S)


def _check(seen: Observation) -> CheckBody:
    return CheckBody(
        at=timestamp(seen.at),
        region=seen.region,
        agent=seen.agent,
        outcome=seen.outcome.name.lower(),
        failure=seen.failure.value,
        total_ms=seen.total_ms,
        phases_ms={} if seen.phases == NO_PHASES else _phases(seen.phases),
        status=seen.status,
        detail=seen.detail,
        address=seen.address,
        cert_days=seen.cert_days,
        confirm=seen.confirm,
        late=seen.late,
        simulated=seen.simulated,
    )


def _phases(phases: Phases) -> dict[str, float]:
    found = ((name, getattr(phases, name)) for name in Phases.__struct_fields__)
    return {name: value for name, value in found if value is not None}


def _bar(bucket: Bucket) -> StepBody:
    return StepBody(
        at=timestamp(bucket.at),
        up=bucket.up,
        down=bucket.down,
        unknown=bucket.unknown,
        p50_ms=bucket.p50_ms,
        p95_ms=bucket.p95_ms,
        p99_ms=bucket.p99_ms,
        phases_ms=dict(bucket.phases_ms),
    )
