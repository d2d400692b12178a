"""What stands around the compute: load balancer, public addresses, NAT, logs, data out.

These lines are always there, at zero where there is nothing to bill, so that nobody has to wonder whether they were
forgotten: in small deployments they are most of the price.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.pricing.bill import Around, Bill
from holdfast.deploy.core.traffic import ALB, ALB_LAMBDA, NLB_TCP, NLB_UDP, UnitShape, capacity

MONTH_DAYS: Final = MONTH_HOURS / 24
NAMES: Final = {"alb": "Application Load Balancer", "nlb": "Network Load Balancer"}


def add_surroundings(bill: Bill, around: Around) -> None:
    """Add the lines."""
    _balancer(bill, around)
    _addresses(bill, around)
    _nat(bill, around)
    _logs(bill)
    _data_out(bill, around)


def private(bill: Bill) -> bool:
    """Whether clients reach it from a private network only."""
    return bill.asked.workload.ingress == "private"


def _shape(bill: Bill, around: Around) -> UnitShape:
    if around.balancer == "nlb":
        return NLB_UDP if "udp" in bill.asked.workload.protocols else NLB_TCP
    return ALB_LAMBDA if around.to_lambda else ALB


def _balancer(bill: Bill, around: Around) -> None:
    asked = bill.asked
    if not around.balancer:
        bill.add("ingress", "load balancer", Decimal(0), "alb.hour", "none of its own")
        return
    name, sharing = NAMES[around.balancer], shared_by(bill, around)
    note = f"1/{sharing} of one that {sharing} services share" if sharing > 1 else ""
    bill.add("ingress", name, MONTH_HOURS / sharing, f"{around.balancer}.hour", note, once=_once(bill, around))
    used = capacity(asked.workload, asked.load, asked.assume, _shape(bill, around))
    bill.add(
        "ingress",
        f"{name}, capacity units",
        used.units * asked.load.busy_hours,
        f"{around.balancer}.lcu_hour",
        f"{used.units:.3f} while busy, by {used.bound}" if asked.load.rate else "",
    )


def _once(bill: Bill, around: Around) -> str:
    """Names a load balancer that the services of a plan share, public and private apart."""
    if not around.balancer_of or around.balancer != "alb" or shared_by(bill, around) > 1:
        return ""
    return f"{around.balancer_of} {'private' if private(bill) else 'public'} {around.balancer}"


def shared_by(bill: Bill, around: Around) -> int:
    """Services that pay for the load balancer together."""
    return max(1, bill.asked.settings.account.shared_alb) if around.balancer == "alb" else 1


def zones_of(bill: Bill) -> int:
    """Availability zones that the load balancer and the NAT gateways stand in."""
    template = bill.asked.settings.template
    return len(template.public_subnets) or template.zones


def _addresses(bill: Bill, around: Around) -> None:
    zones = zones_of(bill)
    public = bool(around.balancer) and not private(bill)
    balancer = MONTH_HOURS * zones / shared_by(bill, around) if public else Decimal(0)
    bill.add(
        "addresses",
        "public IPv4, load balancer",
        balancer,
        "ipv4.hour",
        f"one in each of {zones} zones" if balancer else "",
        once=f"{once} addresses" if public and (once := _once(bill, around)) else "",
    )
    nat = bill.asked.settings.account.nat
    hours = Decimal(0) if nat else around.addresses
    bill.add("addresses", "public IPv4, tasks", hours, "ipv4.hour", "none behind NAT" if nat else "")


def _nat(bill: Bill, around: Around) -> None:
    asked = bill.asked
    used = asked.settings.account.nat and around.in_vpc
    if not used:
        bill.add("nat", "NAT gateways", Decimal(0), "nat.hour", "none is used")
        bill.add("nat", "NAT, data", Decimal(0), "nat.gb")
        return
    zones = zones_of(bill)
    bill.add("nat", "NAT gateways", MONTH_HOURS * zones, "nat.hour", f"one in each of {zones} zones", once="NAT")
    nobody_connects = not asked.workload.protocols
    through = asked.load.gb_log + (asked.load.gb_in + asked.load.gb_out if nobody_connects else Decimal(0))
    bill.add("nat", "NAT, data", through, "nat.gb")
    bill.add("addresses", "public IPv4, NAT", MONTH_HOURS * zones, "ipv4.hour", once="NAT addresses")
    bill.assume(
        "the NAT gateways are charged here in whole, although the rest of the VPC uses them too; what passes them is "
        + ("all of the traffic and the logs" if nobody_connects else "the logs, not what tasks fetch by themselves")
    )


def _logs(bill: Bill) -> None:
    gb, days = bill.asked.load.gb_log, bill.asked.settings.template.log_days
    bill.add("logs", "CloudWatch Logs, ingested", gb, "logs.ingest_gb")
    # Stored compressed; counted as they came in, which is the most that it can be.
    bill.add("logs", "CloudWatch Logs, kept", gb * days / MONTH_DAYS, "logs.gb_month", f"for {days} days" if gb else "")


def _data_out(bill: Bill, around: Around) -> None:
    load = bill.asked.load
    gb = Decimal(0) if private(bill) else max(Decimal(0), load.gb_out - around.out_included)
    note = f"beyond {around.out_included} GB that are included" if around.out_included and gb else ""
    bill.add("data", "data out to the internet", gb, around.out_key, note)
