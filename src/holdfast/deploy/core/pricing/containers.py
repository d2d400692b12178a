"""Containers that the provider runs: ECS on Fargate, Fargate Spot, ECS Express Mode, App Runner.

A task has one of the sizes that the platform offers; a wish between two is rounded up, as deploying it would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.pricing.bill import Around, Bill
from holdfast.deploy.core.traffic import GB, Tasks, exact, tasks, whole

Sizes = Mapping[Decimal, Sequence[Decimal]]
"""Gigabytes that go with so many vCPU."""


def _range(first: int, last: int, step: int = 1) -> tuple[Decimal, ...]:
    return tuple(Decimal(gb) for gb in range(first, last + 1, step))


FARGATE_SIZES: Final[Sizes] = {
    Decimal("0.25"): (Decimal("0.5"), Decimal(1), Decimal(2)),
    Decimal("0.5"): _range(1, 4),
    Decimal(1): _range(2, 8),
    Decimal(2): _range(4, 16),
    Decimal(4): _range(8, 30),
    Decimal(8): _range(16, 60, 4),
    Decimal(16): _range(32, 120, 8),
}
"""Amazon ECS developer guide, "Task CPU and memory"."""
APP_RUNNER_SIZES: Final[Sizes] = {
    Decimal("0.25"): (Decimal("0.5"), Decimal(1)),
    Decimal("0.5"): (Decimal(1),),
    Decimal(1): _range(2, 4),
    Decimal(2): (Decimal(4), Decimal(6)),
    Decimal(4): _range(8, 12, 2),
}
"""AWS App Runner API reference, ``InstanceConfiguration``."""
APP_RUNNER_CONCURRENCY: Final = 100
"""Requests at once that an instance takes before another is started, by default."""
LEAST_ACTIVE: Final = Decimal(60)
"""Seconds: App Runner bills a minute of vCPU when an instance begins to process requests; Fargate a minute a task."""


def fitting(sizes: Sizes, cpu: Decimal, gb: Decimal) -> tuple[Decimal, Decimal] | None:
    """The smallest size that holds it: vCPU and gigabytes. ``None``: none does."""
    found = [(size, room) for size, rooms in sizes.items() if size >= cpu for room in rooms if room >= gb]
    return min(found, default=None)


def size_of(bill: Bill, sizes: Sizes) -> tuple[Decimal, Decimal] | None:
    """The task's size, and a note on the bill where it had to be rounded."""
    wished = exact(bill.asked.workload.cpu), Decimal(bill.asked.workload.memory) / GB
    found = fitting(sizes, *wished)
    if found is not None and found != wished:
        together = f"{bill.asked.workload.cpu:g} vCPU and {float(wished[1]):.3g} GB"
        bill.assume(f"{together} are not offered together: {named(found)} is priced")
    return found


def named(size: tuple[Decimal, Decimal]) -> str:
    """``0.25 vCPU, 0.5 GB``."""
    return f"{size[0]} vCPU, {size[1]} GB"


def count(bill: Bill, *, can_zero: bool) -> Tasks:
    """How many tasks, with what a reader should know about it."""
    asked = bill.asked
    found = tasks(asked.workload, asked.load, asked.assume, can_zero=can_zero)
    if asked.workload.scale.to_zero and not can_zero:
        bill.assume("it cannot go to zero: one task stays")
    if asked.load.rate:
        if found.bound != "min":
            bill.assume(f"{found.busy} tasks while busy, for their {found.bound} at {asked.assume.utilisation:.0%}")
        if found.short:
            bill.assume(
                f"scale.max is {asked.workload.scale.max}, which is too few: {found.busy} tasks are needed and priced"
            )
    return found


def task_hours(bill: Bill, running: Tasks) -> Decimal:
    """Task-hours of a month. A timer's task that may go to zero lives for its start and its work only."""
    asked = bill.asked
    hours = running.hours(asked.load.busy)
    if asked.workload.schedule and asked.workload.scale.to_zero and asked.load.rate and not running.idle:
        lived = max(LEAST_ACTIVE, exact(asked.assume.start) + asked.load.duration)
        hours = min(hours, asked.load.units * lived / 3600)
    return hours


