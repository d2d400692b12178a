"""HF1xx: what a task may be, above all on Fargate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.resolve import (
    Resource,
    is_literal,
    is_true,
    list_of,
    mapping_of,
    number_of,
    references,
    target_of,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, FoundOnFacts, Path, Subject, rule
from holdfast.deploy.core.rules.workloads import (
    EXPRESS,
    SERVICE,
    TASK,
    amount,
    containers,
    on_fargate,
    placement_of,
    providers,
    seconds,
    services_of,
    target_groups,
)

SIZES: Final[Mapping[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""CPU units of a Fargate task, and the MiB that it may have (Amazon ECS task definition parameters for Fargate)."""
SANDBOXES: Final = frozenset(
    {
        "bwrap",
        "bubblewrap",
        "nsjail",
        "firejail",
        "unshare",
        "isolate",
        "minijail0",
        "runsc",
        "dockerd",
        "podman",
        "buildah",
    }
)
"""Programs that need user namespaces, or a privileged container in their place."""
STOP_DEFAULT_S: Final = 30.0
STOP_LONGEST_S: Final = 120.0
_PINNED: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_SHELL_WORDS: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_FARGATE_PARAMETERS: Final = "Amazon ECS task definition parameters for Fargate"
_CONTAINER_PARAMETERS: Final = "Amazon ECS, ContainerDefinition and LinuxParameters"


def _fargate_tasks(subject: Subject) -> Iterator[Resource]:
    return (task for task in subject.template.of(TASK) if on_fargate(subject.template, task))


def _path(number: int, *more: str | int) -> Path:
    return ("Properties", "ContainerDefinitions", number, *more)


