"""Everything that can die is killed at random while thousands of programs run.

The API, the workers and PostgreSQL get SIGKILL, one after the other and at random moments, and come back; the
cable of one worker is pulled for longer than a lease. Clients repeat what was not acknowledged, under the same
idempotency key. Afterwards the books are opened: every program that was acknowledged has ended once, no
result was written twice, and dead letters that are replayed end as well.

The control is the queue that the code runner replaces: a worker takes a job off the queue and then runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from holdfast.drills import forgetful, namespaces
from holdfast.drills.code_service import NO_BOUNDS, CodeService
from holdfast.drills.findings import CODE_RUNNER, CONTROL, Findings, Setting
from holdfast.drills.persistence import Acknowledged, PersistentClient
from holdfast.drills.postgres import PostgresqlServer
from holdfast.drills.process import Child

TENANTS: Final = ("red", "green", "blue")
AT_ONCE: Final = 40
"""Programs under way at one time, so that the chaos meets them in every state."""
PROGRAM: Final = "import time\ntime.sleep({seconds:.3f})\nprint({number})\n"
SHORT_S: Final = (0.02, 0.5)
LONG_S: Final = (4.0, 8.0)
"""How long the programs run, from and to."""
LONG_EVERY: Final = 20
"""One program in so many is a long one, which meets death more than once."""
LEASE_S: Final = 4
CUT_S: Final = 6.0
"""For so long the cable is pulled: longer than a lease."""
SUPERVISION_S: Final = 0.5
"""What has ended by itself is started again after this long."""
REST_S: Final = 120.0
"""An acknowledged program that has not ended so long after the last death is lost."""
LONGEST_S: Final = 1500.0


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
        await _control(found, setting, count=int(setting.pick(300, 30)))
        _judge(found)
        return found


async def _holdfast(found: Findings, setting: Setting, stack: AsyncExitStack, count: int) -> None:
    attempts = int(setting.pick(2, 1))
    found.parameters["attempts"] = attempts
    server = stack.enter_context(await asyncio.to_thread(PostgresqlServer))
    section = {
        "admission": NO_BOUNDS,
        # Few and short, so that some programs do end as dead letters, which are then replayed.
        "lease": {"duration": f"{LEASE_S}s", "renew": "1s", "attempts": attempts, "backoff_max": "2s"},
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
            "holdfast", setting.directory, tenants=TENANTS, workers=2, store=server.url(), section=section
        )
    await stack.enter_async_context(service)
    if cable is not None:
        service.start_worker(cable.inside(cable.far))
        await service.wait_for_workers(2)
    session = await stack.enter_async_context(service.session())
    over = asyncio.Event()
    havoc = asyncio.create_task(_havoc(found, setting, service, server, cable, over))
    stack.callback(havoc.cancel)
    restarts: list[float] = []
    supervisor = asyncio.create_task(_supervise(service, restarts))
    stack.callback(supervisor.cancel)
    acknowledged = await _submit_all(setting, PersistentClient(service, session), count)
    over.set()
    await havoc
    setting.progress("execution-chaos: it is over; waiting for the rest")
    await _open_the_books(found, setting, service, session, acknowledged)
    found.add("holdfast", "restarts", [len(restarts)])


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
        ("worker", worker),
        ("api", api),
        ("postgresql", postgresql),
    ]
    if cable is not None:
        acts.insert(1, ("cut", cut))
    turn, most = 0, setting.pick(math.inf, len(acts))
    while turn < most and not await _came(over, within_s=rng.expovariate(1 / setting.pick(4.0, 1.0))):
        # Each of them once, then by chance: a short run meets them all.
        what, act = acts[turn] if turn < len(acts) else rng.choice(acts)
        turn += 1
        setting.progress(f"execution-chaos: {'the cable is pulled' if what == 'cut' else f'{what} is killed'}")
        await act()
        kills[what] += 1
    for what, times in kills.items():
        found.add("holdfast", f"kills_{what}", [times])


async def _supervise(service: CodeService, restarts: list[float]) -> None:
    """Start again what ended by itself; one entry for each."""
    while True:
        await asyncio.sleep(SUPERVISION_S)
        restarts += [1.0] * service.revive()


async def _came(event: asyncio.Event, *, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


async def _submit_all(setting: Setting, client: PersistentClient, count: int) -> list[Acknowledged]:
    """Hand in so many programs, a bounded number under way at a time. Those acknowledged."""
    acknowledged: list[Acknowledged] = []
    numbers = iter(range(count))
    rng = random.Random(f"{setting.seed}/programs")
    long_s = (1.0, 2.0) if setting.quick else LONG_S

    async def one_at_a_time() -> None:
        for number in numbers:
            shortest, longest = long_s if number % LONG_EVERY == LONG_EVERY - 1 else SHORT_S
            source = PROGRAM.format(seconds=rng.uniform(shortest, longest), number=number)
            job = {"language": "python", "source": source, "limits": {"wall": "30s"}}
            one = await client.submit(TENANTS[number % len(TENANTS)], number, job)
            acknowledged.append(one)
            if len(acknowledged) % 200 == 0:
                setting.progress(f"execution-chaos: {len(acknowledged)} of {count} programs")
            await client.ended(one, within_s=REST_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_at_a_time())
    return acknowledged


async def _open_the_books(
    found: Findings,
    setting: Setting,
    service: CodeService,
    session: aiohttp.ClientSession,
    acknowledged: list[Acknowledged],
) -> None:
    client = PersistentClient(service, session)
    ends = [await client.ended(one, within_s=REST_S) for one in acknowledged]
    dead = sum(end is not None and end["status"] == "dead" for end in ends)
    replayed = 0
    for tenant in TENANTS:
        replayed += len(await client.replay(tenant))
    setting.progress(f"execution-chaos: {dead} dead letters, {replayed} replayed")
    lost = wrong = twice = still_dead = attempts = 0
    for one in acknowledged:
        job = await client.ended(one, within_s=REST_S)
        if job is None:
            lost += 1
            continue
        attempts += job["attempts"]
        if job["status"] == "dead":
            still_dead += 1
            continue
        wrong += job["verdict"] != "ok" or job["stdout"] != f"{one.number}\n"
        twice += await client.results_written(one) > 1
    known = {one.id for one in acknowledged}
    jobs = [job["id"] for tenant in TENANTS for job in await service.jobs(session, tenant)]
    found.add("holdfast", "acknowledged", [len(acknowledged)])
    found.add("holdfast", "dead_letters", [dead])
    found.add("holdfast", "replayed", [replayed])
    found.add("holdfast", "lost", [lost + len(known - set(jobs))])
    found.add("holdfast", "queued_twice", [len(jobs) - len(known)])
    found.add("holdfast", "wrong_results", [wrong])
    found.add("holdfast", "written_twice", [twice])
    found.add("holdfast", "dead_after_replay", [still_dead])
    found.add("holdfast", "attempts", [attempts])
    found.add("holdfast", "leases_lost", [service.log().count('"action": "lease_lost"')])


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
        # As a file: the package takes longer to import than such a worker may live.
        argv = [sys.executable, "-I", "-S", str(Path(forgetful.__file__)), str(file)]
        return Child(argv, log=setting.directory / "forgetful.log")

    worker = start()
    kills = 0
    try:
        while _left(file):
            await asyncio.sleep(rng.uniform(0.1, 0.5))
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
    for name in ("lost", "queued_twice", "written_twice", "wrong_results", "dead_after_replay"):
        found.metric("holdfast", name, f"sum(${name})", unit="jobs", better="lower")
    for what in ("api", "worker", "postgresql", "cut"):
        found.metric("holdfast", f"kills_{what}", f"sum($kills_{what})", unit="times", better="higher")
    found.metric("holdfast", "restarts", "sum($restarts)", unit="times", better="lower")
    found.metric("holdfast", "leases_lost", "sum($leases_lost)", unit="leases", better="lower")
    found.metric(CONTROL, "acknowledged", "sum($acknowledged)", unit="jobs", better="higher")
    found.metric(CONTROL, "kills_worker", "sum($kills_worker)", unit="times", better="higher")
    found.metric(CONTROL, "lost", "sum($lost)", unit="jobs", better="lower")
    found.metric(
        "holdfast", "attempts_per_program", "sum($attempts) / sum($acknowledged)", unit="attempts", better="lower"
    )
    found.claim("some ended as dead letters, so that there was something to replay", "holdfast.dead_letters", ">=", 1)
    found.claim("nothing that was accepted is lost", "holdfast.lost", "==", 0, in_quick=True)
    found.claim("no result is written twice", "holdfast.written_twice", "==", 0, in_quick=True)
    found.claim("no program is queued twice", "holdfast.queued_twice", "==", 0, in_quick=True)
    found.claim("every program printed what it had to", "holdfast.wrong_results", "==", 0, in_quick=True)
    found.claim("a replay brings dead letters to their end", "holdfast.dead_after_replay", "==", 0, in_quick=True)
