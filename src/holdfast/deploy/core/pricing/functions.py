"""Compute that is billed for the time of a request: Lambda and what stands before it, Web Functions, MicroVMs.

Nothing runs without a request, so an idle month costs what is stored and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.pricing.bill import Around, Bill
from holdfast.deploy.core.pricing.containers import Sizes, count, named, size_of
from holdfast.deploy.core.traffic import GB, MILLION, exact, whole

MB: Final = Decimal(2**20)
LAMBDA_MB_PER_VCPU: Final = Decimal(1769)
"""Memory at which a function has one vCPU; less has its share (Lambda developer guide, "Configure memory")."""
LAMBDA_MEMORY: Final = (Decimal(128), Decimal(10_240))
"""Least and most, MB."""
STREAM_FREE: Final = Decimal(6 * 2**20)
"""Bytes of a streamed response that are not billed."""
MESSAGE: Final = 32 * 1024
"""Bytes that API Gateway counts as one WebSocket message."""
MICROVM_SIZES: Final[Sizes] = {Decimal(cpu): (2 * Decimal(cpu),) for cpu in ("0.25", "0.5", "1", "2", "4", "8", "16")}
"""vCPU and GB. The last two are reached by burst only, from the largest baseline."""
MICROVM_BASELINE: Final = (Decimal(4), Decimal(8))
NAMES: Final = {
    "lambda_microvms.vcpu_hour": "MicroVM, {cpu} vCPU running",
    "lambda_microvms.gb_hour": "MicroVM, {gb} GB running",
    "lambda_microvms.snapshot_gb_month": "MicroVM snapshots, stored",
    "lambda_microvms.snapshot_read_gb": "MicroVM snapshots, read",
    "lambda_microvms.snapshot_write_gb": "MicroVM snapshots, written",
}
"""By key of its price."""


def price_lambda(bill: Bill) -> Around | None:
    """A function, alone or behind its URL, an API Gateway or a load balancer."""
    asked = bill.asked
    function_mb = memory_mb(bill)
    if function_mb > LAMBDA_MEMORY[1]:
        return None
    _invocations(bill, "Lambda", function_mb, "lambda")
    ingress = asked.candidate.ingress
    if ingress == "api-gateway":
        _api_gateway(bill)
    if "sse" in asked.workload.protocols and ingress != "alb":
        streamed = max(Decimal(0), Decimal(asked.workload.traffic.bytes_out) - STREAM_FREE)
        bill.add("data", "Lambda, streamed beyond 6 MB", asked.load.units * streamed / GB, "lambda.stream_gb")
    balancer = "alb" if ingress == "alb" else ""
    return Around(balancer=balancer, to_lambda=True, in_vpc="private-egress" in asked.workload.needs)


def price_web_function(bill: Bill) -> Around | None:
    """Lambda Web Functions: a function with an HTTP endpoint of its own.

    Neither its prices nor what they count are published, so its one line counts vCPU-hours of open requests.
    """
    function_mb = memory_mb(bill)
    if function_mb > LAMBDA_MEMORY[1]:
        return None
    asked = bill.asked
    hours = asked.load.units * asked.load.duration / 3600 * function_mb / LAMBDA_MB_PER_VCPU
    bill.add("compute", f"Web Function, {function_mb} MB", hours, "lambda_web_functions.vcpu_hour")
    return Around(in_vpc="private-egress" in asked.workload.needs)


def memory_mb(bill: Bill) -> Decimal:
    """Memory to configure: what the workload asks for, or more where its share of CPU would be too small."""
    workload = bill.asked.workload
    asked = Decimal(workload.memory) / MB
    for_cpu = exact(workload.cpu) * LAMBDA_MB_PER_VCPU
    found = Decimal(whole(max(asked, for_cpu, LAMBDA_MEMORY[0])))
    if for_cpu > asked:
        bill.assume(f"{found} MB are priced, because a function has its {workload.cpu:g} vCPU only from there on")
    return found


def _invocations(bill: Bill, name: str, function_mb: Decimal, key: str) -> None:
    asked = bill.asked
    arm = ".arm" if asked.workload.architecture == "arm64" else ""
    # A request lasts at least as long as its processor time takes at the share of a vCPU that the memory buys.
    seconds = max(
        asked.load.duration,
        exact(asked.workload.traffic.cpu) * LAMBDA_MB_PER_VCPU / min(function_mb, LAMBDA_MB_PER_VCPU),
    )
    gb = function_mb / 1024
    work = asked.load.units * seconds * gb
    bill.add("compute", f"{name}, {function_mb} MB", work, f"{key}.gb_second{arm}", f"{float(seconds):.3g} s each")
    bill.add("requests", f"{name}, requests", asked.load.units / MILLION, f"{key}.million_requests")
    if not asked.load.rate:
        return
    cold, share = exact(asked.assume.cold_start), asked.assume.cold_starts
    if share is None:
        bill.assume(f"a cold start bills {float(cold):g} s more; their share is not known, and not in the total")
    else:
        more = asked.load.units * exact(share) * cold * gb
        bill.add("compute", f"{name}, cold starts", more, f"{key}.gb_second{arm}", f"{share:.2%} of invocations")


def _api_gateway(bill: Bill) -> None:
    load, protocols = bill.asked.load, bill.asked.workload.protocols
    if "websocket" in protocols:
        traffic = bill.asked.workload.traffic
        messages = max(1, whole(Decimal(traffic.bytes_in + traffic.bytes_out) / MESSAGE))
        bill.add(
            "ingress",
            "API Gateway, messages",
            load.units * messages / MILLION,
            "api_gateway.million_websocket_messages",
        )
        minutes = load.units * load.duration / 60 / MILLION
        bill.add("ingress", "API Gateway, connected minutes", minutes, "api_gateway.million_connection_minutes")
        bill.assume("messages on a WebSocket are counted as full ones of 32 KiB: smaller ones cost more")
    elif "sse" in protocols:
        bill.add("ingress", "API Gateway (REST, which alone streams)", load.units / MILLION, "api_gateway.million_rest")
    else:
        bill.add("ingress", "API Gateway (HTTP)", load.units / MILLION, "api_gateway.million_http")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """How MicroVMs are used over a month."""

    hours: Decimal
    """That one runs."""
    stored: Decimal
    """Snapshots that are kept, on average over the month."""
    read: Decimal
    """Snapshots that one is started from."""
    written: Decimal
    """Suspensions."""
    note: str = ""

    def quantities(self, cpu: Decimal, gb: Decimal) -> dict[str, Decimal]:
        """What is billed, by key of its price."""
        return {
            "lambda_microvms.vcpu_hour": self.hours * cpu,
            "lambda_microvms.gb_hour": self.hours * gb,
            "lambda_microvms.snapshot_gb_month": self.stored * gb,
            "lambda_microvms.snapshot_read_gb": self.read * gb,
            "lambda_microvms.snapshot_write_gb": self.written * gb,
        }


def price_microvm(bill: Bill) -> Around | None:
    """Lambda MicroVMs: billed while they run, and for the snapshots that they are started from.

    As many run as the traffic's CPU and memory need, throughout the busy share, and are suspended for the rest of the
    month. Jobs may instead have one each, for as long as they last; the cheaper of the two is priced.
    """
    asked = bill.asked
    size = size_of(bill, MICROVM_SIZES)
    if size is None:
        return None
    cpu, gb = size
    ways = [_shared(bill, gb)]
    if asked.workload.traffic.unit == "job" or asked.workload.schedule:
        ways.append(_apiece(bill))

    def known(way: _Held) -> Decimal:
        prices = {key: asked.prices.get(key, region=asked.region, at=asked.at).amount for key in NAMES}
        return sum(((prices[key] or 0) * quantity for key, quantity in way.quantities(cpu, gb).items()), Decimal(0))

    way = min(ways, key=known)
    if way.note:
        bill.assume(way.note)
    if size > MICROVM_BASELINE:
        bill.assume(f"what is above {named(MICROVM_BASELINE)} is burst, and is priced as if it were held all the time")
    for key, quantity in way.quantities(cpu, gb).items():
        bill.add("compute" if key.endswith("_hour") else "storage", NAMES[key].format(cpu=cpu, gb=gb), quantity, key)
    return Around()


def _apiece(bill: Bill) -> _Held:
    load = bill.asked.load
    return _Held(
        hours=load.units * load.duration / 3600,
        stored=Decimal(1),  # the image
        read=load.units,
        written=Decimal(0),
        note="each job has a MicroVM of its own, and reads the whole memory of the image" if load.rate else "",
    )


def _shared(bill: Bill, gb: Decimal) -> _Held:
    asked = bill.asked
    running = count(bill, can_zero=True)
    hours = running.busy * asked.load.busy_hours
    sleeps = bool(hours) and asked.load.busy < 1
    wakes = exact(asked.assume.wakes_per_month or 0) * running.busy if sleeps else Decimal(0)
    note = ""
    if sleeps and asked.assume.wakes_per_month is None:
        note = (
            f"waking a MicroVM reads {gb} GB, suspending it writes them; how often is not known, and not in the total"
        )
    if not asked.assume.suspended:
        return _Held(hours=hours, stored=Decimal(1), read=wakes, written=Decimal(0), note=note)
    stored = max(1, running.busy) - hours / MONTH_HOURS
    return _Held(hours=hours, stored=stored, read=wakes, written=wakes, note=note)
