"""What a price rests on that neither the workload nor a price list says.

A default is a planning figure, not a fact: where one decides, the estimate names it, and a measured one should replace
it.
"""

from __future__ import annotations

from holdfast.kernel import Duration
from holdfast.kernel.settings import Section


class Assumptions(Section, frozen=True):
    """Planning figures of the cost model."""

    utilisation: float = 0.6
    """Share of a task's CPU and memory that is planned to be used while busy; ECS Express Mode scales at the same
    60 %. What is left carries bursts and the loss of a task."""
    requests_per_connection: float = 10.0
    """Requests that a client sends over one connection. Long-lived protocols (WebSocket, SSE, TCP, UDP) count 1."""
    balancer_rules: int = 10
    """Listener rules that the load balancer looks at for one request; the first 10 are free."""
    start: Duration = Duration(60.0)
    """From the wish for one more task to its first work; billed and lost whenever one is started for nothing."""
    wakes_per_month: float | None = None
    """How often a workload at zero tasks is woken; left out: not known, so that waking is not in the total."""
    cold_starts: float | None = None
    """Share of invocations, 0 to 1, that wait for a new execution environment; left out: not known, and not in the
    total."""
    cold_start: Duration = Duration(1.0)
    """Billed initialisation of one new execution environment."""
    interruptions_per_hour: float = 0.05
    """How often a spot task is taken away: by default once in 20 hours. The provider publishes no rate for Fargate
    Spot, so this is a planning figure on the pessimistic side."""
    suspended: bool = True
    """A MicroVM without work is kept as a snapshot, not deleted, so that it wakes fast."""
    stored_gb: float = 1.0
    """Size of a static site."""
    disk_gb: float = 30.0
    """Root volume of an instance; the ECS-optimised image asks for 30 GB."""
