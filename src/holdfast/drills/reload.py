"""A thousand reloads and strategy switches under load.

Every second operation rewrites the configuration (a backend comes, a backend goes, a route
comes, a route goes) and asks for a reload; the others switch the strategy at run time. No
request may fail meanwhile and a WebSocket opened at the start must still echo at the end.
The control does what one does without reload: it restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from holdfast.drills.contender import POOL
from holdfast.drills.faults import BackendSpec, FleetSpec
from holdfast.drills.findings import CONTROL, DATA_PLANE, Findings, Setting
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import LoadResult, OpenLoop, Plan, run_plan
from holdfast.drills.ours import Holdfast
from holdfast.drills.tunnel import WebSocketProbe

RATE_PER_S: Final = 300.0
WORKERS: Final = 2
STRATEGIES: Final = ("round_robin", "weighted", "least_connections", "p2c", "consistent_hash")
LONGEST_S: Final = 600.0
"""Bound of the whole run; the load ends with the last operation."""
SPARE: Final = "spare"
"""The backend that comes and goes."""


class Reload:
    """``holdfast drill run reload``."""

    name = "reload"
    title = "Does a thousandfold change of configuration under load fail a request or cut a WebSocket?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Only the balancer and its control: the peers have no comparable admin plane."""
        operations = int(setting.pick(1000, 20))
        restarts = int(setting.pick(5, 1))
        found = Findings(control_what=f"restarts instead of reloads ({restarts})")
        found.parameters |= {"operations": operations, "rate_per_s": RATE_PER_S, "workers": WORKERS}
        names = ("steady1", "steady2", "steady3", SPARE)
        spec = FleetSpec(seed=setting.seed, backends=tuple(BackendSpec(name=name) for name in names))
        with Fleet(spec) as fleet:
            steady = {name: port for name, port in fleet.ports.items() if name != SPARE}
            for name in ("holdfast", CONTROL):
                # A restart waits this long for the WebSocket before it cuts it.
                section = {"drain_timeout": "1s"}
                balancer = Holdfast(
                    backends=steady, workers=WORKERS, directory=setting.directory, name=name, section=section
                )
                with balancer:
                    if name == CONTROL:
                        await _under_load(found, setting, balancer, partial(_restart, setting, balancer, restarts))
                    else:
                        change = partial(_change, setting, balancer, fleet.ports, operations)
                        await _under_load(found, setting, balancer, change)
        for name in ("holdfast", CONTROL):
            found.metric(name, "operations", "sum($operations)", unit="", better="higher")
            found.metric(name, "errors", "sum($errors)", unit="requests", better="lower")
            found.metric(name, "websocket_breaks", "sum($websocket_breaks)", unit="", better="lower")
            found.metric(name, "latency_p99_ms", "p99($latency_ms)", unit="ms", better="lower")
            found.metric(name, "generator_lag_p99_ms", "p99($generator_lag_ms)", unit="ms", better="lower")
        found.claim("all operations were carried out", "holdfast.operations", "==", operations, in_quick=True)
        found.claim("no request fails", "holdfast.errors", "==", 0, in_quick=True)
        found.claim("the WebSocket stays up", "holdfast.websocket_breaks", "==", 0, in_quick=True)
        return found


async def _change(setting: Setting, balancer: Holdfast, ports: dict[str, int], operations: int) -> int:
    steady = dict(balancer.backends)
    for number in range(operations):
        if number % 2 == 0:
            extended = number % 4 == 0
            routes = [{"pool": POOL}, *([{"path": "/extra/", "pool": POOL}] if extended else [])]
            balancer.write_config(ports if extended else steady, routes=routes)
            await asyncio.to_thread(balancer.admin, "POST", "/admin/reload")
        else:
            strategy = STRATEGIES[(number // 2) % len(STRATEGIES)]
            await asyncio.to_thread(balancer.admin, "POST", "/admin/strategy", {"pool": POOL, "strategy": strategy})
        if (number + 1) % 100 == 0:
            setting.progress(f"reload: {number + 1} of {operations} operations")
    return operations


async def _restart(setting: Setting, balancer: Holdfast, restarts: int) -> int:
    for number in range(restarts):
        setting.progress(f"reload: control: restart {number + 1} of {restarts}")
        await asyncio.to_thread(balancer.restart)
    return restarts


async def _under_load(
    found: Findings, setting: Setting, balancer: Holdfast, operations: Callable[[], Awaitable[int]]
) -> None:
    warm = Plan(rate_per_s=RATE_PER_S, duration_s=setting.pick(2, 0.5), seed=setting.seed)
    await run_plan(warm, port=balancer.port)
    plan = Plan(rate_per_s=RATE_PER_S, duration_s=LONGEST_S, seed=setting.seed)
    load = OpenLoop(plan, "127.0.0.1", balancer.port)
    async with AsyncExitStack() as stack:
        probe = WebSocketProbe(balancer.port, seed=setting.seed)
        stack.push_async_callback(probe.close)
        await probe.wait_open()
        running: asyncio.Task[LoadResult] = asyncio.create_task(load.run())
        try:
            async with asyncio.timeout(LONGEST_S):
                done = await operations()
        finally:
            load.stop()
            result = await running
    found.add_load(balancer.name, result)
    found.add(balancer.name, "operations", [done])
    found.add(balancer.name, "websocket_echoes", [probe.echoes])
    found.add(balancer.name, "websocket_breaks", [probe.breaks])
