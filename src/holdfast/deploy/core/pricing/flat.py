"""What is priced by the month or by what is fetched: Lightsail containers, and files on S3 behind CloudFront."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from holdfast.deploy.core.pricing.bill import Around, Bill
from holdfast.deploy.core.pricing.containers import count
from holdfast.deploy.core.traffic import GB, MILLION, exact

POWERS: Final = (
    ("nano", Decimal("0.25"), Decimal("0.5")),
    ("micro", Decimal("0.25"), Decimal(1)),
    ("small", Decimal("0.5"), Decimal(2)),
    ("medium", Decimal(1), Decimal(4)),
    ("large", Decimal(2), Decimal(8)),
    ("xlarge", Decimal(4), Decimal(16)),
)
"""vCPU and GB of a node (Amazon Lightsail user guide, "Container services")."""
LIGHTSAIL_OUT: Final = Decimal(500)
"""Gigabytes out a month that a container service includes."""

PLANS: Final = (("free", Decimal(1), Decimal(100)), ("pro", Decimal(10), Decimal(50 * 1024)))
"""Millions of requests and gigabytes out a month of CloudFront's flat-rate plans (its pricing page, since 2025-11)."""


def price_lightsail(bill: Bill) -> Around | None:
    """Nodes by the month, with HTTPS ingress included. Nothing scales them: the busy number stays all month."""
    workload = bill.asked.workload
    wished = exact(workload.cpu), Decimal(workload.memory) / GB
    power = next((one for one in POWERS if one[1] >= wished[0] and one[2] >= wished[1]), None)
    if power is None:
        return None
    nodes = count(bill, can_zero=False).busy
    bill.add("compute", f"Lightsail, {power[0]} nodes", Decimal(nodes), f"lightsail.{power[0]}_month", f"{nodes}")
    bill.assume("Lightsail containers do not scale by themselves: the nodes of the busy share are kept all month")
    return Around(out_included=LIGHTSAIL_OUT)


def price_site(bill: Bill) -> Around | None:
    """Files in a bucket, fetched through CloudFront: by the request and the gigabyte, or by a flat-rate plan.

    The cheapest of those whose price is known and whose allowance holds the traffic. Transfer in between is free.
    """
    asked = bill.asked
    bill.add("storage", "S3, stored", exact(asked.assume.stored_gb), "s3.gb_month")
    bill.assume(f"{asked.assume.stored_gb:g} GB of files; everything is fetched from the cache")
    used = asked.load.units / MILLION, asked.load.gb_out

    def amount(key: str, quantity: Decimal) -> Decimal | None:
        price = asked.prices.get(key, region=asked.region, at=asked.at).amount
        return price * quantity if price is not None else None if quantity else Decimal(0)

    metered = [amount("cloudfront.million_https", used[0]), amount("cloudfront.out_gb", used[1])]
    plans = [
        (price, plan)
        for plan in PLANS
        if used[0] <= plan[1] and used[1] <= plan[2] and (price := amount(plan_key(plan), Decimal(1))) is not None
    ]
    cheapest = min(plans, default=None)
    known = [part for part in metered if part is not None]
    if cheapest is None or (len(known) == len(metered) and sum(known) <= cheapest[0]):
        bill.add("requests", "CloudFront, HTTPS requests", used[0], "cloudfront.million_https")
        bill.assume("pay-as-you-go prices of CloudFront, without its free tier")
        return Around(out_key="cloudfront.out_gb")
    plan = cheapest[1]
    bill.add("requests", f"CloudFront, flat-rate plan {plan[0]}", Decimal(1), plan_key(plan))
    bill.assume(
        f"CloudFront's flat-rate plan {plan[0]}, which holds {plan[1]} million requests and {plan[2]} GB a month "
        "and is chosen by hand for the distribution"
    )
    return Around(out_key="cloudfront.out_gb", out_included=plan[2])


def plan_key(plan: tuple[str, Decimal, Decimal]) -> str:
    """Of its price."""
    return f"cloudfront.{plan[0]}_plan_month"
