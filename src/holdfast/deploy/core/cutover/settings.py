"""``cutover.yaml``: what is moved, from where to where, and how carefully."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec import field

from holdfast.kernel import Duration
from holdfast.kernel.settings import Path, Problem, Section

Kind: TypeAlias = Literal["app-runner", "alb", "ecs-express"]
AddressType: TypeAlias = Literal["A", "AAAA"]

ALIAS_TTL_S: Final = 60
"""TTL of an alias to a load balancer (``ResourceRecordSet.TTL``, Route 53 API reference). That of another target is not
documented there; the step ``ttl`` looks at what resolvers are really given."""
DAY_S: Final = 86_400.0

_Wrong: TypeAlias = Callable[[Path, object, str, str], None]

_NAME: Final = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}")
_ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+){1,2}-[0-9]")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:[A-Za-z0-9/_+=.@:-]{1,512}")
_IMAGE: Final = re.compile(r"[a-z0-9][a-z0-9./:_-]{0,255}@sha256:[0-9a-f]{64}")
_PATH: Final = re.compile(r"/[A-Za-z0-9/_.~%?=&-]{0,255}")
_APP_RUNNER: Final = re.compile(
    r"arn:aws[a-z-]*:apprunner:[a-z0-9-]+:[0-9]{12}:service/[A-Za-z0-9_-]{1,40}/[0-9a-f]{32}"
)
_ON_ECS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}")
_BALANCER: Final = re.compile(r"(?:app|net)/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}")
_GROUP: Final = re.compile(r"targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,255}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_-]{0,255}")


class Target(Section, frozen=True):
    """What answers for the name: the old one or the new one."""

    kind: Kind
    dns: str
    """Its own DNS name: the load balancer's, or the ``awsapprunner.com`` name."""
    zone: str = ""
    """Hosted zone of that name, for an alias. Empty: it is reached by CNAME."""
    evaluates: bool = False
    """Whether today's alias evaluates the target's health: a record is only replaced by naming it exactly."""
    service: str = ""
    """ARN of the App Runner service; ``cluster/service`` of one on ECS."""
    load_balancer: str = ""
    """Of a target behind an ALB, as CloudWatch names it: ``app/holdfast/50dc6c495c0c9188``."""
    target_group: str = ""
    """Likewise: ``targetgroup/gateway/73e2d6bc24d8a067``. On a shared load balancer only this tells services apart."""


class Preflight(Section, frozen=True):
    """What has to be there before anything is moved. What is left empty is not checked, and the plan says so."""

    stack: str = ""
    """CloudFormation stack that holds the new target."""
    template: str = "template.json"
    """Its template."""
    image: str = ""
    """Image of the new target, by digest: ``123456789012.dkr.ecr.eu-west-1.amazonaws.com/gateway@sha256:...``."""
    secrets: tuple[str, ...] = ()
    """Names or ARNs in Secrets Manager."""
    certificate: str = ""
    """ARN in ACM that covers the name. The plan stops unless it is ISSUED."""
    vcpu_old: float = 0.0
    """vCPU on Fargate of the old set at full size; 0 where it does not run there."""
    vcpu_new: float = 0.0
    """vCPU on Fargate of the new set at full size."""


class Thresholds(Section, frozen=True):
    """When the new target is worse than the old."""

    errors: float = 0.01
    """Share of 5xx that the new one may have beyond the old, 0 to 1."""
    p99: float = 1.5
    """How many times the old one's p99 it may take."""
    requests: int = 500
    """Requests that the new target must have answered in a stage before it is judged: fewer say little."""


class CutoverRequest(Section, frozen=True):
    """The whole of a ``cutover.yaml``."""

    name: str
    """Name that clients use: ``ai.example.com``."""
    zone: str
    """Hosted zone that holds it."""
    source: Target = field(name="from")
    target: Target = field(name="to")
    region: str = "us-east-1"
    record: Literal["auto", "cname", "alias"] = "auto"
    """What the name is today: ``auto`` for a CNAME where a target has no ``zone``, else an alias. With both zones and
    ``cname``, the CNAME gives way to aliases in one batch."""
    types: tuple[AddressType, ...] = ("A",)
    """Record types at the name. An AAAA that stays behind keeps half of the clients where they were."""
    ttl: Duration = Duration(300.0)
    """TTL of the record today. An alias has 60 s whatever is said here."""
    low_ttl: Duration = Duration(60.0)
    """TTL while traffic is moved; of records that have one."""
    longest: Duration = Duration(300.0)
    """Longest request or stream."""
    health_path: str = "/healthz"
    stream_path: str = ""
    """Path that streams for as long as ``longest``; empty: streams are not tried, though neither 5xx nor p99 shows a
    stream that breaks."""
    stages: tuple[int, ...] = (1, 5, 25, 50, 100)
    """Percent of the answers that name the new target, in turn."""
    bake: Duration = Duration(600.0)
    """Least time at a stage. Three TTLs, and a TTL with the longest stream, are the floor."""
    rate: float = 10.0
    """Requests a second in the hours of the move, for estimates of how long a stage takes."""
    thresholds: Thresholds = Thresholds()
    keep_warm: Duration = Duration(DAY_S)
    """How long the old target stays at full size with no traffic; at least a day, a TTL and the longest stream."""
    preflight: Preflight = Preflight()

    @property
    def by_cname(self) -> bool:
        """Whether the name is moved as a CNAME. A group has one type, so one target without a zone decides for both."""
        return not (self.source.zone and self.target.zone)

    @property
    def was_cname(self) -> bool:
        """Whether the record is found as a CNAME."""
        return self.record == "cname" or (self.record == "auto" and self.by_cname)

    @property
    def ttl_s(self) -> int:
        """Of the record as it is found."""
        return int(self.ttl) if self.was_cname else ALIAS_TTL_S

    @property
    def low_ttl_s(self) -> int:
        """Of the records while they are weighted."""
        return int(self.low_ttl) if self.by_cname else ALIAS_TTL_S

    @property
    def bake_s(self) -> float:
        """Least time at a stage."""
        return max(self.bake, 3 * self.low_ttl_s, self.low_ttl_s + self.longest)

    @property
    def keep_warm_s(self) -> float:
        """How long the old target is kept."""
        return max(self.keep_warm, DAY_S, self.ttl_s, self.longest)


