"""Which agents live and can see, and what follows for their regions.

    waiting   never heard of since the engine started, and not for long yet
    seeing    an agent of it was heard of lately, and reaches its canaries
    blind     its agents live, and none of them reaches a canary
    lost      no agent of it was heard of for two heartbeats

A region that does not see says nothing about its targets: what it reports is unknown, what it does not report is not
missed. That its agent is gone is an incident of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from holdfast.netpulse.core.protocol import Ask

_PATIENCE_S = 60.0
"""For a region that was not heard of since the engine started: an agent has to start, find its certificate, connect."""
HELD = 0.8
"""An agent's question is held open for so much of a heartbeat, and the next one follows at once."""
LOST_AFTER = 1.9
"""Heartbeats of silence. Below two, so that it is noticed within two intervals of the last sign of life."""
FORGET_S = 7 * 86_400.0


@dataclass(slots=True)
class Agent:
    """What is known of one agent. Times are seconds since the epoch by the engine's clock."""

    name: str
    region: str
    epoch: str
    heard: float
    blind: bool
    since: float
    """Of ``blind``, by the engine's clock."""
    reason: str
    version: str
    spooled: int
    dropped: int
    lag_p99_ms: float
    offset_s: float
    """What is added to its times."""
    alive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """How a region stands."""

    region: str
    state: str
    since: float
    reason: str


@dataclass(slots=True)
class Presence:
    """All agents. Every method takes ``now``; none is idempotent by accident: the same input changes nothing twice."""

    heartbeat_s: float
    tolerance_s: float
    started: float
    agents: dict[str, Agent] = field(default_factory=dict)
    """By name."""
    _regions: dict[str, Region] = field(default_factory=dict)

    def configure(self, regions: Iterable[str], *, heartbeat_s: float, tolerance_s: float, now: float) -> None:
        """Follow a changed configuration; agents of regions that are gone are forgotten."""
        self.heartbeat_s, self.tolerance_s = heartbeat_s, tolerance_s
        wanted = set(regions)
        for region in wanted - self._regions.keys():
            self._regions[region] = Region(region=region, state="waiting", since=now, reason="not heard of yet")
        for region in self._regions.keys() - wanted:
            del self._regions[region]
        self.agents = {name: agent for name, agent in self.agents.items() if agent.region in wanted}

    def heard(self, ask: Ask, now: float) -> None:
        """Take in what an agent says of itself."""
        offset = self.offset(now, ask.now)
        known = self.agents.get(ask.agent)
        if known is None or known.epoch != ask.epoch or known.blind != ask.sight.blind:
            since = min(now, ask.sight.since + offset)
        else:
            since = known.since
        self.agents[ask.agent] = Agent(
            name=ask.agent,
            region=ask.region,
            epoch=ask.epoch,
            heard=now,
            blind=ask.sight.blind,
            since=since,
            reason=ask.sight.reason[:200],
            version=ask.version[:40],
            spooled=ask.spooled,
            dropped=ask.dropped,
            lag_p99_ms=ask.lag_p99_ms,
            offset_s=offset,
        )

    def offset(self, now: float, theirs: float) -> float:
        """What to add to an agent's times: nothing while its clock is within the tolerance."""
        off = now - theirs
        return 0.0 if abs(off) <= self.tolerance_s else off

    def excused(self, seconds: float) -> None:
        """Nobody listened for so long: the process stood still, or its clock was set. That is no silence of theirs."""
        for agent in self.agents.values():
            agent.heard += seconds
        self._regions = {
            name: replace(region, since=region.since + seconds) if region.state == "waiting" else region
            for name, region in self._regions.items()
        }

    def live(self, region: str) -> list[str]:
        """Names of its agents that are heard of, in order."""
        return sorted(agent.name for agent in self.agents.values() if agent.region == region and agent.alive)

    def regions(self) -> Mapping[str, Region]:
        """As of the last :meth:`look`."""
        return self._regions

    def look(self, now: float) -> list[Region]:
        """Judge every region; those whose state changed."""
        silence_s = LOST_AFTER * self.heartbeat_s
        for name, agent in list(self.agents.items()):
            agent.alive = now - agent.heard < silence_s
            if now - agent.heard > FORGET_S:
                del self.agents[name]
        changed = []
        for name, before in self._regions.items():
            after = self._judge(before, now, silence_s)
            if after.state != before.state:
                changed.append(after)
                self._regions[name] = after
        return changed

    def due(self) -> float | None:
        """When silence would next say something."""
        silence_s = LOST_AFTER * self.heartbeat_s
        moments = [agent.heard + silence_s for agent in self.agents.values() if agent.alive]
        moments += [region.since + _PATIENCE_S for region in self._regions.values() if region.state == "waiting"]
        return min(moments, default=None)

    def _judge(self, before: Region, now: float, silence_s: float) -> Region:
        agents = [agent for agent in self.agents.values() if agent.region == before.region]
        live = [agent for agent in agents if agent.alive]
        if any(not agent.blind for agent in live):
            return Region(region=before.region, state="seeing", since=now, reason="")
        if live:
            since = min(agent.since for agent in live)
            return Region(
                region=before.region, state="blind", since=since, reason=live[0].reason or "no canary answers"
            )
        if agents:
            last = max(agent.heard for agent in agents)
            reason = f"no sign of life for {silence_s:.0f} s"
            return Region(region=before.region, state="lost", since=last, reason=reason)
        if before.state == "waiting" and now - before.since < _PATIENCE_S:
            return before
        reason = f"no agent has come within {_PATIENCE_S:.0f} s of the engine's start"
        return Region(region=before.region, state="lost", since=before.since, reason=reason)