@rule(
    "HF101",
    "privileged container on Fargate",
    why="Fargate refuses it: the service never starts a task.",
    remedy="drop Privileged, or place the workload on ECS Managed Instances or EC2",
    source=_FARGATE_PARAMETERS,
)
def _privileged(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("ecs-fargate", "privileged")
    for task in _fargate_tasks(subject):
        for number, container in containers(task):
            if is_true(container.get("Privileged")) and fact.value is not True:
                yield task.id, _path(number, "Privileged"), "Fargate runs no privileged containers", (fact,)


@rule(
    "HF102",
    "capability that Fargate does not add",
    why="Registering the task fails: SYS_PTRACE is the only one that can be added.",
    remedy="drop it, or place the workload on ECS Managed Instances or EC2",
    source=_FARGATE_PARAMETERS,
)
def _capabilities(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("ecs-fargate", "capabilities")
    allowed = fact.value if isinstance(fact.value, frozenset) else frozenset({"SYS_PTRACE"})
    for task in _fargate_tasks(subject):
        for number, container in containers(task):
            linux = mapping_of(container.get("LinuxParameters"))
            added = {str(one) for one in list_of(mapping_of(linux.get("Capabilities")).get("Add")) if is_literal(one)}
            if wrong := sorted(added - allowed):
                where = _path(number, "LinuxParameters", "Capabilities", "Add")
                yield task.id, where, f"{', '.join(wrong)} cannot be added on Fargate", (fact,)


@rule(
    "HF103",
    "sandbox on Fargate",
    why="User namespaces are off there: bubblewrap, nsjail and their like fail at the first job.",
    remedy="place it on Lambda MicroVMs, single-task Managed Instances or EC2; or run a task per job",
    source="Amazon ECS on Fargate security considerations",
)
def _sandboxes(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("ecs-fargate", "user_namespaces")
    if fact.value is True:
        return
    for task in _fargate_tasks(subject):
        for number, container in containers(task):
            for key in ("EntryPoint", "Command"):
                said = [str(text_of(one)) for one in list_of(container.get(key)) if text_of(one) is not None]
                words = {
                    word.rsplit("/", 1)[-1] for text in said for word in _SHELL_WORDS.split(text.replace("/", " "))
                }
                if found := sorted(words & SANDBOXES):
                    text = f"{found[0]} needs user namespaces, which Fargate does not give"
                    yield task.id, _path(number, key), text, (fact,)
        placement = placement_of(subject, task, *services_of(subject.template, task))
        if placement is not None and {"user-namespaces", "privileged"} & set(placement.workload.needs):
            yield task.id, ("Properties",), f"{placement.name} needs user namespaces, and this is Fargate", (fact,)


@rule(
    "HF104",
    "CPU and memory that do not go together",
    why="Registering the task fails: Fargate has fixed pairs.",
    remedy="take a pair of the table in the documentation",
    source=_FARGATE_PARAMETERS,
)
def _sizes(subject: Subject) -> Iterator[Found]:
    sized = [(task, "Cpu", "Memory") for task in _fargate_tasks(subject)]
    sized += [(service, "Cpu", "Memory") for service in subject.template.of(EXPRESS)]
    for owner, cpu_key, memory_key in sized:
        cpu, memory = _units(owner.at(cpu_key), "vcpu"), _units(owner.at(memory_key), "gb")
        if owner.type == TASK and (owner.at(cpu_key) is None or owner.at(memory_key) is None):
            yield owner.id, ("Properties",), "a Fargate task has to say its Cpu and Memory"
        elif cpu is not None and memory is not None and memory not in SIZES.get(int(cpu), ()):
            allowed = SIZES.get(int(cpu))
            text = (
                f"{cpu:g} CPU units are no size"
                if allowed is None
                else (f"{cpu:g} CPU units have {allowed[0]} to {allowed[-1]} MiB, not {memory:g}")
            )
            yield owner.id, ("Properties", memory_key if allowed else cpu_key), text


def _units(value: Any, suffix: str) -> float | None:
    """``0.5 vCPU`` and ``1 GB`` as CPU units and MiB; numbers are that already."""
    text = text_of(value) if is_literal(value) else None
    if text is not None and text.lower().endswith(suffix):
        number = number_of(text[: -len(suffix)].strip())
        return None if number is None else number * 1024
    return number_of(text)


@rule(
    "HF105",
    "setting that needs a host of one's own",
    why="Fargate has no host that a task could share: registering the task fails.",
    remedy="use awsvpc, a volume on EFS or the task's own scratch disk, and no host's namespaces",
    source=_FARGATE_PARAMETERS,
)
def _host_settings(subject: Subject) -> Iterator[Found]:
    for task in _fargate_tasks(subject):
        if is_literal(mode := task.at("NetworkMode")) and mode != "awsvpc":
            yield task.id, ("Properties", "NetworkMode"), f"Fargate needs awsvpc, not {mode or 'the default, bridge'}"
        for key in ("IpcMode", "PlacementConstraints"):
            if task.at(key):
                yield task.id, ("Properties", key), f"Fargate does not know {key}"
        if task.at("PidMode") == "host":
            yield task.id, ("Properties", "PidMode"), "a Fargate task cannot see its host's processes"
        for number, volume in enumerate(list_of(task.at("Volumes"))):
            if mapping_of(mapping_of(volume).get("Host")).get(
                "SourcePath"
            ) or "DockerVolumeConfiguration" in mapping_of(volume):
                yield task.id, ("Properties", "Volumes", number), "a Fargate task cannot mount a path of its host"
        for number, container in containers(task):
            linux = mapping_of(container.get("LinuxParameters"))
            for key in ("Devices", "SharedMemorySize", "MaxSwap", "Swappiness", "Tmpfs"):
                if linux.get(key) and key != "Tmpfs":
                    yield task.id, _path(number, "LinuxParameters", key), f"Fargate does not know {key}"


@rule(
    "HF106",
    "image that is not pinned",
    why="A tag moves: two tasks of one version run different code, and a roll-back brings back something else.",
    remedy="name the image by digest (repository@sha256:...), or demand it with the parameter's AllowedPattern",
    source="Amazon ECS, container image resolution",
)
def _unpinned(subject: Subject) -> Iterator[Found]:
    for owner, path, image in _images(subject):
        text = text_of(image)
        parameter = subject.template.parameters.get(target_of(image) or "")
        if text is not None:
            if not _PINNED.search(text):
                yield owner.id, path, f"{text.split('@')[0]} is named by tag, not by digest"
        elif (
            parameter is not None
            and _ends_with_parameter(image)
            and "sha256" not in str(parameter.get("AllowedPattern"))
        ):
            yield owner.id, path, f"the parameter {target_of(image)} takes any tag"


def _ends_with_parameter(image: Any) -> bool:
    """Whether the parameter is what decides on the version: all of the image, or its end."""
    text = image.get("Fn::Sub") if isinstance(image, Mapping) else None
    text = text[0] if isinstance(text, list) else text
    return not isinstance(text, str) or text.endswith("}")


def _images(subject: Subject) -> Iterator[tuple[Resource, Path, Any]]:
    for task in subject.template.of(TASK):
        for number, container in containers(task):
            yield task, _path(number, "Image"), container.get("Image")
    for resource in subject.template.of(EXPRESS):
        yield resource, ("Properties", "PrimaryContainer", "Image"), resource.at("PrimaryContainer", "Image")
    for resource in subject.template.of("AWS::Lambda::Function"):
        if (image := resource.at("Code", "ImageUri")) is not None:
            yield resource, ("Properties", "Code", "ImageUri"), image
    for resource in subject.template.of("AWS::AppRunner::Service"):
        image = resource.at("SourceConfiguration", "ImageRepository", "ImageIdentifier")
        if image is not None:
            where = ("Properties", "SourceConfiguration", "ImageRepository", "ImageIdentifier")
            yield resource, where, image


@rule(
    "HF107",
    "stop timeout over the limit",
    why="Registering the task fails: Fargate waits for at most 120 s between SIGTERM and SIGKILL.",
    remedy="take at most 120, and finish or hand back longer work within that time",
    source=_CONTAINER_PARAMETERS,
)
def _stop_too_long(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("ecs-fargate", "stop_longest")
    most = fact.value if isinstance(fact.value, float | int) else STOP_LONGEST_S
    for task in _fargate_tasks(subject):
        for number, container in containers(task):
            stop = number_of(container.get("StopTimeout"))
            if stop is not None and stop > most:
                yield (
                    task.id,
                    _path(number, "StopTimeout"),
                    f"{amount(stop)} is over the limit of {amount(most)}",
                    (fact,),
                )


@rule(
    "HF108",
    "stop timeout shorter than the drain",
    why="SIGKILL comes before the work is done or handed back. On Spot that is the whole of the two minutes' warning.",
    remedy="set StopTimeout to at least the drain, at most 120; what takes longer has to be resumed elsewhere",
    source="Amazon ECS, Fargate capacity providers and ContainerDefinition",
)
def _stop_too_short(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("ecs-fargate", "stop_longest")
    for task in subject.template.of(TASK):
        services = services_of(subject.template, task)
        groups = [found for service in services for _, found in target_groups(subject.template, service) if found]
        drain = seconds(subject, "drain", (task, *services))
        if not drain:
            drain = min(seconds(subject, "longest", (task, *services, *groups)), STOP_LONGEST_S)
        drain = min(drain, STOP_LONGEST_S)
        for number, container in containers(task):
            value = container.get("StopTimeout")
            stop = STOP_DEFAULT_S if value is None else number_of(value)
            if stop is not None and stop < drain and container.get("Essential") is not False:
                said = "30 s by default" if value is None else amount(stop)
                text = f"the work needs {amount(drain)} to end, and SIGKILL comes after {said}"
                yield task.id, _path(number, "StopTimeout") if value is not None else _path(number), text, (fact,)


@rule(
    "HF109",
    "containers larger than their task",
    why="Registering the task fails: what its containers are promised has to fit into it.",
    remedy="enlarge the task or lower the containers' Cpu, Memory and MemoryReservation",
    source=_CONTAINER_PARAMETERS,
)
def _too_large(subject: Subject) -> Iterator[Found]:
    for task in subject.template.of(TASK):
        for key, unit, suffix in (("Cpu", "CPU units", "vcpu"), ("Memory", "MiB", "gb")):
            whole = _units(task.at(key), suffix)
            parts = [
                number_of(
                    container.get("MemoryReservation") or container.get(key) if key == "Memory" else container.get(key)
                )
                for _, container in containers(task)
            ]
            wanted = sum(part for part in parts if part is not None)
            if whole is not None and wanted > whole:
                yield task.id, ("Properties", key), f"containers want {wanted:g} {unit}, the task has {whole:g}"


@rule(
    "HF110",
    "container without a log",
    why="A task that dies cannot say why: on Fargate nothing else shows its output.",
    remedy="give it a LogConfiguration with awslogs or awsfirelens",
    source="Amazon ECS, using the awslogs log driver",
    severity="warning",
)
def _no_log(subject: Subject) -> Iterator[Found]:
    for task in _fargate_tasks(subject):
        for number, container in containers(task):
            if not container.get("LogConfiguration") and "FirelensConfiguration" not in container:
                yield task.id, _path(number), f"container {text_of(container.get('Name')) or number} writes no log"


@rule(
    "HF111",
    "task without an execution role",
    why="ECS fetches secrets and private images and writes logs in its name: without it no task starts.",
    remedy="name a role that ecs-tasks.amazonaws.com may take as ExecutionRoleArn",
    source="Amazon ECS task execution IAM role",
)
def _no_execution_role(subject: Subject) -> Iterator[Found]:
    for task in _fargate_tasks(subject):
        if task.at("ExecutionRoleArn") is not None:
            continue
        for number, container in containers(task):
            logging = mapping_of(container.get("LogConfiguration"))
            if container.get("Secrets") or logging.get("LogDriver") == "awslogs":
                yield task.id, _path(number), "its secrets or its log need an ExecutionRoleArn, and there is none"
                break


@rule(
    "HF112",
    "secret that the execution role may not read",
    why="The task fails with ResourceInitializationError until the circuit breaker gives the deployment up.",
    remedy="allow secretsmanager:GetSecretValue (ssm:GetParameters for parameters) on the secret's ARN",
    source="Amazon ECS, pass sensitive data to a container",
)
def _unreadable_secret(subject: Subject) -> Iterator[Found]:
    for task in subject.template.of(TASK):
        role = subject.template.target(task.at("ExecutionRoleArn"), "AWS::IAM::Role")
        if role is None:
            continue
        managed = list_of(role.at("ManagedPolicyArns"))
        if any("AmazonECSTaskExecutionRolePolicy" not in str(one) for one in managed):
            continue  # what a policy of somebody's own allows is not to be seen here
        attached = [*_statements(role), *_attached(subject, role)]
        for number, container in containers(task):
            for place, secret in enumerate(list_of(container.get("Secrets"))):
                wanted = mapping_of(secret).get("ValueFrom")
                if not any(_may_read(statement, wanted) for statement in attached):
                    name = text_of(mapping_of(secret).get("Name")) or place
                    yield task.id, _path(number, "Secrets", place), f"{role.id} may not read the secret of {name}"


def _attached(subject: Subject, role: Resource) -> Iterator[Mapping[str, Any]]:
    for policy in subject.template.of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        if role.id in set(references([policy.at("Roles"), policy.at("RoleName")])):
            yield from (mapping_of(one) for one in list_of(policy.at("PolicyDocument", "Statement")))


def _statements(role: Resource) -> Iterator[Mapping[str, Any]]:
    for policy in list_of(role.at("Policies")):
        document = mapping_of(mapping_of(policy).get("PolicyDocument"))
        yield from (mapping_of(one) for one in list_of(document.get("Statement")))


def _may_read(statement: Mapping[str, Any], wanted: Any) -> bool:
    """Whether a statement allows to read a secret. What is resolved only when the stack is made gets the benefit."""
    actions = {str(one).lower() for one in list_of(statement.get("Action"))}
    reading = {
        "*",
        "secretsmanager:*",
        "secretsmanager:getsecretvalue",
        "secretsmanager:get*",
        "ssm:getparameters",
        "ssm:*",
    }
    if statement.get("Effect") != "Allow" or not actions & reading:
        return False
    named, wants = set(references(statement.get("Resource"))), set(references(wanted))
    if not wants or not named:
        return True
    return bool(named & wants) or any("*" in str(one) for one in list_of(statement.get("Resource")))


@rule(
    "HF113",
    "processor that the image is not built for",
    why="`exec format error`: the task of one architecture gets images of the other.",
    remedy="set RuntimePlatform.CpuArchitecture to what the plan says (X86_64 is the default)",
    source=_FARGATE_PARAMETERS,
)
def _architecture(subject: Subject) -> Iterable[Found]:
    names = {"x86_64": "X86_64", "arm64": "ARM64"}
    for task in subject.template.of(TASK):
        placement = placement_of(subject, task, *services_of(subject.template, task))
        wanted = placement.workload.architecture if placement is not None else None
        has = task.at("RuntimePlatform", "CpuArchitecture") or "X86_64"
        if wanted is not None and is_literal(has) and names[wanted] != has:
            yield task.id, ("Properties", "RuntimePlatform"), f"the workload is built for {wanted}, the task is {has}"


@rule(
    "HF114",
    "Spot task with the default stop timeout",
    why="Spot warns two minutes ahead, but the task gets only StopTimeout of them: 30 s by default.",
    remedy="set StopTimeout to the time that the work needs, at most 120",
    source="Amazon ECS clusters for Fargate, termination notices",
    severity="warning",
)
def _spot_stop(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        task = subject.template.target(service.at("TaskDefinition"), TASK)
        if task is None or "FARGATE_SPOT" not in providers(subject.template, service):
            continue
        for number, container in containers(task):
            if container.get("StopTimeout") is None and container.get("Essential") is not False:
                yield task.id, _path(number), "on Spot, and SIGKILL comes 30 s after SIGTERM"
