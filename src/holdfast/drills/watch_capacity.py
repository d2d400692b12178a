"""How much NetPulse watches on two cores, how much it takes in, and how soon a page shows it.

Checking: an engine and an agent in each of three regions watch thousands of targets, three in ten of which accept a
connection and never answer. Beside it prometheus-blackbox-exporter is asked to probe the same mix, for its CPU time.
Intake: scripted agents send full batches over mutual TLS to an engine that decides by them, on both stores.
Seeing: an agent tells of a check, and a client of the event stream waits for it, while hundreds of others come in.

The controls: agents with eight places for probes, as a monitor with one small pool of connections has; and an engine
that is stopped for a second, which the time to the event has to show.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, NETPULSE, Findings, Setting
from holdfast.drills.postgres import PostgresqlServer
from holdfast.drills.process import Child, cpu_s, free_port
from holdfast.drills.watch_sender import Plan, Scripted, result
from holdfast.drills.watch_service import TENANT, WatchService, with_signal
from holdfast.netpulse.core import schedule

AGENTS: Final = {"eu": "eu", "us": "us", "ap": "ap"}
"""One in each of three regions."""
HANGING: Final = 0.3
"""Of the targets."""
INTERVAL_S: Final = 30.0
TIMEOUT_S: Final = 10.0
"""As they are unless somebody says otherwise."""
PLACES: Final = 4096
"""Checks of one agent at a time."""
NARROW: Final = "narrow"
NARROW_PLACES: Final = 512
"""Fewer than hang: before it is known who does, they take every place."""
SMALL_POOL: Final = 8
BLACKBOX: Final = "prometheus-blackbox-exporter"
_BLACKBOX_CONFIG: Final = """\
modules:
  up:
    prober: http
    timeout: {timeout_s:g}s
    http: {{preferred_ip_protocol: ip4}}
