"""The page of one monitor, and forcing it down, slow or flapping to see what happens."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath

from holdfast.console import charts
from holdfast.console.context import Shared, see, signed_in
from holdfast.console.errors import Refused
from holdfast.console.forms import read_form

Asked = Request[Any, Any, Any]

CHECKS: Final = 25
DAYS: Final = 90
HOURS: Final = 6
STEP: Final = "5m"
"""72 points over six hours."""
SIMULATIONS: Final = ("down", "slow", "flapping")
SIMULATED_S: Final = 300


@get("/monitors/{id:str}")
async def monitor_page(request: Asked, console: Shared, id: FromPath[str]) -> Response[str]:
    """One monitor: how it is, how quick it answers from where, how it was, and how sure that is."""
    key, api = signed_in(request).key, console.pulse()
    monitor = await api.monitor(key, id)
    recent, days, checks, past, whoami = await asyncio.gather(
        api.series(key, id, since=f"{HOURS}h", step=STEP),
        api.days(key, id, count=DAYS),
        api.checks(key, id, limit=CHECKS),
        api.incidents(key, monitor=id, limit=5),
        api.whoami(key),
    )
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
        days=charts.days(days, DAYS),
        bad_days=[day for day in reversed(days) if day.uptime is not None and day.uptime < 1],
        known_days=sum(day.uptime is not None for day in days),
        checks=checks,
        past=past.incidents,
        may_write=whoami.may_write,
        simulations=SIMULATIONS,
        simulated_s=SIMULATED_S,
        live="/events",
    )


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
