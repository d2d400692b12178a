"""``workloads.yaml`` and the ``deploy`` section of ``holdfast.yaml``: what a workload needs, typed.

A field that is not written says that the workload does not care, not that it needs the least.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import field

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section

Protocol: TypeAlias = Literal["http/1.1", "http/2", "websocket", "sse", "grpc", "tcp", "udp"]
Architecture: TypeAlias = Literal["x86_64", "arm64"]
Signal: TypeAlias = Literal["cpu", "memory", "requests", "concurrency", "queue", "schedule"]
Rollout: TypeAlias = Literal["rolling", "canary", "linear", "blue-green"]
Appetite: TypeAlias = Literal["low", "medium", "high"]
Need: TypeAlias = Literal[
    "privileged",  # a privileged container
    "user-namespaces",  # sandboxes that make their own
    "gpu",
    "sidecars",
    "exec",  # a shell in the running task
    "service-discovery",
    "private-egress",  # reaches databases and services of a private network
    "static-address",
    "client-address",
    "tls-passthrough",
    "persistent-disk",
    "background-work",  # works on while no request is open
    "ingress-control",  # listener rules, timeouts and target attributes are the team's
    "rollout-control",  # shares, bake times and thresholds are the team's
    "isolated-tasks",  # no kernel shared between two tasks
    "weighted-targets",  # two versions side by side, by weight
]


class HealthNeeds(Section, frozen=True):
    """What has to be asked to know whether a task is well."""

    path: str = "/"
    """Of an HTTP check."""
    checks: tuple[Literal["http", "tcp", "grpc", "command", "port", "thresholds", "matcher"], ...] = ("http",)
    """Means that the ingress must offer."""


class ScaleNeeds(Section, frozen=True):
    """How many tasks, and by what."""

    signal: Signal | None = None
    """What it is scaled by; left out: any will do."""
    min: int = 1
    """Tasks while there is no work. With ``to_zero`` it is 0."""
    max: int = 2
    to_zero: bool = False
    """Costs nothing for compute while there is no work."""
    interruptible: bool = False
    """The work survives a task that is taken away (a queue behind it, jobs that can run twice)."""


class Traffic(Section, frozen=True):
    """The curve that is priced. Idle is always priced with none of it."""

    unit: Literal["request", "job"] = "request"
    rate: float = 0.0
    """Requests or jobs per second while busy."""
    busy: float = 1.0
    """Share of the month that is busy, 0 to 1."""
    cpu: Duration = Duration(0.001)
    """Processor time of one request or job. A footprint from evidence replaces it where there is one."""
    memory: Size = Size(0)
    """Memory of one open request or job, beside what the process takes."""
    duration: Duration = Duration(0.1)
    """How long one is open."""
    bytes_in: Size = Size(2048)
    bytes_out: Size = Size(8192)
    """To the internet."""
    log_bytes: Size = Size(300)
    """Logged for one."""


class Workload(Section, frozen=True):
    """One service, worker or site, and what it needs."""

    summary: str = ""
    protocols: tuple[Protocol, ...] = ()
    """That its clients speak; none: nobody connects to it."""
    ingress: Literal["public", "private", "none"] | None = None
    """From where it is reached; left out: ``public`` with protocols, ``none`` without."""
    longest: Duration | None = None
    """Longest request, stream or job."""
    silence: Duration | None = None
    """Longest silence on an open connection."""
    drain: Duration | None = None
    """Time that open work needs before a task may go; left out: ``longest``, at most 5 minutes."""
    request_size: Size | None = None
    """Largest request body."""
    response_size: Size | None = None
    """Largest answer."""
    health: HealthNeeds | None = None
    scale: ScaleNeeds = ScaleNeeds()
    start: Duration | None = None
    """From the wish for one more task to its first answer."""
    cpu: float = 0.25
    """vCPU of a task."""
    memory: Size = Size(512 * 2**20)
    architecture: Architecture | None = None
    package: Literal["container", "zip", "files"] = "container"
    runtime: str = ""
    """Of a ``zip``: such as ``nodejs24.x``."""
    needs: tuple[Need, ...] = ()
    rollout: Rollout | None = None
    state: Literal["none", "scratch", "disk"] = "none"
    """``scratch``: may be lost with the task; ``disk``: outlives it."""
    scratch: Size | None = None
    regions: tuple[str, ...] = ()
    """Where it has to run, all of them; left out: the file's region."""
    schedule: Duration | None = None
    """Runs by a timer, this often."""
    traffic: Traffic = Traffic()
    latency: Duration | None = None
    """Objective for the 99th percentile of added latency; a start within a request must fit into it."""
    operations: Appetite | None = None
    """How much platform work the team wants; left out: the file's."""
    only: tuple[str, ...] = ()
    """Candidates that it may go to (``ecs-express``, ``ecs-fargate+nlb``); none: any."""
    service: str = ""
    """Which of Holdfast's own services it is (``gateway``); empty: somebody else's."""
    port: int | None = None
    """That it listens on, where it has protocols; left out: 8080."""
    command: tuple[str, ...] = ()
    """Arguments to the image's entry point; left out: the image's."""
    secrets: tuple[str, ...] = ()
    """Environment variables that hold secrets (``OPENAI_API_KEY``); each is read from Secrets Manager."""
    variables: tuple[str, ...] = ()
    """Environment variables with plain values, each a parameter of the stack."""
    on: str = ""
    """Platform that it is on today, for ``migrate``."""


class Account(Section, frozen=True):
    """What is particular to the account; what is not written is not known."""

    app_runner_customer: bool | None = None
    """Whether it used App Runner before it was closed to new customers."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Limits of the account by platform (``ecs-fargate: 16``), instead of the defaults."""
    nat: bool = False
    """Tasks sit in private subnets behind a NAT gateway instead of having public addresses."""
    shared_alb: int = 1
    """Services that share one load balancer, 1 to 25: each is charged its part."""


class TemplateSettings(Section, frozen=True):
    """What the templates need to know beside the placements."""

    name: str = "holdfast"
    """Prefix of stacks and resources."""
    vpc: str = ""
    """Existing VPC (``vpc-...``); empty: one is made. Needs the subnets of both kinds."""
    public_subnets: tuple[str, ...] = ()
    private_subnets: tuple[str, ...] = ()
    zones: int = 2
    """Availability zones of a VPC that is made, 2 or 3."""
    domain: str = ""
    """Name under which clients reach the platform (``ai.example.com``); empty: the load balancer's own, without TLS."""
    hosted_zone: str = ""
    """Route 53 zone of that name."""
    certificate: str = ""
    """ARN of an issued certificate; empty: one is made and validated through the zone."""
    alarm_email: str = ""
    """Who hears of alarms and budgets; empty: they only show."""
    monthly_budget: float | None = None
    """USD; alarms at 80 and 100 % of it and at a forecast above it."""
    log_days: int = 30
    """Days that logs are kept, one of those that CloudWatch knows."""
    protect: bool = True
    """Databases and buckets survive the deletion of their stack."""
    multi_az: bool = False
    """A standby of the database in another zone, at twice the price."""


class DeploySettings(Section, frozen=True):
    """The ``deploy`` section, and the whole of a ``workloads.yaml``."""

    region: str = "us-east-1"
    operations: Appetite = "medium"
    """How much platform work the team wants: ``low`` would rather pay."""
    account: Account = Account()
    workloads: dict[str, Workload] = field(default_factory=dict)
    """By name. In ``holdfast.yaml`` they add to, or replace, those of its own services."""
    template: TemplateSettings = TemplateSettings()
    assume: Assumptions = Assumptions()
    """Planning figures that the prices rest on."""