"""
SETTLE_S: Final = 1.0
"""From the end of a probe until its result is stored, with a margin."""
BEGUN: Final = """
    SELECT r.at, m.name, s.name, r.what FROM netpulse_results r
    JOIN netpulse_names m ON m.id = r.monitor JOIN netpulse_names s ON s.id = r.source WHERE r.at >= ? AND r.at < ?"""
CONFIRM: Final = 1 << 8
"""In ``netpulse_results.what``: a probe that was sent at once and had no slot."""
_ROUNDED_S: Final = 0.01

SENDERS: Final = {"eu-1": "eu", "eu-2": "eu", "us-1": "us", "us-2": "us", "ap-1": "ap"}
"""Scripted agents and their regions."""
OURSELVES: Final = "here-1"
INTAKE_MONITORS: Final = 2000
LOAD_PER_S: Final = 300.0
EVERY_S: Final = 0.1
STOPPED_S: Final = 1.0
SIZE: Final = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
    "WHERE relname LIKE 'netpulse_results%' AND relkind = 'r'",
}
"""Bytes that results take, with their indices; on SQLite all of the file."""


class WatchCapacity:
    """``holdfast drill run watch-capacity``."""

    name = "watch-capacity"
    title = "How many checks fit on two cores when a third of the targets hang, and how soon are they seen?"
    packages = NETPULSE

    async def run(self, setting: Setting) -> Findings:
        """Checking, intake, seeing."""
        found = Findings(control_what=f"agents with {SMALL_POOL} places for probes; an engine stopped for a second")
        await _checking(found, setting)
        await _intake(found, setting)
        await _seeing(found, setting)
        _judge(found)
        return found


# ---------------------------------------------------------------- checking


async def _checking(found: Findings, setting: Setting) -> None:
    monitors = int(setting.pick(10_000, 150))
    interval_s, timeout_s = (INTERVAL_S, TIMEOUT_S) if not setting.quick else (2.0, 1.0)
    found.parameters |= {
        "monitors": monitors,
        "regions": len(AGENTS),
        "interval_s": interval_s,
        "timeout_s": timeout_s,
        "hanging": HANGING,
        "checked_s": setting.pick(60, 3),
    }
    async with AsyncExitStack() as stack:
        port, hanging_port = free_port(), free_port()
        targets = Child(
            [sys.executable, "-P", "-m", "holdfast.drills.watch_targets", str(port), str(hanging_port), "127.0.0.1"],
            log=setting.directory / "targets.log",
        )
        stack.callback(targets.stop)
        await asyncio.to_thread(targets.wait_until_listening, port)
        await asyncio.to_thread(targets.wait_until_listening, hanging_port)
        section = {"monitors": _monitors(monitors, port, hanging_port, interval_s, timeout_s)}
        for name, places in (("holdfast", PLACES), (NARROW, NARROW_PLACES), (CONTROL, SMALL_POOL)):
            if setting.quick and name == NARROW:
                continue
            setting.progress(f"watch-capacity: {name}: {monitors} monitors from {len(AGENTS)} regions")
            async with WatchService(
                f"check-{name}", setting.directory, agents=AGENTS, section=section, concurrency=places
            ) as service:
                await _check(found, setting, name, service, monitors, interval_s, timeout_s)
        rate = len(AGENTS) * monitors / interval_s
        await _blackbox(found, setting, port, hanging_port, rate_per_s=min(rate, 200.0), timeout_s=timeout_s)


def _monitors(count: int, port: int, hanging_port: int, interval_s: float, timeout_s: float) -> dict[str, Any]:
    """What is as it is anyway is not written: a configuration file has at most 1 MiB."""
    often = {} if (interval_s, timeout_s) == (INTERVAL_S, TIMEOUT_S) else _often(interval_s, timeout_s)
    return {
        f"m{number}": {
            **often,
            "allow_private": True,
            "http": {"url": f"http://127.0.0.1:{hanging_port if _hangs(number) else port}/{number}"},
        }
        for number in range(count)
    }


def _often(interval_s: float, timeout_s: float) -> dict[str, str]:
    return {"interval": f"{interval_s:g}s", "timeout": f"{timeout_s:g}s"}


def _hangs(number: int) -> bool:
    return number % 10 < round(10 * HANGING)


async def _check(
    found: Findings,
    setting: Setting,
    name: str,
    service: WatchService,
    monitors: int,
    interval_s: float,
    timeout_s: float,
) -> None:
    """Watch for a while, from when everything has been asked once: only then it is known who hangs."""
    seconds = setting.pick(60, 3)
    for agent in AGENTS:
        service.start_agent(agent)
    async with service.session() as session:
        await service.wait_for_agents(session, within_s=120.0)
        await asyncio.sleep(interval_s * 1.5)
        engine = service.engine
        assert engine is not None  # noqa: S101 - started with the service
        agents = [child.pid for child in service.watching.values()]
        agents_before, engine_before = cpu_s(agents), cpu_s([engine.pid])
        since = time.time()
        await asyncio.sleep(seconds)
        until = time.time()
        agents_cpu_s, engine_cpu_s = cpu_s(agents) - agents_before, cpu_s([engine.pid]) - engine_before
        said = [agent for region in await service.regions(session) for agent in region["agents"]]
        await asyncio.sleep(timeout_s + SETTLE_S)  # what hangs is told of when its time is over
    begun = await service.rows(BEGUN, round(since * 1e3), round(until * 1e3))
    scheduled = [row for row in begun if not row[3] & CONFIRM]
    found.add(name, "checks_per_s", [len(scheduled) / (until - since)])
    found.add(name, "due_per_s", [len(AGENTS) * monitors / interval_s])
    found.add(name, "confirmations_per_s", [(len(begun) - len(scheduled)) / (until - since)])
    found.add(name, "lag_ms", lags_ms(scheduled, interval_s))
    found.add(name, "agent_lag_p99_ms", [agent["lag_p99_ms"] for agent in said])
    found.add(name, "spooled", [agent["spooled"] for agent in said])
    found.add(name, "agent_cpu_us", [agents_cpu_s * 1e6 / len(begun)])
    found.add(name, "engine_cpu_us", [engine_cpu_s * 1e6 / len(begun)])


def lags_ms(begun: Sequence[tuple[Any, ...]], interval_s: float) -> list[float]:
    """How late probes began for their slots: rows of milliseconds, monitor, source (JSON: region, domain, agent).

    A probe that is an interval late is taken as one on time for the next slot, which then is one too few.
    """
    regions = sorted(set(AGENTS.values()))
    found = []
    for at, monitor, source, *_ in begun:
        offset = schedule.offset(monitor, json.loads(source)[0], regions, interval_s)
        late = (at / 1e3 - offset) % interval_s
        found.append(late * 1e3 if late < interval_s - _ROUNDED_S else 0.0)
    return found


async def _blackbox(
    found: Findings, setting: Setting, port: int, hanging_port: int, *, rate_per_s: float, timeout_s: float
) -> None:
    """The same mix, asked for at a steady rate over kept connections, as Prometheus does."""
    if shutil.which(BLACKBOX) is None:
        found.notes.append(f"without {BLACKBOX}: it is not on this machine")
        return
    seconds = setting.pick(40, 2)
    setting.progress(f"watch-capacity: {BLACKBOX} at {rate_per_s:g}/s")
    config = setting.directory / "blackbox.yml"
    config.write_text(_BLACKBOX_CONFIG.format(timeout_s=timeout_s))
    own = free_port()
    child = Child(
        [BLACKBOX, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"],
        log=setting.directory / "blackbox.log",
    )
    done = 0
    loop = asyncio.get_running_loop()

    async def probe(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal done
        target = f"http://127.0.0.1:{hanging_port if _hangs(number) else port}/{number}"
        async with session.get("/probe", params={"module": "up", "target": target}) as response:
            await response.read()
            done += response.status == 200

    try:
        await asyncio.to_thread(child.wait_until_listening, own)
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{own}", connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as probes,
        ):
            before, due = cpu_s(child.tree()), loop.time()
            for number in range(int(seconds * rate_per_s)):
                due += 1 / rate_per_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                probes.create_task(probe(session, number))
        found.add("blackbox", "cpu_us", [(cpu_s(child.tree()) - before) * 1e6 / done])
        found.add("blackbox", "checks_per_s", [done / seconds])
    finally:
        await asyncio.to_thread(child.stop)


# ---------------------------------------------------------------- intake


async def _intake(found: Findings, setting: Setting) -> None:
    found.parameters |= {
        "intake_s": setting.pick(20, 1),
        "intake_monitors": INTAKE_MONITORS,
        "intake_agents": len(SENDERS),
    }
    async with AsyncExitStack() as stack:
        stores: dict[str, str | None] = {"sqlite": None}
        stores["postgresql"] = stack.enter_context(await asyncio.to_thread(PostgresqlServer)).url()
        for name, store in stores.items():
            setting.progress(f"watch-capacity: full batches to {name}")
            async with WatchService(
                f"intake-{name}", setting.directory, agents=SENDERS, section=_world(INTAKE_MONITORS), store=store
            ) as service:
                await _take_in(found, setting, name, service)


async def _take_in(found: Findings, setting: Setting, name: str, service: WatchService) -> None:
    engine = service.engine
    assert engine is not None  # noqa: S101 - started with the service
    before = cpu_s([engine.pid])
    report = await send(service, setting, seconds=setting.pick(20, 1))
    took_s = cpu_s([engine.pid]) - before
    ((stored,),) = await service.rows("SELECT count(*) FROM netpulse_results")
    if stored < report["sent"]:
        raise DrillError(f"{name}: {report['sent']} results were acknowledged, {stored} are stored")
    found.add("holdfast", f"taken_per_s_{name}", [report["sent"] / report["seconds"]])
    found.add("holdfast", f"receipt_ms_{name}", report["took_ms"])
    found.add("holdfast", f"intake_cpu_us_{name}", [took_s * 1e6 / report["sent"]])
    ((size,),) = await service.rows(SIZE[name])
    found.add("holdfast", f"bytes_per_check_{name}", [size / stored])


def _world(monitors: int) -> dict[str, Any]:
    """Monitors that only scripted agents tell of, each of a host of its own."""
    return {
        "monitors": {f"m{n}": {"http": {"url": f"https://m{n}.example/"}, "interval": "10s"} for n in range(monitors)}
    }


async def send(service: WatchService, setting: Setting, *, seconds: float, rate_per_s: float = 0.0) -> dict[str, Any]:
    """Have scripted agents send, in a process of their own. Raises :class:`DrillError`."""
    plan = Plan(
        url=service.agents_url,
        certificates=str(service.certificates),
        agents={agent: region for agent, region in service.agents.items() if agent != OURSELVES},
        monitors=[f"{TENANT}/m{number}" for number in range(INTAKE_MONITORS)],
        seconds=seconds,
        rate_per_s=rate_per_s,
        seed=setting.seed,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "holdfast.drills.watch_sender", msgspec.json.encode(plan).decode()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds + 60.0):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise DrillError(f"scripted agents failed: {errors.decode(errors='replace')[-500:]}")
    report: dict[str, Any] = json.loads(output)
    return report


# ---------------------------------------------------------------- seeing


async def _seeing(found: Findings, setting: Setting) -> None:
    """One scripted agent is ours: it tells of a check, and the same process waits for the event."""
    count = int(setting.pick(400, 20))
    found.parameters |= {"seen": count, "seen_load_per_s": LOAD_PER_S}
    agents = {**SENDERS, OURSELVES: "here"}
    setting.progress(f"watch-capacity: from result to event at {LOAD_PER_S:g} checks/s")
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            WatchService("seeing", setting.directory, agents=agents, section=_world(INTAKE_MONITORS))
        )
        session = await stack.enter_async_context(service.session())
        seconds = count * EVERY_S + STOPPED_S * setting.pick(10, 3)
        load = asyncio.create_task(send(service, setting, seconds=seconds, rate_per_s=LOAD_PER_S))
        stack.callback(load.cancel)
        agent = Scripted(service.agents_url, service.certificates, OURSELVES, "here")
        stack.push_async_callback(agent.link.close)
        async with _events(session) as seen:
            rng = Random(setting.seed)
            late = [await _seen_ms(agent, seen, rng, up=number % 2 == 0) for number in range(count)]
            stopped = []
            for number in range(int(setting.pick(5, 1))):
                engine = service.engine
                assert engine is not None  # noqa: S101 - started with the service
                with_signal(engine, signal.SIGSTOP)
                asyncio.get_running_loop().call_later(STOPPED_S, with_signal, engine, signal.SIGCONT)
                stopped.append(await _seen_ms(agent, seen, rng, up=number % 2 == 0))
        await load
    found.add("holdfast", "result_to_event_ms", late)
    found.add(CONTROL, "result_to_event_ms", stopped)


async def _seen_ms(agent: Scripted, seen: asyncio.Queue[float], rng: Random, *, up: bool) -> float:
    """From the sending of a check that differs from the one before to its event."""
    await asyncio.sleep(rng.expovariate(1 / EVERY_S))
    while not seen.empty():
        seen.get_nowait()
    loop = asyncio.get_running_loop()
    check = result(f"{TENANT}/m0", agent.next, time.time(), rng, fails=0.0 if up else 1.0)
    began = loop.time()
    sending = asyncio.create_task(agent.send_numbered([check]))
    async with asyncio.timeout(30.0):
        arrived = await seen.get()
        await sending
    return (arrived - began) * 1e3


@asynccontextmanager
async def _events(session: aiohttp.ClientSession) -> AsyncIterator[asyncio.Queue[float]]:
    """When events came of what our own agent told, by the loop's clock."""
    seen: asyncio.Queue[float] = asyncio.Queue(maxsize=100)
    loop = asyncio.get_running_loop()

    async def read(response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"data: ") and b'"region":"here"' in line:
                await seen.put(loop.time())

    timeout = aiohttp.ClientTimeout(total=None)
    async with session.get("/v1/events", params={"kinds": "check"}, timeout=timeout) as response:
        if response.status != 200:
            raise DrillError(f"GET /v1/events answered {response.status}")
        reading = asyncio.create_task(read(response))
        try:
            yield seen
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _judge(found: Findings) -> None:
    for name in ("holdfast", NARROW, CONTROL):
        if name == NARROW and f"{NARROW}.lag_ms" not in found.samples:
            continue
        found.metric(name, "checks_per_s", "sum($checks_per_s)", unit="1/s", better="higher")
        found.metric(name, "done", "sum($checks_per_s) / sum($due_per_s)", unit="ratio", better="higher")
        for share in ("p50", "p99"):
            found.metric(name, f"lag_{share}_ms", f"{share}($lag_ms)", unit="ms", better="lower")
        found.metric(name, "agent_cpu_us", "sum($agent_cpu_us)", unit="us", better="lower")
        found.metric(name, "engine_cpu_us", "sum($engine_cpu_us)", unit="us", better="lower")
        for share in ("p50", "p95") if name != NARROW else ():
            series = f"{share}($result_to_event_ms)"
            found.metric(name, f"result_to_event_{share}_ms", series, unit="ms", better="lower")
    if "blackbox.cpu_us" in found.samples:
        found.metric("blackbox", "cpu_us", "sum($cpu_us)", unit="us", better="lower")
        against = "sum($agent_cpu_us) / sum(samples.blackbox.cpu_us)"
        found.metric("holdfast", "agent_cpu_against_blackbox", against, unit="ratio", better="lower")
    for store in ("sqlite", "postgresql"):
        found.metric("holdfast", f"taken_per_s_{store}", f"sum($taken_per_s_{store})", unit="1/s", better="higher")
        found.metric("holdfast", f"receipt_p95_ms_{store}", f"p95($receipt_ms_{store})", unit="ms", better="lower")
        found.metric("holdfast", f"intake_cpu_us_{store}", f"sum($intake_cpu_us_{store})", unit="us", better="lower")
        found.metric("holdfast", f"bytes_per_check_{store}", f"sum($bytes_per_check_{store})", unit="B", better="lower")
    found.claim("1,000 checks/s", "holdfast.checks_per_s", ">=", 990)
    found.claim("none is left out", "holdfast.done", ">=", 0.99)
    found.claim("they begin when they are due", "holdfast.lag_p99_ms", "<=", 1000)
    found.claim("20,000 results/s are taken in on SQLite", "holdfast.taken_per_s_sqlite", ">=", 20_000)
    found.claim("10,000 on PostgreSQL", "holdfast.taken_per_s_postgresql", ">=", 10_000)
    found.claim("a page shows a result at once", "holdfast.result_to_event_p95_ms", "<=", 45)
