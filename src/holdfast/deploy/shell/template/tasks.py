"""Task definitions: one hardened container per workload.

Nobody is root, nothing can be written but scratch, no capability is kept, a small init reaps what is left behind, and
what is secret comes by reference. The exception is a workload that makes sandboxes: it needs a kernel's privileges,
which is why it stands on machines and not on Fargate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from troposphere import GetAtt, Ref, ec2, ecs

from holdfast.deploy.core.plan import Placement
from holdfast.deploy.core.pricing.containers import FARGATE_SIZES, fitting
from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import parameters, roles, secrets
from holdfast.deploy.shell.template.backlog import backlog_container
from holdfast.deploy.shell.template.database import Database
from holdfast.deploy.shell.template.logs import log_group
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.ours import CONFIG, SERVICES, STATE, WORKER_KEY, Own
from holdfast.deploy.shell.template.stack import Network, Stack

PORT: Final = 8080
"""Of a workload that does not name one."""
USER: Final = "10001:10001"
"""User and group of the containers; the image gives them what they must read."""
STOP_MOST_S: Final = 120
"""Longest time between SIGTERM and SIGKILL on Fargate (task definition parameters, ``stopTimeout``)."""
STOP_GRACE_S: Final = 5
"""After the drain, to close files."""
DRAIN_S: Final = 30.0
"""Of a workload that names neither a drain nor a longest request."""
FILES: Final = 65_536
"""Open files: a connection is one. The default soft limit on Fargate is 65,535, on machines 1,024."""
SCRATCH_FREE_GIB: Final = 20
"""Every task on Fargate has so much; more is named, from 21 to 200."""
EXPRESS_CONTAINER: Final = "Main"
"""What ECS Express Mode demands as the name of the container; it has one TCP port, which has a name, too
(``CreateExpressGatewayService``, ``taskDefinitionArn``)."""
ON_FARGATE: Final = frozenset({"ecs-fargate", "ecs-fargate-spot", "ecs-express"})
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task definition, and what its service has to know of it."""

    placement: Placement
    own: Own | None
    definition: Any
    group: Any
    """Security group of its tasks: nobody comes in until a rule of its own lets them."""
    container: str

    @property
    def name(self) -> str:
        """Of the workload."""
        return self.placement.name

    @property
    def workload(self) -> Workload:
        """What it needs."""
        return self.placement.workload

    @property
    def port(self) -> int | None:
        """That it listens on."""
        return port_of(self.workload)


def own_of(workload: Workload) -> Own | None:
    """Which of ours it is, if any. Raises :class:`Invalid` for a name that ``holdfast run`` does not take."""
    if not workload.service:
        return None
    if workload.service not in SERVICES:
        raise Invalid(f"service: {workload.service!r} is none of ours; write one of {', '.join(SERVICES)}, or leave it")
    return SERVICES[workload.service]


def port_of(workload: Workload) -> int | None:
    """That it listens on; ``None`` if nobody connects to it."""
    own = own_of(workload)
    if own is not None:
        return own.port
    return (workload.port or PORT) if workload.protocols else workload.port


def health_of(workload: Workload) -> tuple[int | None, str]:
    """Port and path that say whether a task may have traffic."""
    own = own_of(workload)
    written = workload.health.path if workload.health is not None else "/"
    if own is None:
        return port_of(workload), written
    return own.asked, written if written != "/" else "/readyz"


def drain_s(workload: Workload) -> float:
    """Seconds that the process may need for open work after SIGTERM."""
    wished = workload.drain if workload.drain is not None else workload.longest
    return DRAIN_S if wished is None else float(wished)


def longest_s(workload: Workload) -> float:
    """Seconds that a request or stream may stay open: what a load balancer has to wait for."""
    return max(drain_s(workload), float(workload.longest or 0.0))


def stop_timeout_s(workload: Workload) -> int:
    """Between SIGTERM and SIGKILL: the drain and a little, at most what ECS allows.

    A longer drain is the load balancer's part: ECS sends SIGTERM only after the deregistration delay.
    """
    return min(STOP_MOST_S, max(math.ceil(drain_s(workload)) + STOP_GRACE_S, int(DRAIN_S)))


def size_of(placement: Placement) -> tuple[int, int]:
    """CPU units and MiB of a task, rounded up as Fargate offers them. Raises :class:`Invalid` above the largest."""
    workload = placement.workload
    wished = Decimal(str(workload.cpu)), Decimal(workload.memory) / _GIB
    if placement.candidate.compute not in ON_FARGATE:
        return math.ceil(wished[0] * 1024), math.ceil(wished[1] * 1024)
    found = fitting(FARGATE_SIZES, *wished)
    if found is None:
        raise Invalid(f"{placement.name}: no task on Fargate has {workload.cpu:g} vCPU and {wished[1]:.3g} GiB")
    return int(found[0] * 1024), int(found[1] * 1024)


