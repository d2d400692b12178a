"""Agents, the engine, its database and the line between them die while causes come and go.

Six agents in three regions watch groups of monitors; each group has an address of its own, which fails once: a cause.
Meanwhile half of the agents get SIGKILL again and again and come back with their spools, so do the engine and
PostgreSQL, and the line falls silent, then resets. A webhook writes down what it is told, and refuses now and then.

Afterwards the books are opened. Agents number what they commit to their spools; every number has to be among the
engine's results once, and once in the sums over minutes, hours and days. Each cause has been told once.

The control are agents whose spool is gone when they come back.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from signal import SIGSTOP
from typing import Any, Final

import aiohttp

from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, NETPULSE, Findings, Setting
from holdfast.drills.postgres import PostgresqlServer
from holdfast.drills.process import Child, free_port
from holdfast.drills.watch_books import LEFT, NOT_SENT, NOTICES, Books, open_books, read_spool
from holdfast.drills.watch_pager import Pager
from holdfast.drills.watch_service import WatchService, with_signal
from holdfast.netpulse.shell.notify.dispatcher import OBSOLETE

AGENTS: Final = {f"{region}-{number}": region for region in ("eu", "us", "ap") for number in (1, 2)}
HALVES: Final = tuple(tuple(agent for agent in AGENTS if agent.endswith(end)) for end in ("-1", "-2"))
"""One of each region, so that somebody always watches."""
HEARTBEAT_S: Final = 1.0
CUT_S: Final = 3.0
"""The line is silent for so long: agents count as lost by then."""
EMBEDDED: Final = "embedded"
OPENED: Final = frozenset({"opened", "reopened"})
TOLD_S: Final = 60.0
"""A cause that nobody was told of after so long is not told at all."""
REST_S: Final = 120.0
"""For spools to empty and incidents to end, when all is calm: a recovery has to hold for a minute."""
SUPERVISION_S: Final = 0.5
_LOOK_S: Final = 0.02


class WatchChaos:
    """``holdfast drill run watch-chaos``."""

    name = "watch-chaos"
    title = "Is a result lost or counted twice, or a page swallowed or repeated, whatever dies?"
    packages = NETPULSE

    async def run(self, setting: Setting) -> Findings:
        """On PostgreSQL, on SQLite, and without spools."""
        found = Findings(control_what="agents whose spool is gone when they come back")
        found.parameters |= {
            "agents": len(AGENTS),
            "heartbeat_s": HEARTBEAT_S,
            "causes": int(setting.pick(12, 3)),
            "monitors_per_cause": int(setting.pick(15, 4)),
            "interval_s": setting.pick(2.0, 1.0),
            "rounds": int(setting.pick(4, 1)),
        }
        names = (("holdfast", True), (EMBEDDED, False), (CONTROL, False))
        for name, on_postgresql in names if not setting.quick else (names[0], names[2]):
            async with asyncio.timeout(600.0), AsyncExitStack() as stack:
                server = None
                if on_postgresql:
                    server = stack.enter_context(await asyncio.to_thread(PostgresqlServer))
                await _Chaos(found, setting, name, server).run(stack)
        _judge(found, [name for name, _ in names if not (setting.quick and name == EMBEDDED)])
        return found


class _Chaos:
    """One contender."""

    def __init__(self, found: Findings, setting: Setting, name: str, server: PostgresqlServer | None) -> None:
        self._found, self._setting, self._name = found, setting, name
        self._server = server
        self._rng = random.Random(f"{setting.seed}/{name}")
        self._causes = int(found.parameters["causes"])
        self._target_port, self._hanging_port, self._link_port = free_port(), free_port(), free_port()
        self._pager = Pager()
        self._committed: Counter[str] = Counter()
        """What agents had put into spools that are gone."""
        self._kills: Counter[str] = Counter()
        self._link: Child | None = None
        self._links = 0

    async def run(self, stack: AsyncExitStack) -> None:
        """Everything, from the first process to the books."""
        await self._pager.start()
        stack.push_async_callback(self._pager.stop)
        hosts = [*map(_host, range(self._causes)), "127.0.0.1"]
        targets = Child(
            [
                *(sys.executable, "-P", "-m", "holdfast.drills.watch_targets"),
                *(str(self._target_port), str(self._hanging_port), *hosts),
            ],
            log=self._setting.directory / f"targets-{self._name}.log",
        )
        stack.callback(targets.stop)
        await asyncio.to_thread(targets.wait_until_listening, self._target_port)
        self._service = service = WatchService(
            self._name,
            self._setting.directory,
            agents=AGENTS,
            section=self._section(),
            store=self._server.url() if self._server else None,
            heartbeat_s=HEARTBEAT_S,
            link_port=self._link_port,
        )
        stack.callback(self._stop_link)
        await stack.enter_async_context(service)
        self._start_link()
        for agent in AGENTS:
            service.start_agent(agent)
        session = await stack.enter_async_context(service.session())
        await service.wait_for_agents(session)
        await asyncio.sleep(2 * float(self._found.parameters["interval_s"]))
        if self._name != CONTROL:
            await self._deaths(session)
        over = asyncio.Event()
        supervisor = asyncio.create_task(self._supervise())
        stack.callback(supervisor.cancel)
        async with asyncio.TaskGroup() as group:
            causes = [group.create_task(self._cause(cause)) for cause in range(self._causes)]
            await self._havoc()
        self._found.add(self._name, "told_after_s", [after for task in causes if (after := task.result()) is not None])
        over.set()
        await self._rest(session)
        supervisor.cancel()
        await self._open_the_books()

    def _section(self) -> Mapping[str, Any]:
        each = int(self._found.parameters["monitors_per_cause"])
        interval_s = self._found.parameters["interval_s"]
        monitors = {
            f"c{cause}-{number}": {
                "interval": f"{interval_s:g}s",
                "timeout": "1s",
                "tags": {"cluster": f"cluster-{cause}"},
                "allow_private": True,
                "http": {"url": f"http://{_host(cause)}:{self._target_port}/{number}"},
            }
            for cause in range(self._causes)
            for number in range(each)
        }
        channel = {
            "allow_private": True,
            "attempts": 60,
            "backoff_min": "200ms",
            "backoff_max": "1s",
            "webhook": {"url": self._pager.url},
        }
        return {"monitors": monitors, "channels": {"pager": channel}, "routes": [{"steps": [{"channels": ["pager"]}]}]}

    # -- what dies

    def _start_link(self) -> None:
        self._links += 1
        self._link = Child(
            [
                *(sys.executable, "-P", "-m", "holdfast.drills.relay"),
                *(f"127.0.0.1:{self._link_port}", "127.0.0.1", str(self._service.agents_port)),
            ],
            log=self._setting.directory / f"link-{self._name}-{self._links}.log",
        )

    def _stop_link(self) -> None:
        if self._link is not None:
            self._link.kill()
            self._link = None

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(SUPERVISION_S)
            await asyncio.to_thread(self._service.revive)

    async def _deaths(self, session: aiohttp.ClientSession) -> None:
        """Agents die one by one, and how long it takes until the engine says so."""
        took: list[float] = []
        self._setting.progress(f"watch-chaos: {self._name}: agents die one by one")
        loop = asyncio.get_running_loop()
        for agent in list(AGENTS)[: int(self._setting.pick(len(AGENTS), 1))] * int(self._setting.pick(2, 1)):
            await asyncio.sleep(self._rng.uniform(0.0, HEARTBEAT_S))
            self._service.kill_agent(agent)
            died = loop.time()
            await self._until_state(session, agent, alive=False)
            took.append(loop.time() - died)
            self._service.start_agent(agent)
            await self._until_state(session, agent, alive=True)
        self._found.add(self._name, "noticed_heartbeats", [each / HEARTBEAT_S for each in took])

    async def _until_state(self, session: aiohttp.ClientSession, agent: str, *, alive: bool) -> None:
        async with asyncio.timeout(REST_S):
            while True:
                known = {
                    each["agent"]: each for region in await self._service.regions(session) for each in region["agents"]
                }
                if agent in known and (known[agent]["state"] != "lost") is alive:
                    return
                await asyncio.sleep(_LOOK_S)

    async def _havoc(self) -> None:
        for turn in range(int(self._found.parameters["rounds"])):
            acts = [self._kill_agents, self._kill_engine, self._cut]
            if self._server is not None:
                acts.append(self._kill_postgresql)
            self._rng.shuffle(acts)
            for act in acts:
                await asyncio.sleep(self._rng.uniform(0.5, self._setting.pick(2.5, 1.0)))
                self._setting.progress(f"watch-chaos: {self._name}: {act.__name__.strip('_').replace('_', ' ')}")
                await act(HALVES[turn % 2])

    async def _kill_agents(self, half: tuple[str, ...]) -> None:
        for agent in half:
            self._service.kill_agent(agent)
            self._kills["agent"] += 1
        await asyncio.sleep(self._rng.uniform(0.0, 1.0))
        for agent in half:
            if self._name == CONTROL:
                self._lose_spool(agent)
            self._service.start_agent(agent)

    def _lose_spool(self, agent: str) -> None:
        file = self._service.spools / f"{agent}.sqlite"
        self._committed[agent] += read_spool(file).numbered
        for part in file.parent.glob(f"{agent}.sqlite*"):
            part.unlink()

    async def _kill_engine(self, _: tuple[str, ...]) -> None:
        self._service.kill_engine()
        self._kills["engine"] += 1
        await asyncio.sleep(self._rng.uniform(0.0, 1.0))
        self._service.start_engine(wait=False)
        await asyncio.sleep(self._rng.uniform(1.0, 3.0))

    async def _cut(self, half: tuple[str, ...]) -> None:
        """Silence, then a reset; in the silence half of the agents die with what nobody else has."""
        assert self._link is not None  # noqa: S101 - started with the agents
        with_signal(self._link, SIGSTOP)
        self._kills["cut"] += 1
        await asyncio.sleep(CUT_S / 2)
        await self._kill_agents(half)
        await asyncio.sleep(CUT_S / 2)
        self._stop_link()
        self._start_link()

    async def _kill_postgresql(self, _: tuple[str, ...]) -> None:
        assert self._server is not None  # noqa: S101 - asked before
        await asyncio.to_thread(self._server.kill)
        self._kills["postgresql"] += 1
        await asyncio.sleep(self._rng.uniform(0.0, 1.0))
        await asyncio.to_thread(self._server.start)

    # -- what is told

    async def _cause(self, cause: int) -> float | None:
        """One address fails until somebody was told of it. Seconds from the one to the other."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.uniform(0.0, self._setting.pick(60.0, 3.0)))
        await self._order(cause, "fail")
        failed = loop.time()
        told = None
        while told is None and loop.time() - failed < TOLD_S:
            if self._told(cause):
                told = loop.time() - failed
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(1.0)
        await self._order(cause, "heal")
        return told

    def _told(self, cause: int) -> set[str]:
        """Notices by which an incident of this cause was opened."""
        return {each.key for each in self._pager.told if each.event in OPENED and cause in _causes(each.members)}

    async def _order(self, cause: int, what: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{_host(cause)}:{self._target_port}/-/{what}") as response,
        ):
            await response.read()

    # -- afterwards

    async def _rest(self, session: aiohttp.ClientSession) -> None:
        """Until agents have delivered, incidents are over, and the last notice is sent."""
        self._setting.progress(f"watch-chaos: {self._name}: it is over; waiting for the rest")
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while not await self._calm(session):  # noqa: ASYNC110 - what is waited for happens in other processes
                    await asyncio.sleep(0.2)

    async def _calm(self, session: aiohttp.ClientSession) -> bool:
        try:
            agents = [each for region in await self._service.regions(session) for each in region["agents"]]
            standing = await self._service.get(session, "/v1/incidents?standing=true")
            ((waiting,),) = await self._service.rows(NOT_SENT)
        except (aiohttp.ClientError, DrillError, TimeoutError):
            return False
        if (standing["incidents"] and not self._setting.quick) or waiting or len(agents) < len(AGENTS):
            return False
        return all(each["state"] != "lost" and each["spooled"] < 200 for each in agents)

    async def _open_the_books(self) -> None:
        service, found, name = self._service, self._found, self._name
        ends = [asyncio.to_thread(child.stop) for child in service.watching.values()]
        await asyncio.gather(*ends)
        async with asyncio.timeout(REST_S):
            while (await service.rows(LEFT))[0][0]:  # noqa: ASYNC110 - it happens elsewhere
                await asyncio.sleep(0.2)
        spools = {agent: read_spool(service.spools / f"{agent}.sqlite") for agent in AGENTS}
        committed = {agent: self._committed[agent] + spool.numbered for agent, spool in spools.items()}
        books = await open_books(service, committed)
        for series, value in _figures(books).items():
            found.add(name, series, [value])
        found.add(name, "dropped", [sum(spool.dropped for spool in spools.values())])
        found.add(name, "left_in_spools", [sum(spool.waiting for spool in spools.values())])
        for what in ("agent", "engine", "cut", "postgresql"):
            found.add(name, f"kills_{what}", [self._kills[what]])
        keys = await self._keys()
        told = [each.key for each in self._pager.told]
        found.add(name, "notices", [len(keys)])
        found.add(name, "swallowed", [len(keys - set(told))])
        found.add(name, "told_twice", [len(told) - len(set(told))])
        found.add(name, "pages_of_cause", [len(self._told(cause)) for cause in range(self._causes)])
        of_two = [each for each in self._pager.told if len(_causes(each.members)) > 1]
        found.add(name, "mixed_up", [len({each.incident for each in of_two})])

    async def _keys(self) -> set[str]:
        """Of notices that had to be told, when none is on its way any more: an incident may end while it is calm.

        What the engine says that time has overtaken (who joined an incident that is over) is not among them.
        """
        rows = await self._service.rows(NOTICES)
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                while any(state == "waiting" for _, state, _ in rows):
                    await asyncio.sleep(0.2)
                    rows = await self._service.rows(NOTICES)
        return {key for key, state, error in rows if state != "failed" or not error.startswith(OBSOLETE)}


