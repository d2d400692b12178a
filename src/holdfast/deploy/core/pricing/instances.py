"""Instances that tasks are packed onto: ECS on EC2, ECS Managed Instances, EKS, Elastic Beanstalk.

The instance is chosen, and named: the type that carries the tasks at the least price. A burstable type counts with
its baseline, not its vCPUs, because what is used beyond that is billed on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.pricing.bill import Around, Bill
from holdfast.deploy.core.pricing.containers import count, waking
from holdfast.deploy.core.traffic import GB, Tasks, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """What one type has to give."""

    name: str
    cpu: Decimal
    """vCPU that may be used all the time."""
    gb: Decimal
    arm: bool = False
    gpu: bool = False


def _type(name: str, cpu: str, gb: int, *, arm: bool = False, gpu: bool = False) -> InstanceType:
    return InstanceType(name=name, cpu=Decimal(cpu), gb=Decimal(gb), arm=arm, gpu=gpu)


TYPES: Final = (
    # Burstable: vCPUs x baseline (EC2 user guide, "Key concepts for burstable performance instances").
    _type("t3.small", "0.4", 2),
    _type("t3.medium", "0.4", 4),
    _type("t3.large", "0.6", 8),
    _type("t4g.small", "0.4", 2, arm=True),
    _type("t4g.medium", "0.4", 4, arm=True),
    _type("t4g.large", "0.6", 8, arm=True),
    _type("c6a.large", "2", 4),
    _type("c6a.xlarge", "4", 8),
    _type("c6a.2xlarge", "8", 16),
    _type("c6a.4xlarge", "16", 32),
    _type("m6a.large", "2", 8),
    _type("m6a.xlarge", "4", 16),
    _type("m6a.2xlarge", "8", 32),
    _type("m6a.4xlarge", "16", 64),
    _type("c7g.large", "2", 4, arm=True),
    _type("c7g.xlarge", "4", 8, arm=True),
    _type("c7g.2xlarge", "8", 16, arm=True),
    _type("m7g.large", "2", 8, arm=True),
    _type("m7g.xlarge", "4", 16, arm=True),
    _type("m7g.2xlarge", "8", 32, arm=True),
    _type("g4dn.xlarge", "4", 16, gpu=True),
)
DISK: Final = "ebs.gp3_gb_month"
SYSTEM_GB: Final = Decimal("0.5")
"""Memory that the system and the agent keep for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Instances of one type that carry the tasks."""

    type: InstanceType
    each: int
    """Tasks on one."""
    busy: int
    idle: int

    def hours(self, share: Decimal) -> Decimal:
        """Instance-hours of a month."""
        return MONTH_HOURS * (self.busy * share + self.idle * (1 - share))


def fleets(bill: Bill, running: Tasks, *, least: int = 0) -> list[Fleet]:
    """Every type that can carry the tasks."""
    workload = bill.asked.workload
    cpu, gb = exact(workload.cpu), Decimal(workload.memory) / GB
    found = []
    for type_ in TYPES:
        if type_.arm != (workload.architecture == "arm64") or ("gpu" in workload.needs) != type_.gpu:
            continue
        each = int(min(type_.cpu // cpu, (type_.gb - SYSTEM_GB) // gb))
        if each < 1:
            continue
        if "isolated-tasks" in workload.needs:
            each = 1
        busy, idle = (max(least, -(-tasks // each)) for tasks in (running.busy, running.idle))
        found.append(Fleet(type=type_, each=each, busy=busy, idle=idle))
    return found


def cheapest(bill: Bill, found: Sequence[Fleet], keys: Sequence[str]) -> Fleet | None:
    """The fleet with the least price a month, of types whose own price is known before others.

    What goes with each instance counts too (its volume and address): many small ones have many. A fee that is not
    known does not keep a type from being chosen, else the one large type whose fee is known would carry every small
    task; the total is incomplete then.
    """
    asked = bill.asked
    disk, address = (asked.prices.get(key, region=asked.region, at=asked.at).amount for key in (DISK, "ipv4.hour"))
    beside = (disk or 0) * exact(asked.assume.disk_gb) / MONTH_HOURS
    beside += (address or 0) if not asked.settings.account.nat else 0

    def order(fleet: Fleet) -> tuple[bool, Decimal, Decimal, Decimal]:
        instance, *fees = (
            asked.prices.get(key.format(fleet.type.name), region=asked.region, at=asked.at).amount for key in keys
        )
        hours = fleet.hours(asked.load.busy)
        if instance is None:
            return True, hours, Decimal(0), fleet.type.cpu * fleet.type.gb
        hourly = instance + sum((fee or Decimal(0) for fee in fees), Decimal(beside))
        # Without work no hours are billed and all fleets cost nothing; then the cheapest by the hour is named.
        return False, hours * hourly, hourly, Decimal(0)

    return min(found, key=order, default=None)


def price_ec2(bill: Bill) -> Around | None:
    """ECS on EC2 instances of one's own; the capacity provider may let the last one go."""
    return _packed(bill, ("ec2.{}.hour",), can_zero=True)


def price_managed(bill: Bill) -> Around | None:
    """ECS Managed Instances: the instance, and a fee for having it managed."""
    return _packed(bill, ("ec2.{}.hour", "managed_instances.{}.hour"), can_zero=True)


def price_eks(bill: Bill) -> Around | None:
    """EKS: the control plane, and nodes, of which one stays for the cluster's own pods."""
    bill.add("compute", "EKS, control plane", MONTH_HOURS, "eks.cluster_hour", once="EKS")
    bill.assume("the EKS control plane is charged here in whole, although other workloads can use it")
    return _packed(bill, ("ec2.{}.hour",), can_zero=True, least=1)


def price_beanstalk(bill: Bill) -> Around | None:
    """Elastic Beanstalk, load balanced: the instances and the balancer; Beanstalk itself is not billed."""
    return _packed(bill, ("ec2.{}.hour",), can_zero=False, balancer="alb", each_alone=True)


def _packed(
    bill: Bill,
    keys: Sequence[str],
    *,
    can_zero: bool,
    least: int = 0,
    balancer: str | None = None,
    each_alone: bool = False,
) -> Around | None:
    asked = bill.asked
    running = count(bill, can_zero=can_zero)
    found = fleets(bill, running, least=least)
    if each_alone:  # a Beanstalk environment runs one copy of the application on an instance
        found = [Fleet(type=one.type, each=1, busy=running.busy, idle=running.idle) for one in found]
    fleet = cheapest(bill, found, keys)
    if fleet is None:
        return None
    # Where an instance stays, a task that starts on it bills nothing more.
    hours = fleet.hours(asked.load.busy) + (Decimal(0) if fleet.idle else waking(bill, running))
    name = fleet.type.name
    number = f"{fleet.busy} while busy" if asked.load.rate else f"{fleet.idle} without work"
    what = f"{number}, each with room for {fleet.each} {'task' if fleet.each == 1 else 'tasks'}"
    bill.add("compute", f"EC2 {name}", hours, keys[0].format(name), what)
    for key in keys[1:]:
        bill.add("compute", f"management of {name}", hours, key.format(name))
    bill.add("storage", "EBS, root volumes", hours / MONTH_HOURS * exact(asked.assume.disk_gb), DISK)
    bill.assume(f"{SYSTEM_GB} GB of an instance are kept for the system; on-demand prices, without savings plans")
    return Around(
        balancer=asked.candidate.ingress if balancer is None else balancer,
        balancer_of="ECS" if asked.candidate.compute.startswith("ecs-") else "",
        addresses=hours,
        in_vpc=True,
    )