def settings_of(stack: Stack, workload: Workload, database: Database | None) -> tuple[dict[str, Any], list[Any]]:
    """Environment and secrets of a container."""
    own = own_of(workload)
    environment: dict[str, Any] = {}
    taken: list[secrets.Secret] = []
    if own is not None:
        environment["HOLDFAST_LOG_FORMAT"] = "json"
        if own.store and database is not None:
            environment.update(database.environment)
            taken += database.secrets
        taken += [_made(stack, variable) for variable in own.made]
        taken += [secrets.provided(stack, variable) for variable in own.given]
    # A file may name what the template makes up or fills in itself; that comes first.
    known = {secret.variable for secret in taken} | set(environment)
    taken += [secrets.provided(stack, name) for name in workload.secrets if name not in known]
    environment.update((name, parameters.variable(stack, name)) for name in workload.variables if name not in known)
    return environment, taken


def add_task(stack: Stack, network: Network, placement: Placement, database: Database | None) -> Task:
    """The task definition, roles, log group and security group of one workload."""
    workload, name = placement.workload, placement.name
    own = own_of(workload)
    environment, taken = settings_of(stack, workload, database)
    group = add_group(stack, network, name)
    logs = log_group(stack, name)
    allowed = list({str(secret.arn.to_dict()): secret.arn for secret in taken}.values())
    cpu, memory = size_of(placement)
    fargate = placement.candidate.compute in ON_FARGATE
    container = EXPRESS_CONTAINER if placement.candidate.compute == "ecs-express" else name
    containers = [_container(stack, placement, container, environment, taken, logs)]
    if workload.service == "execution-api":
        key = next(secret for secret in taken if secret.variable == WORKER_KEY)
        containers.append(backlog_container(stack, name, image=containers[0].Image, key=key, logs=logs))
    optional: dict[str, Any] = {}
    if (scratch := workload.scratch) is not None and scratch > SCRATCH_FREE_GIB * _GIB and fargate:
        optional["EphemeralStorage"] = ecs.EphemeralStorage(SizeInGiB=math.ceil(scratch / _GIB))
    definition = stack.template.add_resource(
        ecs.TaskDefinition(
            logical_id(name, "task"),
            # A stable family: revisions of one workload stay together over replacements of the stack's resource.
            Family=f"{stack.name}-{name}",
            RequiresCompatibilities=[_compatibility(placement.candidate.compute)],
            NetworkMode="awsvpc",
            Cpu=str(cpu),
            Memory=str(memory),
            RuntimePlatform=ecs.RuntimePlatform(
                CpuArchitecture="ARM64" if workload.architecture == "arm64" else "X86_64",
                OperatingSystemFamily="LINUX",
            ),
            ExecutionRoleArn=GetAtt(
                roles.execution_role(
                    stack,
                    name,
                    log_group=logs,
                    repository=roles.repository_arn(parameters.repository(stack)),
                    secrets=allowed,
                ),
                "Arn",
            ),
            TaskRoleArn=GetAtt(roles.task_role(stack, name, exec_="exec" in workload.needs), "Arn"),
            Volumes=[ecs.Volume(Name=volume) for volume in _volumes(workload)],
            ContainerDefinitions=containers,
            **optional,
        )
    )
    if own is not None and own.store and database is not None:
        database.admit(stack, name, GetAtt(group, "GroupId"))
    return Task(placement=placement, own=own, definition=definition, group=group, container=container)


def said(**figures: int) -> dict[str, Any]:
    """What CloudFormation has no word for, where checks look for it: ``longest_s``, ``silence_s``, ``drain_s``."""
    return {"holdfast": figures}


def add_group(stack: Stack, network: Network, name: str) -> Any:
    """The security group of a workload's tasks."""
    return stack.template.add_resource(
        ec2.SecurityGroup(
            logical_id(name, "group"),
            GroupDescription=f"Tasks of {name}",
            VpcId=network.vpc,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="0.0.0.0/0", Description="Whatever it calls")
            ],
        )
    )


def _made(stack: Stack, variable: str) -> secrets.Secret:
    """A generated secret, made once though several services share it."""
    shared = f"secret.{variable}"
    if shared not in stack.shared:
        about = f"{variable} of {stack.name}"
        stack.shared[shared] = secrets.generated(stack, variable, about=about)
    found: secrets.Secret = stack.shared[shared]
    return found


