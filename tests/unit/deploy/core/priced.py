"""A small price list that the tests can compute with by hand: us-east-1, as retrieved on 2026-11-22."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.cost import busy, idle
from holdfast.deploy.core.prices import Estimate, Line, Price, PriceTable
from holdfast.deploy.core.workload import DeploySettings, Traffic, Workload
from holdfast.kernel import Duration, Size

AT: Final = date(2026, 11, 23)
REGION: Final = "us-east-1"
AMOUNTS: Final = {
    "fargate.vcpu_hour": "0.04048",
    "fargate.gb_hour": "0.004445",
    "fargate_spot.vcpu_hour": "0.012144",
    "fargate_spot.gb_hour": "0.0013335",
    "app_runner.vcpu_hour": "0.064",
    "app_runner.gb_hour": "0.007",
    "alb.hour": "0.0225",
    "alb.lcu_hour": "0.008",
    "nlb.hour": "0.0225",
    "nlb.lcu_hour": "0.006",
    "ipv4.hour": "0.005",
    "nat.hour": "0.045",
    "nat.gb": "0.045",
    "logs.ingest_gb": "0.50",
    "logs.gb_month": "0.03",
    "data.out_gb": "0.09",
    "lambda.gb_second": "0.0000166667",
    "lambda.gb_second.arm": "0.0000133334",
    "lambda.million_requests": "0.20",
    "lambda.stream_gb": "0.008",
    "api_gateway.million_http": "1.00",
    "api_gateway.million_rest": "3.50",
    "api_gateway.million_websocket_messages": "1.00",
    "api_gateway.million_connection_minutes": "0.25",
    "lambda_microvms.vcpu_hour": "0.0997",
    "lambda_microvms.gb_hour": "0.0132",
    "lambda_microvms.snapshot_gb_month": "0.08",
    "lambda_microvms.snapshot_read_gb": "0.00155",
    "lambda_microvms.snapshot_write_gb": "0.0038",
    "ec2.t3.small.hour": "0.0208",
    "ec2.t3.medium.hour": "0.0416",
    "ec2.c6a.large.hour": "0.0765",
    "ec2.c6a.2xlarge.hour": "0.306",
    "ec2.m6a.large.hour": "0.0864",
    "managed_instances.c6a.2xlarge.hour": "0.037",
    "eks.cluster_hour": "0.10",
    "ebs.gp3_gb_month": "0.08",
    "lightsail.nano_month": "7",
    "lightsail.small_month": "15",
    "s3.gb_month": "0.023",
    "rds.db.t4g.micro.hour": "0.016",
    "rds.gp3_gb_month": "0.115",
    "secrets.secret_month": "0.40",
    "alarms.alarm_month": "0.10",
    "route53.zone_month": "0.50",
    "cloudfront.million_https": "1.00",
    "cloudfront.out_gb": "0.085",
    "cloudfront.free_plan_month": "0",
    "cloudfront.pro_plan_month": "15",
}


def table(*, without: frozenset[str] = frozenset(), **changed: str) -> PriceTable:
    """The list, with some prices not known or changed (``alb_hour="1"``)."""
    amounts = AMOUNTS | {key.replace("__", "."): amount for key, amount in changed.items()}
    return PriceTable.of(
        Price(
            key=key,
            amount=None if key in without else Decimal(amount),
            unit="",
            region=REGION,
            source="test",
            retrieved=date(2026, 11, 22),
        )
        for key, amount in amounts.items()
    )


def traffic(rate: float, **changed: object) -> Traffic:
    """Nothing but requests: no bytes and no logs, unless they are given."""
    plain: dict[str, object] = {
        "rate": rate,
        "cpu": Duration(0.001),
        "duration": Duration(0.1),
        "bytes_in": Size(0),
        "bytes_out": Size(0),
        "log_bytes": Size(0),
    }
    return Traffic(**(plain | changed))  # type: ignore[arg-type]


def api(rate: float = 0.0, *, cpu: float = 0.25, memory: str = "512MiB", **changed: object) -> Workload:
    """A public HTTP service."""
    plain: dict[str, object] = {"protocols": ("http/1.1",), "traffic": traffic(rate)}
    return Workload(cpu=cpu, memory=Size.parse(memory), **(plain | changed))  # type: ignore[arg-type]


def month(
    candidate: str,
    workload: Workload,
    *,
    settings: DeploySettings = DeploySettings(),  # noqa: B008 - frozen
    prices: PriceTable | None = None,
    without_work: bool = False,
) -> Estimate:
    """The estimate of a month, of a candidate that has such a size."""
    price = idle if without_work else busy
    found = price(BY_ID[candidate], workload, settings=settings, region=REGION, prices=prices or table(), at=AT)
    assert found is not None
    return found


def line(estimate: Estimate, key: str, what: str = "") -> Line:
    """The one line with that price, and those words if there are several."""
    found = [one for one in estimate.lines if one.price.key == key and what in one.what]
    assert len(found) == 1, found
    return found[0]
