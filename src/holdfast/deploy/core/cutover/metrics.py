"""What is watched while traffic moves: errors and latency of the new target beside the old, as CloudWatch queries.

A count of errors is only reported when it is not zero, and a load balancer without requests reports nothing: what is
missing is filled with 0, or a target without errors could never be judged.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.deploy.core.cutover.settings import Target

PERIOD_S: Final = 60
"""Both services report every minute."""


def queries(old: Target, new: Target) -> list[dict[str, Any]]:
    """For ``get-metric-data``: ``<side>_requests``, ``<side>_errors`` (share of 5xx), ``<side>_p99`` in seconds.

    Sides of which the request does not say how CloudWatch names them are left out.
    """
    found: list[dict[str, Any]] = []
    for side, target in (("old", old), ("new", new)):
        if watchable(target):
            found += _app_runner(side, target) if target.kind == "app-runner" else _alb(side, target)
    return found


def watchable(target: Target) -> bool:
    """Whether it is known how CloudWatch names it."""
    return bool(target.service if target.kind == "app-runner" else target.load_balancer)


def _alb(side: str, target: Target) -> list[dict[str, Any]]:
    balancer = {"LoadBalancer": target.load_balancer}
    of_target = balancer | ({"TargetGroup": target.target_group} if target.target_group else {})
    space = "AWS/ApplicationELB"
    # What the load balancer itself answers (502, 503, 504) is no target's: it counts for all of its services.
    return [
        _metric(f"{side}_requests_seen", space, "RequestCount", of_target, "Sum"),
        _metric(f"{side}_target_5xx", space, "HTTPCode_Target_5XX_Count", of_target, "Sum"),
        _metric(f"{side}_balancer_5xx", space, "HTTPCode_ELB_5XX_Count", balancer, "Sum"),
        _math(f"{side}_requests", f"FILL({side}_requests_seen, 0)"),
        _math(
            f"{side}_errors",
            f"(FILL({side}_target_5xx, 0) + FILL({side}_balancer_5xx, 0)) / {side}_requests_seen",
        ),
        _metric(f"{side}_p99", space, "TargetResponseTime", of_target, "p99", shown=True),
    ]


def _app_runner(side: str, target: Target) -> list[dict[str, Any]]:
    *_, name, id = target.service.split("/")
    service = {"ServiceName": name, "ServiceID": id}
    space = "AWS/AppRunner"
    return [
        _metric(f"{side}_requests_seen", space, "Requests", service, "Sum"),
        _metric(f"{side}_5xx", space, "5xxStatusResponses", service, "Sum"),
        _metric(f"{side}_p99_ms", space, "RequestLatency", service, "p99"),
        _math(f"{side}_requests", f"FILL({side}_requests_seen, 0)"),
        _math(f"{side}_errors", f"FILL({side}_5xx, 0) / {side}_requests_seen"),
        _math(f"{side}_p99", f"{side}_p99_ms / 1000"),
    ]


def _metric(
    id: str, space: str, name: str, of: dict[str, str], statistic: str, *, shown: bool = False
) -> dict[str, Any]:
    metric = {
        "Namespace": space,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in of.items()],
    }
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": PERIOD_S, "Stat": statistic}, "ReturnData": shown}


def _math(id: str, expression: str) -> dict[str, Any]:
    return {"Id": id, "Expression": expression, "ReturnData": True}
