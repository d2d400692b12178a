"""What each agent is to do: its schedule, and what it is to confirm. Questions are held open until there is news."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.netpulse.core import schedule
from holdfast.netpulse.core.incident import Wanted
from holdfast.netpulse.core.presence import HELD, Presence
from holdfast.netpulse.core.protocol import Ask, Confirm, Orders, Target, encode
from holdfast.netpulse.core.world import World

CONFIRMS: Final = 1000
"""Confirmations that wait for one agent; of more the oldest go, because what they would say is old, too."""


@dataclass(slots=True)
class _Desk:
    """What is kept for one agent."""

    epoch: str = ""
    number: int = 0
    confirms: deque[Confirm] = field(default_factory=lambda: deque(maxlen=CONFIRMS))
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Schedule:
    version: str
    targets: tuple[Target, ...]
    monitors: frozenset[str]


class Dispatch:
    """Answers to :class:`Ask`."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._world: World | None = None
        self._desks: dict[str, _Desk] = {}
        self._schedules: dict[tuple[str, str], _Schedule] = {}
        """By region and agent."""
        self._live: dict[str, list[str]] = {}
        self._closed = False

    def configure(self, world: World) -> None:
        """Follow a changed world; whoever waits hears of it at once."""
        self._world = world
        self._schedules.clear()
        self._wake()

    def regrouped(self) -> None:
        """An agent came or went: the others of its region take over or give back."""
        live = {region: self._presence.live(region) for region in self._presence.regions()}
        if live != self._live:
            self._live = live
            self._schedules.clear()
            self._wake()

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Have monitors probed now, by the agent in each region that has them on its schedule."""
        for each in wanted:
            for region in each.regions:
                for agent in self._presence.live(region):
                    if each.monitor in self._schedule(region, agent).monitors:
                        self._add(agent, each.monitor)
                        break

    async def answer(self, ask: Ask, *, now: float, heartbeat_s: float) -> Orders:
        """At once if there is news; otherwise when there is, or when the time for which a question is held is over."""
        desk = self._desks.setdefault(ask.agent, _Desk())
        if desk.epoch != ask.epoch:
            # From where the agent is: it may have counted with the engine before this one.
            desk.epoch, desk.number = ask.epoch, ask.confirmed
            desk.confirms.clear()
        while desk.confirms and desk.confirms[0].number <= ask.confirmed:
            desk.confirms.popleft()
        wait_s = HELD * heartbeat_s
        made = self._schedule(ask.region, ask.agent)
        if made.version == ask.schedule and not desk.confirms and not self._closed:
            desk.news.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await desk.news.wait()
            except TimeoutError:
                pass
            made = self._schedule(ask.region, ask.agent)
        stale = made.version != ask.schedule
        canaries = self._world.settings.agents.canaries if self._world is not None else ()
        return Orders(
            now=now,
            wait_s=wait_s,
            schedule=made.version,
            targets=made.targets if stale else None,
            canaries=canaries if stale else None,
            confirms=tuple(desk.confirms),
        )

    def close(self) -> None:
        """Answer everybody who waits."""
        self._closed = True
        self._wake()

    def _add(self, agent: str, monitor: str) -> None:
        desk = self._desks.setdefault(agent, _Desk())
        if all(confirm.monitor != monitor for confirm in desk.confirms):
            desk.number += 1
            desk.confirms.append(Confirm(number=desk.number, monitor=monitor))
            desk.news.set()

    def _wake(self) -> None:
        for desk in self._desks.values():
            desk.news.set()

    def _schedule(self, region: str, agent: str) -> _Schedule:
        found = self._schedules.get((region, agent))
        if found is None:
            found = self._schedules[region, agent] = self._made(region, agent)
        return found

    def _made(self, region: str, agent: str) -> _Schedule:
        if self._world is None:
            return _Schedule("", (), frozenset())
        targets: dict[str, Target] = {}
        for key, entry in self._world.entries.items():
            if entry.spec.paused or entry.spec.heartbeat is not None:
                continue
            regions = tuple(self._world.regions_of(entry))
            if region in regions:
                offset = schedule.offset(key, region, regions, entry.spec.interval)
                targets[key] = Target(monitor=key, spec=entry.spec, offset=offset)
        agents = self._live.get(region) or [agent]
        whose = schedule.assigned(targets, sorted({*agents, agent}))
        chosen = tuple(target for key, target in targets.items() if whose[key] == agent)
        digest = hashlib.sha256(encode((chosen, self._world.settings.agents.canaries))).hexdigest()
        return _Schedule(digest[:16], chosen, frozenset(target.monitor for target in chosen))
