"""What an operator may expect of a monitor: how soon an outage is noticed, and how often it is cried for nothing."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kernel import Duration
from holdfast.netpulse.core.calibration import bound_s
from holdfast.netpulse.core.engine import expected_delay
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Of one monitor."""

    monitor: str
    delay_s: float
    """From an outage to its detection, on average, when every probe fails at its timeout."""
    bound_s: float | None
    """What no rule with so few false pages can beat on average, answers being immediate; ``None`` where it says nothing
    (heartbeats, simple rules)."""
    false_pages_per_year: float | None
    regions: int
    domains: int

    def sentence(self) -> str:
        """``noticed in 27s (3 regions, 3 domains), 1 false page a year; ...``."""
        seen = f"{self.regions} region{'s' * (self.regions != 1)}, {self.domains} domain{'s' * (self.domains != 1)}"
        text = f"noticed in {Duration(round(self.delay_s))} ({seen})"
        if self.false_pages_per_year is not None:
            text += f", {self.false_pages_per_year:g} false page{'s' * (self.false_pages_per_year != 1)} a year"
        if self.bound_s is not None:
            text += f"; without confirmations no rule is quicker than {Duration(round(self.bound_s))}"
        if self.domains == 1 and self.false_pages_per_year is not None:
            text += "; one domain only: what is wrong with it looks like an outage"
        return text

    def record(self) -> dict[str, float | int | str | None]:
        """For machines."""
        return {
            "monitor": self.monitor,
            "delay_s": round(self.delay_s, 1),
            "bound_s": None if self.bound_s is None else round(self.bound_s, 1),
            "false_pages_per_year": self.false_pages_per_year,
            "regions": self.regions,
            "domains": self.domains,
        }


def expectations(settings: NetpulseSettings) -> list[Expectation]:
    """Of every monitor of a sound section, in its order."""
    world = World(settings)
    found = []
    for entry in world.entries.values():
        regions, spec = world.regions_of(entry), entry.spec
        plain = spec.heartbeat is None and spec.rule is None
        rate = spec.false_pages_per_year or settings.false_pages_per_year
        found.append(
            Expectation(
                monitor=entry.id,
                delay_s=expected_delay(spec, settings.false_pages_per_year, regions),
                bound_s=bound_s(rate, interval_s=spec.interval, regions=len(regions)) if plain else None,
                false_pages_per_year=rate if plain else None,
                regions=len(regions),
                domains=len(set(regions.values())),
            )
        )
    return found
