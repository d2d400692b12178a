"""What a decoder cannot see: ranges, names and contradictions of workloads.

Only what no platform could ever satisfy is wrong here: a start in 10 ms from zero. What the platforms of today cannot
do (UDP where only App Runner is allowed) is an answer, not an error: nothing fits, why, and what would have to give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.workload import Account, DeploySettings, ScaleNeeds, TemplateSettings, Traffic, Workload
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Path, Problem, Section

_MS: Final = Duration(0.001)
_YEAR: Final = Duration(366 * 86400.0)
_TIB: Final = Size(2**40)

RANGES: Final[dict[type[Section], dict[str, tuple[float, float]]]] = {
    Workload: {
        "longest": (_MS, _YEAR),
        "silence": (_MS, _YEAR),
        "drain": (Duration(0.0), _YEAR),
        "request_size": (Size(0), Size(64 * 2**40)),
        "response_size": (Size(0), Size(64 * 2**40)),
        "start": (_MS, _YEAR),
        "cpu": (0.01, 448.0),
        "memory": (Size(2**20), Size(32 * 2**40)),
        "scratch": (Size(0), Size(64 * 2**40)),
        "schedule": (Duration(1.0), _YEAR),
        "latency": (_MS, Duration(3600.0)),
        "port": (1, 65535),
    },
    ScaleNeeds: {"min": (0, 10_000), "max": (1, 10_000)},
    Traffic: {
        "rate": (0.0, 1e7),
        "busy": (0.0, 1.0),
        "cpu": (Duration(0.0), Duration(86400.0)),
        "memory": (Size(0), _TIB),
        "duration": (Duration(0.0), _YEAR),
        "bytes_in": (Size(0), _TIB),
        "bytes_out": (Size(0), _TIB),
        "log_bytes": (Size(0), Size(2**30)),
    },
    Account: {"shared_alb": (1, 25)},
    Assumptions: {
        "utilisation": (0.05, 1.0),
        "requests_per_connection": (1.0, 1e6),
        "balancer_rules": (0, 1000),
        "start": (Duration(0.0), Duration(3600.0)),
        "wakes_per_month": (0.0, 1e7),
        "cold_starts": (0.0, 1.0),
        "cold_start": (Duration(0.0), Duration(600.0)),
        "interruptions_per_hour": (0.0, 60.0),
        "stored_gb": (0.0, 1e6),
        "disk_gb": (1.0, 64_000.0),
    },
    TemplateSettings: {"zones": (2, 3), "log_days": (1, 3653), "monthly_budget": (1.0, 1e9)},
}
"""Lowest and highest value, both allowed."""

LOG_DAYS: Final = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""Retentions that CloudWatch Logs knows (schema of ``AWS::Logs::LogGroup``)."""

FROM_ZERO: Final = Duration(0.05)
"""A start from nothing takes longer than this anywhere: a snapshot of a machine has to be read, and the request to wait
for it. The fastest that the facts have is a suspended MicroVM, after 0.7 s. Judged, on the low side."""

_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,250}")
_HTTP: Final = frozenset({"http/1.1", "http/2", "sse", "websocket", "grpc"})
TO_ZERO: Final[Path] = ("scale", "to_zero")
MAX_WORKLOADS: Final = 200
MAX_REGIONS: Final = 40


def validate(settings: DeploySettings) -> list[Problem]:
    """Everything that is wrong; empty when it can be planned."""
    return [*_problems(settings)]