def waking(bill: Bill, running: Tasks) -> Decimal:
    """Task-hours that are billed for nothing but starting, where it goes to zero and how often it wakes is known."""
    asked = bill.asked
    if running.idle or not asked.load.rate or asked.load.busy >= 1 or asked.workload.schedule:
        return Decimal(0)
    each, wakes = max(LEAST_ACTIVE, exact(asked.assume.start)), asked.assume.wakes_per_month
    if wakes is None:
        bill.assume(f"waking from zero bills {each:.0f} s of a task; how often is not known, and not in the total")
        return Decimal(0)
    bill.assume(f"{wakes:g} wakes a month from zero, which bill {each:.0f} s of a task each")
    return min(exact(wakes) * each / 3600, MONTH_HOURS * (1 - asked.load.busy))  # it can only wake where it slept


def price_fargate(bill: Bill) -> Around | None:
    """ECS on Fargate, with or without a load balancer."""
    return _fargate(bill, "fargate", "Fargate", bill.asked.candidate.ingress, can_zero=True)


def price_express(bill: Bill) -> Around | None:
    """ECS Express Mode: Fargate behind a load balancer that it makes itself. It documents no way to zero tasks."""
    return _fargate(bill, "fargate", "Fargate", "alb", can_zero=False)


def price_spot(bill: Bill) -> Around | None:
    """Fargate Spot: another price for the same task, and work done twice after an interruption."""
    return _fargate(bill, "fargate_spot", "Fargate Spot", bill.asked.candidate.ingress, can_zero=True)


def rework(bill: Bill) -> Decimal:
    """Share of task-hours that interruptions add: what was under way is lost and a task is started again.

    ``interruptions per hour x (time lost + start)``. An interruption falls in the middle of a job on average, so half
    of one is lost.
    """
    assume, duration = bill.asked.assume, bill.asked.load.duration
    lost = duration / 2 + exact(assume.start)
    share = exact(assume.interruptions_per_hour) * lost / 3600
    bill.assume(
        f"{assume.interruptions_per_hour:g} interruptions an hour are assumed; each loses "
        f"{float(duration / 2):.3g} s of work and {assume.start:.3g} s of starting: {share:.3%} more task-hours"
    )
    return share


def _fargate(bill: Bill, key: str, name: str, balancer: str, *, can_zero: bool) -> Around | None:
    size = size_of(bill, FARGATE_SIZES)
    if size is None:
        return None
    running = count(bill, can_zero=can_zero)
    hours = task_hours(bill, running) + waking(bill, running)
    if key == "fargate_spot" and hours:
        hours *= 1 + rework(bill)
    arm = (
        ".arm" if bill.asked.workload.architecture == "arm64" and bill.asked.candidate.compute != "ecs-express" else ""
    )
    bill.add("compute", f"{name}, {size[0]} vCPU", hours * size[0], f"{key}.vcpu_hour{arm}")
    bill.add("compute", f"{name}, {size[1]} GB", hours * size[1], f"{key}.gb_hour{arm}")
    shared = "Express" if bill.asked.candidate.compute == "ecs-express" else "ECS"
    return Around(balancer=balancer, balancer_of=shared, addresses=hours, in_vpc=True)


def price_app_runner(bill: Bill) -> Around | None:
    """App Runner: memory for as long as an instance is provisioned, vCPU only while it processes requests."""
    size = size_of(bill, APP_RUNNER_SIZES)
    if size is None:
        return None
    asked = bill.asked
    running = count(bill, can_zero=False)
    busy = max(running.busy, whole(asked.load.open / APP_RUNNER_CONCURRENCY))
    provisioned = MONTH_HOURS * (busy * asked.load.busy + running.idle * (1 - asked.load.busy))
    # Below one request a minute an instance falls idle between two of them.
    active = min(Decimal(1), asked.load.rate * max(LEAST_ACTIVE, asked.load.duration))
    bill.add("compute", f"App Runner, {size[1]} GB provisioned", provisioned * size[1], "app_runner.gb_hour")
    bill.add(
        "compute",
        f"App Runner, {size[0]} vCPU active",
        busy * asked.load.busy_hours * active * size[0],
        "app_runner.vcpu_hour",
        f"{active:.0%} of the busy time" if active < 1 and asked.load.rate else "",
    )
    return Around()
