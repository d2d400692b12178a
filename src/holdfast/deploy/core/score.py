"""One figure for what is left after the constraints: USD a month, and the team's own work as money.

``score = cost + weight x (operations + awkward + doubts)``

- ``cost``: USD a month for the workload's traffic, load balancer, addresses, logs and data out included. Where a price
  of the region is not known, one of another region is compared with (:attr:`~.prices.Estimate.compared`).
- ``operations``: points of the platform (fact ``operations``, 0 none to 10 a cluster of one's own).
- ``awkward``: 1 point for HTTP behind a balancer of connections: routing, redirects and certificates by name are the
  workload's own work then.
- ``doubts``: 1 point for each thing that would have to be found out first: every unknown finding, and once for an
  incomplete cost, since its total is only a lower bound.
- ``weight``: USD a month that a point is worth to the team, by its appetite for platform work (:data:`WEIGHTS`).

What fits is always ranked before what may fit, whatever it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from holdfast.deploy.core.answer import Finding, Weighed
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.prices import Estimate
from holdfast.deploy.core.workload import Appetite, Workload

CostOf: TypeAlias = Callable[[Candidate, Workload, str], Estimate | None]
"""What a workload costs a month on a candidate in a region; ``None``: the platform has no size that large."""

WEIGHTS: Final[dict[Appetite, float]] = {"low": 40.0, "medium": 15.0, "high": 3.0}
"""USD a month for one point. A point is taken for about half an hour of an engineer's month to a team that would rather
pay (80 USD an hour), ten minutes to most, and next to nothing to a team that has the platform anyway. Judged, not
measured; ``operations`` of a workload or file chooses."""
AWKWARD: Final = 1.0
DOUBT: Final = 1.0
_HTTP: Final = frozenset({"http/1.1", "http/2", "sse", "websocket", "grpc"})


def weigh(
    candidate: Candidate,
    findings: tuple[Finding, ...],
    operations: float | None,
    estimate: Estimate | None,
    workload: Workload,
    weight: float,
) -> Weighed:
    """A candidate with its cost and score. Without operations points (a fact not known) it counts as the most, 10."""
    rejected = any(finding.verdict == "rejects" for finding in findings)
    cost = None if estimate is None else estimate.total
    complete = estimate is not None and estimate.complete
    score = None
    if not rejected and cost is not None:
        doubts = sum(finding.verdict == "unknown" for finding in findings) + (not complete)
        points = (10.0 if operations is None else operations) + awkward(candidate, workload) + DOUBT * doubts
        ranked = cost if estimate is None or estimate.compared is None else estimate.compared
        score = round(float(ranked) + weight * points, 2)
    return Weighed(
        candidate=candidate,
        findings=findings,
        cost=cost,
        cost_complete=complete,
        operations=operations,
        score=score,
    )


def awkward(candidate: Candidate, workload: Workload) -> float:
    """Points for HTTP behind a balancer that does not read it, unless the workload ends TLS itself anyway."""
    reads_itself = "tls-passthrough" in workload.needs
    return AWKWARD if candidate.ingress == "nlb" and _HTTP & set(workload.protocols) and not reads_itself else 0.0


def order(weighed: Weighed) -> tuple[int, int, float, float, str]:
    """Sort key: what fits, by score; what may fit, by score; what is rejected, fewest rejections first.

    Without a cost it is the work alone that ranks.
    """
    group = 0 if weighed.fits else 1 if weighed.may_fit else 2
    rejections = len({finding.rule for finding in weighed.rejections})
    score = float("inf") if weighed.score is None else weighed.score
    work = float("inf") if weighed.operations is None else weighed.operations
    return group, rejections, score, work, weighed.candidate.id


def usd(amount: Decimal | float) -> str:
    """Money for people."""
    return f"{amount:,.2f} USD"