def _problems(settings: DeploySettings) -> Iterator[Problem]:
    yield from _region(("region",), settings.region)
    yield from _ranges(("account",), settings.account)
    for name, limit in settings.account.quotas.items():
        if name not in {candidate.compute for candidate in BY_ID.values()}:
            yield Problem(
                path=("account", "quotas", name),
                value=None,
                message="no such platform",
                remedy="write ecs-fargate, say",
            )
        elif not 0 <= limit < float("inf"):
            yield Problem(
                path=("account", "quotas", name), value=limit, message="out of range", remedy="write a limit from 0 on"
            )
    yield from _ranges(("assume",), settings.assume)
    yield from _template(settings.template)
    if len(settings.workloads) > MAX_WORKLOADS:
        message = f"{len(settings.workloads)} workloads"
        yield Problem(path=("workloads",), value=None, message=message, remedy=f"write at most {MAX_WORKLOADS}")
    for name, workload in settings.workloads.items():
        path: Path = ("workloads", name)
        if not _NAME.fullmatch(name):
            remedy = "write at most 31 lower-case letters, digits and hyphens, a letter first"
            yield Problem(path=path, value=None, message="not a name of a resource", remedy=remedy)
        yield from (_below(path, problem) for problem in _workload(workload))


def _below(path: Path, problem: Problem) -> Problem:
    related = tuple((*path, *other) for other in problem.related)
    return Problem(
        path=(*path, *problem.path),
        value=problem.value,
        message=problem.message,
        remedy=problem.remedy,
        related=related,
    )


def _workload(one: Workload) -> Iterator[Problem]:
    yield from _ranges((), one)
    yield from _ranges(("scale",), one.scale)
    yield from _ranges(("traffic",), one.traffic)
    for index, region in enumerate(one.regions):
        yield from _region(("regions", index), region)
    for name in ("secrets", "variables"):
        for index, variable in enumerate(getattr(one, name)):
            if not _VARIABLE.fullmatch(variable):
                remedy = "write at most 64 capitals, digits and underscores, a letter first"
                yield Problem(path=(name, index), value=variable, message="not a variable's name", remedy=remedy)
    if len(one.regions) > MAX_REGIONS:
        yield Problem(path=("regions",), value=None, message="too many", remedy=f"write at most {MAX_REGIONS}")
    for index, wanted in enumerate(one.only):
        if wanted not in BY_ID:
            remedy = f"write one of {', '.join(BY_ID)}"
            yield Problem(path=("only", index), value=wanted, message="no such candidate", remedy=remedy)
    if one.on and one.on not in BY_ID and one.on not in {candidate.compute for candidate in BY_ID.values()}:
        remedy = f"write one of {', '.join(BY_ID)}"
        yield Problem(path=("on",), value=one.on, message="no such platform", remedy=remedy)
    yield from _about_traffic(one)
    yield from _about_tasks(one)


def _wrong(path: Path, message: str, remedy: str, *related: Path) -> Problem:
    return Problem(path=path, value=None, message=message, remedy=remedy, related=related)


def _about_traffic(one: Workload) -> Iterator[Problem]:
    """Protocols, ingress and times that exclude each other."""
    if one.protocols and one.ingress == "none":
        yield _wrong(("ingress",), "none, but it has protocols", "remove one of the two", ("protocols",))
    if not one.protocols and one.ingress in ("public", "private"):
        remedy = "write what its clients speak, such as http/1.1"
        yield _wrong(("protocols",), f"missing for a {one.ingress} ingress", remedy, ("ingress",))
    if "udp" in one.protocols and _HTTP.intersection(one.protocols):
        remedy = "make two workloads of it: one listener carries either UDP or HTTP"
        yield _wrong(("protocols",), "udp beside HTTP", remedy)
    if {"sse", "websocket"} & set(one.protocols) and not {"http/1.1", "http/2"} & set(one.protocols):
        yield _wrong(("protocols",), "sse and websocket without HTTP", "add http/1.1")
    if one.silence is not None and one.longest is not None and one.silence > one.longest:
        remedy = "raise longest: a connection cannot be silent for longer than it lasts"
        yield _wrong(("silence",), f"longer than longest ({one.longest})", remedy, ("longest",))
    if "tls-passthrough" in one.needs and not one.protocols:
        yield _wrong(("needs",), "tls-passthrough without protocols", "write what its clients speak", ("protocols",))


