"""From a workload's traffic to what is billed: tasks, gigabytes, load balancer units, requests a month.

Quantities are :class:`~decimal.Decimal` from here on, so that an estimate is the same sum on every machine.

- Tasks while busy: the most of ``rate x cpu / (task's cpu x utilisation)`` and ``open x memory of one / (task's memory
  x utilisation)``, rounded up, and at least ``scale.min``. Open requests are ``rate x duration`` (Little's law).
- A month is 730 hours, of which ``traffic.busy`` is the busy share. A gigabyte is 2^30 bytes.
- A capacity unit of a load balancer is the highest of its dimensions (LCU and NLCU on the pricing page of Elastic
  Load Balancing; :data:`ALB`, :data:`NLB_TCP`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Final

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.workload import Traffic, Workload

GB: Final = Decimal(2**30)
"""Bytes of the gigabyte that is billed."""
MILLION: Final = Decimal(10**6)
MONTH_SECONDS: Final = MONTH_HOURS * 3600
LONG_LIVED: Final = frozenset({"websocket", "sse", "tcp", "udp"})
"""Protocols of which one request is one connection."""
MINUTE: Final = Decimal(60)
"""Active connections are sampled by the minute: one that is new counts for at least this long."""


def exact(value: float) -> Decimal:
    """The decimal that a person wrote for this float: ``0.1``, not its 55 binary digits."""
    return Decimal(repr(float(value)))


def cents(amount: Decimal) -> Decimal:
    """USD as people read it, rounded half up once, at the end."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def whole(value: Decimal) -> int:
    """The next whole number up."""
    return int(value.to_integral_value(rounding=ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A workload's traffic over a month."""

    rate: Decimal
    """Requests or jobs per second while busy."""
    busy: Decimal
    """Share of the month, 0 to 1."""
    open: Decimal
    """Requests or jobs at once while busy."""
    cpu: Decimal
    """Processors that they keep busy: vCPU."""
    memory: Decimal
    """Bytes that the open ones take."""
    duration: Decimal
    """Seconds that one is open."""
    units: Decimal
    """Requests or jobs a month."""
    gb_in: Decimal
    gb_out: Decimal
    gb_log: Decimal

    @property
    def busy_hours(self) -> Decimal:
        """Hours of a month."""
        return self.busy * MONTH_HOURS

    @property
    def gb_hour(self) -> Decimal:
        """Gigabytes in and out in a busy hour."""
        return (self.gb_in + self.gb_out) / self.busy_hours if self.busy else Decimal(0)


def load(workload: Workload) -> Load:
    """The traffic of a month. A timer without a rate is traffic of its own: one job each ``schedule``."""
    traffic = workload.traffic
    rate, busy = exact(traffic.rate), exact(traffic.busy)
    if not rate and workload.schedule:
        rate, busy = 1 / exact(workload.schedule), Decimal(1)
    return _load(traffic, rate, busy)


def silence(workload: Workload) -> Load:
    """A month in which nobody comes."""
    return _load(workload.traffic, Decimal(0), Decimal(0))


def _load(traffic: Traffic, rate: Decimal, busy: Decimal) -> Load:
    units = rate * busy * MONTH_SECONDS
    duration = exact(traffic.duration)
    return Load(
        rate=rate,
        busy=busy if rate else Decimal(0),
        open=rate * duration,
        cpu=rate * exact(traffic.cpu),
        memory=rate * duration * traffic.memory,
        duration=duration,
        units=units,
        gb_in=units * traffic.bytes_in / GB,
        gb_out=units * traffic.bytes_out / GB,
        gb_log=units * traffic.log_bytes / GB,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """How many tasks run."""

    busy: int
    """While busy. Not cut at ``scale.max``: what the traffic needs is what is priced."""
    idle: int
    """While there is no work."""
    bound: str
    """What asks for that many: ``cpu``, ``memory`` or ``min``."""
    short: int = 0
    """How many ``scale.max`` lacks; 0: it is enough."""

    def hours(self, share: Decimal) -> Decimal:
        """Task-hours of a month of which that share is busy."""
        return MONTH_HOURS * (self.busy * share + self.idle * (1 - share))


def tasks(workload: Workload, load: Load, assume: Assumptions, *, can_zero: bool, idle_least: int = 1) -> Tasks:
    """Tasks that the traffic needs, and those that stay without any.

    ``can_zero``: whether the platform lets the last one go. Where it does not, a wish for zero is priced with one.
    """
    least = max(idle_least, workload.scale.min)
    idle = 0 if can_zero and workload.scale.to_zero else least
    if not load.rate:
        return Tasks(busy=idle, idle=idle, bound="min")
    target = exact(assume.utilisation)
    wanted = {
        "cpu": whole(load.cpu / (exact(workload.cpu) * target)),
        "memory": whole(load.memory / (workload.memory * target)),
        "min": max(1, idle, 0 if workload.scale.to_zero else workload.scale.min),
    }
    bound = max(wanted, key=lambda name: (wanted[name], name == "min"))
    busy = wanted[bound]
    return Tasks(busy=busy, idle=idle, bound=bound, short=max(0, busy - workload.scale.max))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitShape:
    """What one capacity unit carries; the dimension that needs most is billed."""

    new: Decimal
    """Connections opened per second."""
    active: Decimal
    """Connections open in a minute."""
    gb: Decimal
    """Gigabytes in an hour."""
    rules: Decimal | None = None
    """Rule evaluations per second; ``None``: not counted."""


ALB: Final = UnitShape(new=Decimal(25), active=Decimal(3000), gb=Decimal(1), rules=Decimal(1000))
ALB_LAMBDA: Final = UnitShape(new=Decimal(25), active=Decimal(3000), gb=Decimal("0.4"), rules=Decimal(1000))
NLB_TCP: Final = UnitShape(new=Decimal(800), active=Decimal(100_000), gb=Decimal(1))
NLB_UDP: Final = UnitShape(new=Decimal(400), active=Decimal(50_000), gb=Decimal(1))
FREE_RULES: Final = 10
"""Rules of an ALB that are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Capacity units while busy."""

    units: Decimal
    bound: str
    """Dimension that decides: new or active connections, processed bytes, or rule evaluations."""


def capacity(workload: Workload, load: Load, assume: Assumptions, shape: UnitShape) -> Capacity:
    """Load balancer capacity units that the traffic uses while busy."""
    apiece = Decimal(1) if LONG_LIVED & set(workload.protocols) else exact(assume.requests_per_connection)
    new = load.rate / apiece
    dimensions = {
        "new connections": new / shape.new,
        "active connections": (load.open + new * MINUTE) / shape.active,
        "processed bytes": load.gb_hour / shape.gb,
    }
    if shape.rules is not None:
        dimensions["rule evaluations"] = load.rate * max(0, assume.balancer_rules - FREE_RULES) / shape.rules
    bound = max(dimensions, key=lambda name: dimensions[name])
    return Capacity(units=dimensions[bound], bound=bound)
