"""What a drill's backends are told to do, and what they report.

These are the frames between a drill and its backend process (JSON lines over the
process's standard input and output): a :class:`FleetSpec` goes in first, then
:class:`Command` s; :class:`Started`, :class:`Begun` and :class:`Ledger` come back.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FaultKind = Literal["healthy", "flap", "reset", "hidden", "hang", "refuse", "error500", "unavailable", "slow"]
"""How a backend behaves.

=============  ================================  ==================  ================
kind           traffic                           costs a slot        ``/health``
=============  ================================  ==================  ================
healthy        200 after the service time        yes                 200
flap           503 while down: new ones at once  only while up       503 while down
reset          a share is reset after service    yes                 200
hidden         503 at once                       no                  200
hang           read, never answered              no                  never answered
refuse         connections reset, port closed    no                  refused
error500       500 after the service time        yes                 200
unavailable    503 at once                       no                  503
slow           200 after ``factor`` x service    yes, for longer     200
=============  ================================  ==================  ================
"""

Answered = Literal["ok", "status", "reset", "hang"]
"""What the backend did with one attempt."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A behaviour from a moment on (seconds after the epoch)."""

    kind: FaultKind
    at_s: float = 0.0
    period_s: float = 1.4
    """``flap``: length of one cycle; it begins with the down part."""
    down_s: float = 0.7
    """``flap``: how long of each cycle it answers 503."""
    share: float = 0.2
    """``reset``: share of requests that are reset."""
    factor: float = 10.0
    """``slow``: multiple of the service time."""


class BackendSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One backend: a capacity of ``slots / service_s`` requests per second, and its faults.

    Requests beyond the slots wait inside, first in first out and without a bound, as they
    do in a threaded server with a deep accept queue. A request whose client has gone still
    costs its slot, because most servers only notice when they write the answer.
    """

    name: str
    slots: int = 4
    service_s: float = 0.020
    body_bytes: int = 64
    schedule: tuple[Fault, ...] = ()
    """In order of ``at_s``. Before the epoch, and before the first entry, it is healthy."""

    @property
    def capacity_per_s(self) -> float:
        """Requests per second when healthy."""
        return self.slots / self.service_s

    def good_capacity_per_s(self) -> float:
        """Requests per second that it answers well under its *first* fault.

        A flapper counts for its up share, less one service time per cycle (what starts last is
        not done when it goes down); a resetter for what it does not reset; a slow one for its
        slower rate; everything else that fails for nothing.
        """
        if not self.schedule:
            return self.capacity_per_s
        fault = self.schedule[0]
        match fault.kind:
            case "healthy":
                share = 1.0
            case "flap":
                share = max(0.0, fault.period_s - fault.down_s - self.service_s) / fault.period_s
            case "reset":
                share = 1.0 - fault.share
            case "slow":
                share = 1.0 / fault.factor
            case _:
                share = 0.0
        return self.capacity_per_s * share


class FleetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All backends of a drill, and the seed of everything random in them."""

    seed: int
    backends: tuple[BackendSpec, ...]

    def good_capacity_per_s(self) -> float:
        """What the fleet answers well per second, under its first faults."""
        return sum(backend.good_capacity_per_s() for backend in self.backends)


class Started(msgspec.Struct, frozen=True):
    """Every backend listens, on 127.0.0.1 and these ports."""

    ports: dict[str, int]


class Command(msgspec.Struct, frozen=True):
    """What the backends shall do.

    ``begin``: forget the ledger, start the schedules now. ``heal``: all healthy from now on.
    ``ledger``: report, and go on.
    """

    do: Literal["begin", "heal", "ledger"]


class Begun(msgspec.Struct, frozen=True):
    """The moment of a ``begin`` or ``heal``, in seconds of the machine's monotonic clock."""

    at: float


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One request that reached a backend; health checks are not entered."""

    id: int
    """From ``X-Drill-Id``; -1 without one."""
    at: float
    """Arrival, in seconds of the machine's monotonic clock."""
    answered: Answered


class Ledger(msgspec.Struct, frozen=True):
    """What reached each backend, in order of arrival."""

    attempts: dict[str, list[Attempt]]