def _compatibility(compute: str) -> str:
    return {"ecs-managed-instances": "MANAGED_INSTANCES", "ecs-ec2": "EC2"}.get(compute, "FARGATE")


def _volumes(workload: Workload) -> dict[str, str]:
    """Name and place of what may be written."""
    return {"tmp": "/tmp", **({"state": STATE} if workload.service else {})}  # noqa: S108 - a volume of the task's own


def _container(
    stack: Stack, placement: Placement, title: str, environment: dict[str, Any], taken: list[secrets.Secret], logs: Any
) -> Any:
    workload, name = placement.workload, placement.name
    optional: dict[str, Any] = {}
    if (port := port_of(workload)) is not None:
        express = title == EXPRESS_CONTAINER
        optional["PortMappings"] = [_main_port(port)] if express else _ports(workload, port)
    if (command := _command(workload)) is not None:
        optional["Command"] = command
    if (check := _check(workload)) is not None:
        optional["HealthCheck"] = check
    return ecs.ContainerDefinition(
        Name=title,
        Image=parameters.image(stack, name),
        Essential=True,
        Environment=[ecs.Environment(Name=key, Value=environment[key]) for key in sorted(environment)],
        Secrets=[ecs.Secret(Name=secret.variable, ValueFrom=secret.value_from) for secret in taken],
        LogConfiguration=log_configuration(logs, name),
        MountPoints=[
            ecs.MountPoint(SourceVolume=volume, ContainerPath=place) for volume, place in _volumes(workload).items()
        ],
        StopTimeout=stop_timeout_s(workload),
        Ulimits=[ecs.Ulimit(Name="nofile", SoftLimit=FILES, HardLimit=FILES)],
        **_confinement(workload),
        **optional,
    )


def log_configuration(logs: Any, prefix: str) -> Any:
    """Logs to CloudWatch; when that is slow the log loses lines, not the clients answers."""
    return ecs.LogConfiguration(
        LogDriver="awslogs",
        Options={
            "awslogs-group": Ref(logs),
            "awslogs-region": Ref("AWS::Region"),
            "awslogs-stream-prefix": prefix,
            "mode": "non-blocking",
            "max-buffer-size": "16m",
        },
    )


def _confinement(workload: Workload) -> dict[str, Any]:
    """Who the process is, and what it may do to its machine."""
    if "privileged" in workload.needs or workload.service == "execution-worker":
        # Our worker makes control groups, which engines mount read-only for everybody who is not privileged.
        return {
            "Privileged": True,
            "User": "0:0",
            "ReadonlyRootFilesystem": False,
            "LinuxParameters": ecs.LinuxParameters(InitProcessEnabled=True),
        }
    if "user-namespaces" in workload.needs:
        # The engine's seccomp profile lets unshare(2) and mount(2) through for those who have this.
        kept = ecs.KernelCapabilities(Add=["SYS_ADMIN"])
    else:
        kept = ecs.KernelCapabilities(Drop=["ALL"])
    return {
        "User": USER,
        # Somebody else's image that says it writes scratch may write it anywhere; ours knows its two places.
        "ReadonlyRootFilesystem": bool(workload.service) or workload.state == "none",
        "LinuxParameters": ecs.LinuxParameters(InitProcessEnabled=True, Capabilities=kept),
    }


def _main_port(port: int) -> Any:
    return ecs.PortMapping(Name=EXPRESS_CONTAINER.lower(), ContainerPort=port, Protocol="tcp")


def _ports(workload: Workload, port: int) -> list[Any]:
    protocols = [kind for kind in ("tcp", "udp") if (kind == "udp") == ("udp" in workload.protocols)]
    if "udp" in workload.protocols and len(workload.protocols) > 1:
        protocols = ["tcp", "udp"]
    own = own_of(workload)
    ports = {port: None} if own is None else dict.fromkeys(p for p in (port, own.health_port, own.agents_port) if p)
    return [ecs.PortMapping(ContainerPort=number, Protocol=kind) for number in ports for kind in protocols]


def _command(workload: Workload) -> list[str] | None:
    if workload.service and not workload.command:
        return ["run", workload.service, "-c", CONFIG]
    return list(workload.command) or None


def _check(workload: Workload) -> Any | None:
    """Liveness from inside, of our own services: it replaces a task that hangs. Readiness is the load balancer's."""
    own = own_of(workload)
    if own is None or own.asked is None or workload.service == "status":
        return None
    script = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{own.asked}/healthz', timeout=4).read(1)"
    return ecs.HealthCheck(
        Command=["CMD", "python3", "-I", "-c", script], Interval=15, Timeout=5, Retries=3, StartPeriod=60
    )