def problems(request: CutoverRequest) -> list[Problem]:
    """What is wrong with a request. Texts that go into commands are held to what such a thing may consist of."""
    found: list[Problem] = []

    def wrong(path: Path, value: object, message: str, remedy: str) -> None:
        found.append(Problem(path=path, value=value, message=message, remedy=remedy))

    def shaped(path: Path, value: str, shape: re.Pattern[str], what: str, *, empty: bool = False) -> None:
        if not (empty and not value) and not shape.fullmatch(value):
            wrong(path, value, f"is not {what}", "correct it")

    shaped(("name",), request.name, _NAME, "a DNS name in lower case, without the final dot")
    shaped(("zone",), request.zone, _ZONE_ID, "the id of a hosted zone, such as Z0123456789ABCDEFGHIJ")
    shaped(("region",), request.region, _REGION, "a region, such as eu-west-1")
    shaped(("health_path",), request.health_path, _PATH, "a path")
    shaped(("stream_path",), request.stream_path, _PATH, "a path", empty=True)
    for key, target in (("from", request.source), ("to", request.target)):
        shaped((key, "dns"), target.dns, _NAME, "a DNS name in lower case, without the final dot")
        shaped((key, "zone"), target.zone, _ZONE_ID, "the id of a hosted zone", empty=True)
        shaped(
            (key, "load_balancer"), target.load_balancer, _BALANCER, "like app/holdfast/50dc6c495c0c9188", empty=True
        )
        shaped((key, "target_group"), target.target_group, _GROUP, "like targetgroup/api/73e2d6bc24d8a067", empty=True)
        shape = _APP_RUNNER if target.kind == "app-runner" else _ON_ECS
        shaped((key, "service"), target.service, shape, "the ARN, or cluster/service on ECS", empty=True)
        if target.dns == request.name:
            wrong((key, "dns"), target.dns, "is the name itself", "give the target's own name")
    before = request.preflight
    shaped(("preflight", "stack"), before.stack, _WORD, "the name of a stack", empty=True)
    shaped(("preflight", "template"), before.template, _FILE, "a relative path")
    shaped(("preflight", "image"), before.image, _IMAGE, "an image by digest: repository@sha256:...", empty=True)
    shaped(("preflight", "certificate"), before.certificate, _ARN, "the ARN of a certificate", empty=True)
    for number, secret in enumerate(before.secrets):
        if not (_ARN.fullmatch(secret) or _WORD.fullmatch(secret)):
            wrong(("preflight", "secrets", number), secret, "is not the name or ARN of a secret", "correct it")
    if request.source.dns == request.target.dns:
        wrong(("to", "dns"), request.target.dns, "is where the name points already", "give the new target's name")
    if request.record == "alias" and request.by_cname:
        wrong(("record",), "alias", "needs the hosted zone of both targets", "write from.zone and to.zone")
    _judge_numbers(request, wrong)
    return found


def _judge_numbers(request: CutoverRequest, wrong: _Wrong) -> None:
    stages = request.stages
    if not stages or stages[-1] != 100 or stages[0] < 1 or any(a >= b for a, b in pairwise(stages)):
        wrong(
            ("stages",), list(stages), "does not rise from at least 1 to 100", "write for instance [1, 5, 25, 50, 100]"
        )
    if len(stages) > 20:
        wrong(("stages",), len(stages), "are too many stages", "take at most 20")
    if not request.types or len(set(request.types)) != len(request.types):
        wrong(("types",), list(request.types), "names no type, or one twice", "write [A] or [A, AAAA]")
    for key, value, least, most in (
        ("ttl", request.ttl, 1.0, 7 * DAY_S),
        ("low_ttl", request.low_ttl, 1.0, 3600.0),
        ("longest", request.longest, 0.0, DAY_S),
        ("bake", request.bake, 60.0, 7 * DAY_S),
        ("keep_warm", request.keep_warm, 0.0, 90 * DAY_S),
    ):
        if not least <= value <= most or (key.endswith("ttl") and float(value) % 1):
            wrong(
                (key,),
                str(value),
                f"is not within {Duration(least)} to {Duration(most)} (TTLs in whole seconds)",
                "correct it",
            )
    if request.low_ttl > request.ttl:
        wrong(("low_ttl",), str(request.low_ttl), f"is above the TTL of today, {request.ttl}", "lower it")
    limits = request.thresholds
    if not 0 < limits.errors < 1:
        wrong(("thresholds", "errors"), limits.errors, "is not a share between 0 and 1", "write 0.01 for 1 %")
    if not 1 < limits.p99 <= 100:
        wrong(
            ("thresholds", "p99"), limits.p99, "is not a factor between 1 and 100", "write 1.5 for half as much again"
        )
    if not 50 <= limits.requests <= 1_000_000:
        wrong(("thresholds", "requests"), limits.requests, "is not within 50 to 1,000,000", "take 500")
    if not 0 < request.rate <= 1e6:
        wrong(("rate",), request.rate, "is not a rate of requests a second", "take that of the hour of the move")
