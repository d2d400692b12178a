"""The page of one monitor, and forcing it down, slow or flapping to see what happens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from holdfast.console import charts
from holdfast.console.context import Shared, see, signed_in
from holdfast.console.errors import Refused, ServiceProblem
from holdfast.console.forms import read_form
from holdfast.console.netpulse import Bucket

Asked = Request[Any, Any, Any]

CHECKS: Final = 25
DAYS: Final = 90
HOURS: Final = 6
STEP_S: Final = 300
"""72 points over six hours."""
SIMULATIONS: Final = ("down", "slow", "flapping")
SIMULATED_S: Final = 300


@get("/monitors/{id:str}")
async def monitor_page(request: Asked, console: Shared, id: FromPath[str]) -> Response[str]:
    """One monitor: how it is, how quick it answers from where, how it was, and how sure that is."""
    key, api = signed_in(request).key, console.pulse()
    monitor, summary = await asyncio.gather(api.monitor(key, id), api.summary(key))
    now = _moment(summary.now)  # by the clock that the figures are of
    recent, daily, checks, past, whoami = await asyncio.gather(
        api.series(key, id, since=_text(now - timedelta(hours=HOURS)), until=_text(now), step_s=STEP_S),
        api.series(key, id, since=_text(_midnight(now) - timedelta(days=DAYS - 1)), until=_text(now), step_s=86_400),
        api.checks(key, id, limit=CHECKS),
        api.incidents(key, monitor=id, limit=5),
        api.whoami(key),
    )
    days = daily_counts(daily, now)
    return console.page(
        request,
        "pulse_monitor.html",
        title=monitor.title,
        monitor=monitor,
        strip=charts.beats(monitor.beats),
        chart=charts.latency_chart(recent),
        stacks=charts.phase_stacks(recent),
        phases=charts.PHASE_NAMES,
        hours=HOURS,
        days=charts.strip("".join(charts.day_letter(good, bad) for _, good, bad in days)),
        bad_days=[(day, good, bad) for day, good, bad in reversed(days) if bad],
        known_days=sum(bool(good + bad) for _, good, bad in days),
        checks=checks,
        past=past.incidents,
        may_write=whoami.may_write,
        simulations=SIMULATIONS,
        simulated_s=SIMULATED_S,
        live="/events",
    )


def daily_counts(buckets: tuple[Bucket, ...], now: datetime) -> list[tuple[str, int, int]]:
    """Date, good and failed checks of each of the last :data:`DAYS` days, today last."""
    counts: dict[str, tuple[int, int]] = {}
    for bucket in buckets:
        good, bad = counts.get(bucket.at[:10], (0, 0))
        counts[bucket.at[:10]] = (good + bucket.up, bad + bucket.down)
    dates = [(now - timedelta(days=back)).strftime("%Y-%m-%d") for back in reversed(range(DAYS))]
    return [(date, *counts.get(date, (0, 0))) for date in dates]


@post("/monitors/{id:str}/simulate", status_code=200)
async def simulate(request: Asked, console: Shared, id: FromPath[str]) -> Response[Any]:
    """Begin a simulation, or end the one that runs."""
    session = signed_in(request)
    fields = await read_form(request, console.sessions)
    kind = fields.get("kind", "")
    if kind == "end":
        await console.pulse().simulate(session.key, id, SIMULATIONS[0], seconds=0)
    elif kind in SIMULATIONS:
        await console.pulse().simulate(session.key, id, kind, seconds=SIMULATED_S)
    else:
        raise Refused(400, "There is no such simulation", "use the buttons on the monitor's page")
    return see(f"/monitors/{id}")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise ServiceProblem(502, "NetPulse does not speak as expected", f"{text!r} is not a time") from error


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
