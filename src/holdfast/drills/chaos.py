"""Everything that can die is killed at random while thousands of programs run.

The API, the workers and PostgreSQL get SIGKILL, one after the other and at random moments, and come back; the
cable of one worker is pulled for longer than a lease. Clients repeat what was not acknowledged, under the same
idempotency key. Afterwards the books are opened: every program that was acknowledged has ended once, no
result was written twice, and dead letters that are replayed end as well.

The control is the queue that the code runner replaces: a worker takes a job off the queue and then runs it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp

from holdfast.drills import namespaces
from holdfast.drills.code_service import NO_BOUNDS, CodeService
from holdfast.drills.contenders import CONTROL
from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CODE_RUNNER, Findings, Setting
from holdfast.drills.postgres import PostgresqlServer
from holdfast.drills.process import Child

TENANTS: Final = ("red", "green", "blue")
AT_ONCE: Final = 40
"""Programs under way at one time, so that the chaos meets them in every state."""
PROGRAM: Final = "import time\ntime.sleep({seconds:.3f})\nprint({number})\n"
LONG_EVERY: Final = 20
"""One program in so many runs for seconds, and so meets death more than once."""
LEASE_S: Final = 4
CUT_S: Final = 6.0
"""For so long the cable is pulled: longer than a lease."""
LONGEST_S: Final = 1200.0
_TERMINAL: Final = {"finished", "dead"}
_AGAIN_S: Final = 0.2


class Chaos:
    """``holdfast drill run execution-chaos``."""

    name = "execution-chaos"
    title = "Is a program that was accepted ever lost, or its result written twice, whatever dies?"
    packages = CODE_RUNNER

    async def run(self, setting: Setting) -> Findings:
        """Holdfast, then the queue that forgets."""
        count = int(setting.pick(2000, 40))
        found = Findings(control_what="a queue whose workers take a job off before they run it")
        found.parameters |= {"programs": count, "at_once": AT_ONCE, "kill_every_s": setting.pick(4.0, 1.0)}
        async with asyncio.timeout(LONGEST_S), AsyncExitStack() as stack:
            await _holdfast(found, setting, stack, count)
        await _control(found, setting, count=int(setting.pick(300, 40)))
        _judge(found)
        return found


async def _holdfast(found: Findings, setting: Setting, stack: AsyncExitStack, count: int) -> None:
    server = stack.enter_context(await asyncio.to_thread(PostgresqlServer))
    section = {
        "admission": NO_BOUNDS,
        # Few and short, so that some programs do end as dead letters, which are then replayed.
        "lease": {"duration": f"{LEASE_S}s", "renew": "1s", "attempts": 2, "backoff_max": "2s"},
        "worker": {"slots": 4},
    }
    cable: namespaces.Cable | None = None
    reason = namespaces.missing()
    if reason is None:
        cable = stack.enter_context(namespaces.Cable())
        service = await _in_namespaces(setting, stack, server, section, cable)
    else:
        found.notes.append(f"no worker was cut off: {reason}")
        service = CodeService(
            "holdfast", setting.directory, tenants=TENANTS, workers=2, store=server.url, section=section
        )
    await stack.enter_async_context(service)
    if cable is not None:
        service.start_worker(cable.inside(cable.far))
        await service.wait_for_workers(2)
    session = await stack.enter_async_context(service.session())
    over = asyncio.Event()
    havoc = asyncio.create_task(_havoc(found, setting, service, server, cable, over))
    stack.callback(havoc.cancel)
    acknowledged = await _submit_all(setting, service, session, count)
    over.set()
    await havoc
    setting.progress("execution-chaos: it is over; waiting for the rest")
    await _open_the_books(found, setting, service, session, acknowledged)


async def _in_namespaces(
    setting: Setting,
    stack: AsyncExitStack,
    server: PostgresqlServer,
    section: dict[str, Any],
    cable: namespaces.Cable,
) -> CodeService:
    """The API and one worker at the near end of the cable; PostgreSQL is reached by its Unix socket."""
    door = setting.directory / "door"
    service = CodeService(
        "holdfast",
        setting.directory,
        tenants=TENANTS,
        store=server.socket_url,
        section=section,
        host=cable.near_address,
        api_prefix=cable.inside(cable.near),
        door=door,
    )
    relay = Child(
        [
            *cable.inside(cable.near),
            *(sys.executable, "-P", "-m", "holdfast.drills.relay", str(door), cable.near_address, str(service.port)),
        ],
        log=setting.directory / "relay.log",
    )
    stack.callback(relay.stop)
    return service


async def _havoc(
    found: Findings,
    setting: Setting,
    service: CodeService,
    server: PostgresqlServer,
    cable: namespaces.Cable | None,
    over: asyncio.Event,
) -> None:
    """Kill something every few seconds until it is over; whatever was killed is started again."""
    rng = random.Random(f"{setting.seed}/havoc")
    kills = {"api": 0, "worker": 0, "postgresql": 0, "cut": 0}

    async def api() -> None:
        if service.api is not None:
            service.kill(service.api)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        service.start_api()

    async def worker() -> None:
        victim = rng.choice(service.workers)
        prefix = service.prefix_of(victim)
        service.kill(victim)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        service.start_worker(prefix)

    async def postgresql() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await asyncio.to_thread(server.start)

    async def cut() -> None:
        if cable is not None:
            cable.pull()
            await asyncio.sleep(CUT_S)
            cable.plug_in()

    acts: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("api", api),
        ("worker", worker),
        ("postgresql", postgresql),
    ]
    if cable is not None:
        acts.append(("cut", cut))
    turn = 0
    while not over.is_set():
        # Each of them once, then by chance: a short run meets them all.
        what, act = acts[turn] if turn < len(acts) else rng.choice(acts)
        turn += 1
        setting.progress(f"execution-chaos: {'the cable is pulled' if what == 'cut' else f'{what} is killed'}")
        await act()
        kills[what] += 1
        pause = rng.expovariate(1 / setting.pick(4.0, 1.0))
        try:
            async with asyncio.timeout(pause):
                await over.wait()
        except TimeoutError:
            continue
    for what, times in kills.items():
        found.add("holdfast", f"kills_{what}", [times])


async def _submit_all(
    setting: Setting, service: CodeService, session: aiohttp.ClientSession, count: int
) -> dict[str, str]:
    """Hand in so many programs, a bounded number under way at a time. Job id -> tenant of those acknowledged."""
    acknowledged: dict[str, str] = {}
    numbers = iter(range(count))
    rng = random.Random(f"{setting.seed}/programs")

    async def client() -> None:
        for number in numbers:
            tenant = TENANTS[number % len(TENANTS)]
            shortest, longest = (4.0, 8.0) if number % LONG_EVERY == LONG_EVERY - 1 else (0.02, 0.5)
            source = PROGRAM.format(seconds=rng.uniform(shortest, longest), number=number)
            body = {"language": "python", "source": source, "limits": {"wall": "30s"}}
            answer = await _insist(
                service, session, "POST", "/v1/jobs", tenant, body, {"Idempotency-Key": f"drill-{number}"}, {202}
            )
            acknowledged[answer["id"]] = tenant
            await _ended(service, session, answer["id"], tenant)
            if len(acknowledged) % 200 == 0:
                setting.progress(f"execution-chaos: {len(acknowledged)} of {count} programs")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    return acknowledged


async def _ended(service: CodeService, session: aiohttp.ClientSession, id: str, tenant: str) -> dict[str, Any]:
    while True:
        job = await _insist(service, session, "GET", f"/v1/jobs/{id}?wait=5s", tenant, None, {}, {200})
        if job["status"] in _TERMINAL:
            return job


async def _insist(
    service: CodeService,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    tenant: str,
    body: object,
    headers: dict[str, str],
    wanted: set[int],
) -> dict[str, Any]:
    """Ask until there is an answer: what a client does that must not lose anything."""
    while True:
        try:
            answer = await service.call(session, method, path, service.keys[tenant], body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(_AGAIN_S)
            continue
        if answer.status in wanted:
            document: dict[str, Any] = answer.body
            return document
        if answer.status < 500 and answer.status != 429:
            raise DrillError(f"{method} {path} answered {answer.status}: {answer.body}")
        await asyncio.sleep(_AGAIN_S)


async def _open_the_books(
    found: Findings,
    setting: Setting,
    service: CodeService,
    session: aiohttp.ClientSession,
    acknowledged: dict[str, str],
) -> None:
    dead = [
        id for id, tenant in acknowledged.items() if (await _ended(service, session, id, tenant))["status"] == "dead"
    ]
    found.add("holdfast", "acknowledged", [len(acknowledged)])
    found.add("holdfast", "dead_letters", [len(dead)])
    replayed = 0
    for tenant in TENANTS:
        answer = await _insist(
            service, session, "POST", "/v1/dead-letters/replay", tenant, {"all": True}, {}, {200, 202}
        )
        replayed += len(answer["replayed"])
    setting.progress(f"execution-chaos: {len(dead)} dead letters, {replayed} replayed")
    found.add("holdfast", "replayed", [replayed])
    lost = wrong = twice = still_dead = attempts = 0
    for id, tenant in acknowledged.items():
        job = await _ended(service, session, id, tenant)
        lost += job["status"] not in _TERMINAL
        still_dead += job["status"] == "dead"
        attempts += job["attempts"]
        wrong += job["status"] == "finished" and job["verdict"] != "ok"
        twice += await _results_written(service, session, id, tenant) > 1
    found.add("holdfast", "lost", [lost])
    found.add("holdfast", "wrong_verdicts", [wrong])
    found.add("holdfast", "written_twice", [twice])
    found.add("holdfast", "dead_after_replay", [still_dead])
    found.add("holdfast", "attempts", [attempts])


async def _results_written(service: CodeService, session: aiohttp.ClientSession, id: str, tenant: str) -> int:
    """How often ``finished`` is among the events of a job that has ended."""
    headers = {"Authorization": f"Bearer {service.keys[tenant]}"}
    async with session.get(f"/v1/jobs/{id}/events", headers=headers) as response:
        text = await response.text()
    return text.count("event: finished\n")


async def _control(found: Findings, setting: Setting, *, count: int) -> None:
    """The same programs on a queue that forgets what it has given out, its worker killed as often."""
    setting.progress("execution-chaos: control")
    file = setting.directory / "forgetful.db"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY)")
        database.execute("CREATE TABLE results (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO queue VALUES (?)", [(number,) for number in range(count)])
    rng = random.Random(f"{setting.seed}/control")

    def start() -> Child:
        argv = [sys.executable, "-P", "-m", "holdfast.drills.forgetful", str(file)]
        return Child(argv, log=setting.directory / "forgetful.log")

    worker = start()
    kills = 0
    try:
        while _left(file):
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            worker.kill()
            kills += 1
            worker = start()
    finally:
        worker.stop(timeout_s=5.0)
    with sqlite3.connect(file) as database:
        (finished,) = database.execute("SELECT count(*) FROM results").fetchone()
    found.add(CONTROL, "acknowledged", [count])
    found.add(CONTROL, "kills_worker", [kills])
    found.add(CONTROL, "lost", [count - finished])


def _left(file: object) -> int:
    with sqlite3.connect(str(file)) as database:
        (left,) = database.execute("SELECT count(*) FROM queue").fetchone()
        return int(left)


def _judge(found: Findings) -> None:
    for name in ("acknowledged", "dead_letters", "replayed"):
        found.metric("holdfast", name, f"sum(${name})", unit="jobs", better="higher")
    for name in ("lost", "written_twice", "wrong_verdicts", "dead_after_replay"):
        found.metric("holdfast", name, f"sum(${name})", unit="jobs", better="lower")
    found.metric(CONTROL, "lost", "sum($lost)", unit="jobs", better="lower")
    found.metric(
        "holdfast", "attempts_per_program", "sum($attempts) / sum($acknowledged)", unit="attempts", better="lower"
    )
    found.claim("nothing that was accepted is lost", "holdfast.lost", "==", 0, in_quick=True)
    found.claim("no result is written twice", "holdfast.written_twice", "==", 0, in_quick=True)
    found.claim("every program did what it says", "holdfast.wrong_verdicts", "==", 0, in_quick=True)
    found.claim("a replay brings dead letters to their end", "holdfast.dead_after_replay", "==", 0, in_quick=True)