def _figures(books: Books) -> dict[str, float]:
    return {
        "spooled": books.spooled,
        "stored": books.stored,
        "lost": books.lost,
        "twice": books.twice,
        "rolled_up_wrong": sum(abs(count - books.stored - books.twice) for count in books.rolled_up.values()),
    }


def _host(cause: int) -> str:
    """Of loopback: the targets of a cause fail together."""
    return f"127.0.{cause + 1}.1"


def _causes(members: tuple[str, ...]) -> set[int]:
    return {int(match[1]) for each in members if (match := re.match(r"c(\d+)-", each))}


def _judge(found: Findings, names: list[str]) -> None:
    for name in names:
        for series in ("spooled", "stored", "notices"):
            found.metric(name, series, f"sum(${series})", unit="", better="higher")
        for series in (
            "lost",
            "twice",
            "rolled_up_wrong",
            "dropped",
            "left_in_spools",
            "swallowed",
            "told_twice",
            "mixed_up",
        ):
            found.metric(name, series, f"sum(${series})", unit="", better="lower")
        for what in ("agent", "engine", "cut", "postgresql"):
            found.metric(name, f"kills_{what}", f"sum($kills_{what})", unit="times", better="higher")
        found.metric(name, "causes_told", "count($told_after_s)", unit="causes", better="higher")
        found.metric(name, "fewest_pages_of_a_cause", "min($pages_of_cause)", unit="pages", better="higher")
        found.metric(name, "most_pages_of_a_cause", "max($pages_of_cause)", unit="pages", better="lower")
        found.metric(name, "told_after_p95_s", "p95($told_after_s)", unit="s", better="lower")
        if name == CONTROL:
            continue
        for share in ("p95", "max"):
            series = f"{share}($noticed_heartbeats)"
            found.metric(name, f"noticed_{share}_heartbeats", series, unit="heartbeats", better="lower")
        on = "SQLite" if name == EMBEDDED else "PostgreSQL"
        found.claim(f"nothing that was spooled is lost ({on})", f"{name}.lost", "==", 0, in_quick=True)
        found.claim(f"nothing is stored twice ({on})", f"{name}.twice", "==", 0, in_quick=True)
        found.claim(f"the sums have each once ({on})", f"{name}.rolled_up_wrong", "==", 0, in_quick=True)
        found.claim(f"no notice is swallowed ({on})", f"{name}.swallowed", "==", 0, in_quick=True)
        found.claim(f"every cause is told ({on})", f"{name}.fewest_pages_of_a_cause", ">=", 1, in_quick=True)
        found.claim(f"and told once ({on})", f"{name}.most_pages_of_a_cause", "<=", 1)
        found.claim(f"a dead agent is noticed ({on})", f"{name}.noticed_max_heartbeats", "<=", 2)