def _about_tasks(one: Workload) -> Iterator[Problem]:
    """Scale, package and state that exclude each other."""
    if one.scale.min > one.scale.max:
        message = f"above max ({one.scale.max})"
        yield _wrong(("scale", "min"), message, "lower min or raise max", ("scale", "max"))
    if one.scale.to_zero and one.start is not None and one.start < FROM_ZERO:
        remedy = f"write `to_zero: false` to keep a task ready, or allow a start of {FROM_ZERO} or more"
        yield _wrong(
            ("start",), f"{one.start} with scale.to_zero: nothing starts so fast from nothing", remedy, TO_ZERO
        )
    if one.scale.signal == "schedule" and one.schedule is None:
        yield _wrong(
            ("schedule",), "missing for a workload that is scaled by it", "write how often it runs, such as 1m"
        )
    if one.package == "zip" and not one.runtime:
        yield _wrong(("runtime",), "missing for a zip", "write one, such as nodejs24.x")
    if one.package != "zip" and one.runtime:
        yield _wrong(("runtime",), f"set for a {one.package}", "remove it, or write `package: zip`", ("package",))
    if one.package == "files":
        if one.needs or one.state != "none" or one.schedule is not None:
            remedy = "files do not run; remove these, or write `package: container`"
            yield _wrong(("package",), "files with needs, state or a schedule", remedy)
        if set(one.protocols) - {"http/1.1", "http/2"}:
            yield _wrong(("protocols",), "more than HTTP for files", "write http/1.1 and http/2", ("package",))
    if one.state == "disk" and one.scale.interruptible:
        remedy = "what outlives a task should not be on one that may vanish; write `interruptible: false`"
        yield _wrong(("scale", "interruptible"), "true with state on a disk", remedy, ("state",))
    if one.scratch is not None and one.state == "none" and one.scratch > 0:
        yield _wrong(("scratch",), "a size without a disk", "write `state: scratch`", ("state",))


def _template(one: TemplateSettings) -> Iterator[Problem]:
    path: Path = ("template",)
    yield from _ranges(path, one)
    if one.log_days not in LOG_DAYS:
        days = ", ".join(map(str, LOG_DAYS))
        yield Problem(
            path=(*path, "log_days"),
            value=one.log_days,
            message="not one that CloudWatch knows",
            remedy=f"write {days}",
        )
    if not _NAME.fullmatch(one.name):
        remedy = "write at most 31 lower-case letters, digits and hyphens, a letter first"
        yield Problem(path=(*path, "name"), value=one.name, message="not a name of a stack", remedy=remedy)
    if one.alarm_email and not _EMAIL.fullmatch(one.alarm_email):
        yield Problem(
            path=(*path, "alarm_email"), value=one.alarm_email, message="no address", remedy="write a@b.example"
        )
    if one.domain and not (one.hosted_zone or one.certificate):
        remedy = "add the Route 53 zone in which a certificate is validated, or the ARN of an issued one"
        yield Problem(path=(*path, "hosted_zone"), value=None, message="missing for the domain", remedy=remedy)
    if one.vpc:
        for name in ("public_subnets", "private_subnets"):
            if len(getattr(one, name)) < 2:
                remedy = "write two or more, in different zones"
                yield Problem(path=(*path, name), value=None, message="too few for an existing VPC", remedy=remedy)
    elif one.public_subnets or one.private_subnets:
        yield Problem(
            path=(*path, "vpc"), value=None, message="missing for the subnets", remedy="write the id of theirs"
        )


def _region(path: Path, name: str) -> Iterator[Problem]:
    if not _REGION.fullmatch(name):
        yield Problem(path=path, value=name, message="not a region", remedy="write one such as eu-central-1")


def _ranges(path: Path, section: Section) -> Iterator[Problem]:
    for name, (low, high) in RANGES[type(section)].items():
        value = getattr(section, name)
        if value is not None and not low <= value <= high:
            yield Problem(
                path=(*path, name), value=value, message="out of range", remedy=f"write a value from {low} to {high}"
            )
