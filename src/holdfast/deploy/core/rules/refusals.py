"""HF912 to HF917: what is refused, or answers nobody, whatever stands around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.rules.resolve import list_of, mapping_of, number_of, references, text_of
from holdfast.deploy.core.rules.violation import Found, Path, Subject, rule
from holdfast.deploy.core.rules.workloads import EXPRESS, LISTENER, SERVICE, TASK, containers

_TLS: Final = frozenset({"HTTPS", "TLS"})
_COMMANDS: Final = frozenset({"CMD", "CMD-SHELL", "NONE"})
_SCRATCH_GIB: Final = (21.0, 200.0)
_PATHS: Final = ("#{path}", "/#{path}")


@rule(
    "HF912",
    "container check that is no command",
    why="Registering the task fails, or the check never passes: the first word says how the rest is run.",
    remedy="begin Command with CMD or CMD-SHELL",
    source="Amazon ECS, HealthCheck",
)
def _no_command(subject: Subject) -> Iterator[Found]:
    for task in subject.template.of(TASK):
        for number, container in containers(task):
            command = list_of(mapping_of(container.get("HealthCheck")).get("Command"))
            first = text_of(command[0]) if command else None
            if first is not None and first not in _COMMANDS:
                where: Path = ("Properties", "ContainerDefinitions", number, "HealthCheck", "Command")
                yield task.id, where, f"begins with {first!r}"


@rule(
    "HF913",
    "redirect in a circle",
    why="Browsers give up: what answers on this port sends back to this port.",
    remedy="redirect to Protocol HTTPS and Port 443, or change the host or the path",
    source="Elastic Load Balancing, redirect actions",
)
def _circle(subject: Subject) -> Iterator[Found]:
    for listener in subject.template.of(LISTENER):
        for number, action in enumerate(list_of(listener.at("DefaultActions"))):
            redirect = mapping_of(mapping_of(action).get("RedirectConfig"))
            if not redirect:
                continue
            port = text_of(redirect.get("Port")) or "#{port}"
            protocol = text_of(redirect.get("Protocol")) or "#{protocol}"
            same_port = port in {"#{port}", text_of(listener.at("Port"))}
            same_protocol = protocol in {"#{protocol}", text_of(listener.at("Protocol"))}
            same_place = (text_of(redirect.get("Host")) or "#{host}") == "#{host}" and (
                (text_of(redirect.get("Path")) or _PATHS[1]) in _PATHS
            )
            if same_port and same_protocol and same_place:
                where = ("Properties", "DefaultActions", number, "RedirectConfig")
                yield listener.id, where, f"leads back to {protocol} on {port}"


@rule(
    "HF914",
    "launch type beside a strategy",
    why="Creating the service fails: it takes a launch type or a capacity provider strategy, not both.",
    remedy="remove LaunchType",
    source="Amazon ECS service definition parameters",
)
def _both(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        if service.at("LaunchType") is not None and service.at("CapacityProviderStrategy"):
            yield service.id, ("Properties", "LaunchType"), "stands beside CapacityProviderStrategy"


@rule(
    "HF915",
    "scratch disk of a size that there is not",
    why="Registering the task fails: 20 GiB are there anyway, and more is 21 to 200.",
    remedy="set SizeInGiB to 21 to 200, or leave EphemeralStorage out",
    source="Amazon ECS, Fargate task ephemeral storage",
)
def _scratch(subject: Subject) -> Iterator[Found]:
    for task in subject.template.of(TASK):
        size = number_of(task.at("EphemeralStorage", "SizeInGiB"))
        if size is not None and not _SCRATCH_GIB[0] <= size <= _SCRATCH_GIB[1]:
            yield task.id, ("Properties", "EphemeralStorage", "SizeInGiB"), f"{size:g} GiB"


@rule(
    "HF916",
    "TLS without a certificate",
    why="Creating the listener fails: it has nothing to show to clients.",
    remedy="name a certificate of AWS Certificate Manager in Certificates",
    source="Elastic Load Balancing, create an HTTPS listener",
)
def _no_certificate(subject: Subject) -> Iterator[Found]:
    for listener in subject.template.of(LISTENER):
        if listener.at("Protocol") in _TLS and not listener.at("Certificates"):
            yield listener.id, ("Properties",), f"listens for {listener.at('Protocol')} without Certificates"


@rule(
    "HF917",
    "role that may do nothing",
    why="Whoever takes it is refused at its first call; Express cannot make its load balancer, for one.",
    remedy="give the role the managed policy of its service, or a policy of your own",
    source="AWS::IAM::Role; Amazon ECS infrastructure IAM role",
)
def _empty_role(subject: Subject) -> Iterator[Found]:
    template = subject.template
    attached = {
        id
        for one in template.of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
        for id in references([one.at("Roles"), one.at("RoleName")])
    }
    for user, key in (
        *((one, "InfrastructureRoleArn") for one in template.of(EXPRESS)),
        *((one, key) for one in template.of(EXPRESS, TASK) for key in ("ExecutionRoleArn",)),
        *((one, "Role") for one in template.of("AWS::Lambda::Function")),
    ):
        role = template.target(user.at(key), "AWS::IAM::Role")
        if role is None or role.id in attached:
            continue
        if not role.at("ManagedPolicyArns") and not role.at("Policies"):
            yield role.id, ("Properties",), f"{user.id} takes it as {key}, and no policy is attached"
