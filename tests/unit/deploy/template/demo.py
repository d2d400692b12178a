"""Plans made by hand: the placements of the demo, as an expert would choose them."""

from __future__ import annotations

from typing import Any

from holdfast.deploy.core.answer import Answer
from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.core.workload import (
    Account,
    DeploySettings,
    Need,
    Protocol,
    ScaleNeeds,
    TemplateSettings,
    Workload,
)
from holdfast.kernel import Duration, Size

HOME = "us-east-1"
MIB = 2**20
QUOTAS = {"ecs-fargate": 100.0}
"""vCPU; a new account has 6, which the whole demo does not fit into while versions come out."""
HTTP: tuple[Protocol, ...] = ("http/1.1", "http/2")


def placed(name: str, candidate: str, workload: Workload, *regions: str) -> Placement:
    """One workload on one candidate; nobody asks why."""
    answer = Answer(workload=name, region=HOME, chosen=None, weighed=(), decisive=())
    return Placement(
        name=name, workload=workload, candidate=BY_ID[candidate], regions=regions or (HOME,), answer=answer
    )


def plan(*placements: Placement, nat: bool = False, region: str = HOME, **template: Any) -> Plan:
    """These placements, with settings of the templates."""
    settings = DeploySettings(
        region=region, account=Account(nat=nat, quotas=QUOTAS), template=TemplateSettings(**template)
    )
    return Plan(settings=settings, placements=placements, unplaced=())


def balancer(candidate: str = "ecs-fargate+alb", **more: Any) -> Placement:
    defaults: dict[str, Any] = {
        "service": "balancer",
        "protocols": (*HTTP, "websocket", "sse"),
        "longest": Duration(600.0),
        "silence": Duration(90.0),
        "scale": ScaleNeeds(min=2, max=6, signal="cpu"),
        "cpu": 0.5,
        "memory": Size(1024 * MIB),
    }
    return placed("balancer", candidate, Workload(**{**defaults, **more}))


def gateway(candidate: str = "ecs-express", **more: Any) -> Placement:
    defaults: dict[str, Any] = {
        "service": "gateway",
        "protocols": (*HTTP, "sse"),
        "longest": Duration(600.0),
        "scale": ScaleNeeds(min=1, max=4),
        "secrets": ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"),
        "cpu": 1.0,
        "memory": Size(2048 * MIB),
    }
    return placed("gateway", candidate, Workload(**{**defaults, **more}))


def execution_api(**more: Any) -> Placement:
    defaults: dict[str, Any] = {
        "service": "execution-api",
        "protocols": HTTP,
        "ingress": "private",
        "longest": Duration(60.0),
        "scale": ScaleNeeds(min=2, max=4, signal="requests"),
    }
    return placed("execution-api", "ecs-fargate+alb", Workload(**{**defaults, **more}))


def workers(candidate: str = "ecs-managed-instances", **more: Any) -> Placement:
    defaults: dict[str, Any] = {
        "service": "execution-worker",
        "needs": ("user-namespaces",),
        "longest": Duration(30.0),
        "scale": ScaleNeeds(min=0, max=10, signal="queue", to_zero=True, interruptible=True),
        "cpu": 2.0,
        "memory": Size(4096 * MIB),
    }
    return placed("execution-worker", candidate, Workload(**{**defaults, **more}))


def dispatcher(**more: Any) -> Placement:
    defaults: dict[str, Any] = {
        "longest": Duration(20.0),
        "scale": ScaleNeeds(min=0, max=5, signal="queue", to_zero=True, interruptible=True),
    }
    return placed("dispatcher", "ecs-fargate-spot", Workload(**{**defaults, **more}))


def netpulse(**more: Any) -> Placement:
    return placed("netpulse", "ecs-fargate+alb", Workload(**{"service": "netpulse", "protocols": HTTP, **more}))


def console(**more: Any) -> Placement:
    return placed("console", "ecs-fargate+alb", Workload(**{"service": "console", "protocols": (*HTTP, "sse"), **more}))


def agents(*regions: str) -> Placement:
    workload = Workload(service="agent", schedule=Duration(60.0))
    return placed("agents", "lambda", workload, *(regions or (HOME, "eu-west-1", "ap-southeast-2")))


def blog() -> Placement:
    return placed("blog", "s3-cloudfront", Workload(protocols=HTTP, package="files"))


def everything(**settings: Any) -> Plan:
    """The whole demo."""
    return plan(
        balancer(),
        gateway(),
        execution_api(),
        workers(),
        dispatcher(),
        netpulse(),
        console(),
        agents(),
        blog(),
        **settings,
    )


def generic(name: str, candidate: str, *regions: str, **needs: Any) -> Placement:
    """Somebody else's."""
    return placed(name, candidate, Workload(**needs), *regions)


SECURE: dict[str, Any] = {"domain": "ai.example.com", "hosted_zone": "Z0123456789ABC"}
EXISTING: dict[str, Any] = {
    "vpc": "vpc-0123456789abcdef0",
    "public_subnets": ("subnet-0000000000000000a", "subnet-0000000000000000b"),
    "private_subnets": ("subnet-0000000000000000c", "subnet-0000000000000000d"),
}


def variants() -> dict[str, Plan]:
    """Plans that between them take every path through the templates."""
    return {
        "bare": everything(),
        "nat": plan(balancer(), gateway(), nat=True, zones=3, protect=False, multi_az=True, **SECURE),
        "existing": plan(
            balancer(),
            execution_api(),
            certificate="arn:aws:acm:us-east-1:123456789012:certificate/0-1",
            **EXISTING,
            **SECURE,
        ),
        "machines": plan(
            execution_api(),
            workers("ecs-ec2"),
            generic("sandboxes", "ecs-managed-instances", architecture="arm64", needs=("user-namespaces",)),
        ),
        "nlb": plan(
            balancer("ecs-fargate+nlb", needs=("client-address",)),
            netpulse_nlb(),
            agents(),
            generic("dns", "ecs-fargate+nlb", protocols=("udp", "tcp"), port=53),
            generic("syslog", "ecs-fargate+nlb", protocols=("udp",), port=514),
            generic("mail", "ecs-fargate+nlb", protocols=("tcp",), port=465, needs=("tls-passthrough",)),
            **SECURE,
        ),
        "shifting": plan(
            balancer(rollout="canary"),
            generic("api", "ecs-fargate+alb", protocols=HTTP, rollout="linear"),
            generic("web", "ecs-fargate+alb", protocols=HTTP, rollout="blue-green"),
            generic("raw", "ecs-fargate+nlb", protocols=("tcp",), rollout="blue-green", port=7000),
            generic("calls", "ecs-fargate+alb", protocols=("grpc",), port=50051),
            **SECURE,
        ),
        "abroad": plan(
            generic("api", "ecs-fargate+alb", HOME, "eu-central-1", protocols=HTTP),
            gateway("ecs-express", ingress="private"),
        ),
    }


def netpulse_nlb() -> Placement:
    needs: tuple[Need, ...] = ("tls-passthrough",)
    return placed("netpulse", "ecs-fargate+nlb", Workload(service="netpulse", protocols=HTTP, needs=needs))
