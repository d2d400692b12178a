"""HF6xx: secrets in plain text, and permissions that are too wide."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.exposure import is_everybody
from holdfast.deploy.core.rules.resolve import (
    Resource,
    is_literal,
    is_true,
    list_of,
    mapping_of,
    references,
    target_of,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, Path, Subject, rule
from holdfast.deploy.core.rules.workloads import EXPRESS, TASK, containers

_NAMES: Final = re.compile(
    r"(?i)(passw(or)?d|passphrase|secret|token|credential|private_?key|api_?key|auth_?key|(^|_)key$)"
)
_HARMLESS: Final = re.compile(
    r"(?i)(_arn|_name|_id|_file|_path|_url|_uri|_length|_limit|_ttl|_header|_count|public_?key|_?tokens|max_.*|.*_per_.*)$"
)
"""Names that speak of a secret without holding one: ``MAX_TOKENS``, ``SECRET_ARN``."""
_KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[A-Z2-7]{16}\b"),
    "a key of Anthropic": re.compile(r"\bsk-ant-[A-Za-z0-9_-]{16,}"),
    "a key of OpenAI": re.compile(r"\bsk-(proj-|svcacct-)?[A-Za-z0-9_-]{20,}"),
    "a token of GitHub": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})"),
    "a key of Google": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "a token of Slack": re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
    "a key of Stripe": re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    "a private key": re.compile(r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"),
    "an address with its password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}$]+:[^/\s:@{}$]+@"),
}
_SECRET_BITS: Final = 3.5
"""Entropy per character from which a long word is taken for a key; English is below 3 by this measure, hex at 4."""
_TEXT_MOST: Final = 65_536
"""Of one value: a longer one is no environment variable, and is looked at up to here."""
_SENSITIVE: Final = "Amazon ECS, pass sensitive data to a container"
_LEAST: Final = "AWS IAM, security best practices"


def _entropy(text: str) -> float:
    """Bits per character, by the frequency of characters in the text itself (Shannon)."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def _looks_secret(text: str) -> bool:
    """A long word of letters and digits that nobody would type."""
    word = re.fullmatch(r"[A-Za-z0-9+/=_-]{24,}", text)
    return (
        bool(word)
        and any(c.isdigit() for c in text)
        and any(c.isalpha() for c in text)
        and _entropy(text) >= _SECRET_BITS
    )


def _variables(subject: Subject) -> Iterator[tuple[Resource, Path, str, Any]]:
    """Environment variables: resource, path, name and value."""
    for task in subject.template.of(TASK):
        for number, container in containers(task):
            where: Path = ("Properties", "ContainerDefinitions", number, "Environment")
            yield from _pairs(task, where, container.get("Environment"))
    for service in subject.template.of(EXPRESS):
        where = ("Properties", "PrimaryContainer", "Environment")
        yield from _pairs(service, where, service.at("PrimaryContainer", "Environment"))
    for function in subject.template.of("AWS::Lambda::Function"):
        for name, value in mapping_of(function.at("Environment", "Variables")).items():
            yield function, ("Properties", "Environment", "Variables", name), name, value
    for service in subject.template.of("AWS::AppRunner::Service"):
        inside = ("SourceConfiguration", "ImageRepository", "ImageConfiguration", "RuntimeEnvironmentVariables")
        yield from _pairs(service, ("Properties", *inside), service.at(*inside))


def _pairs(owner: Resource, where: Path, entries: Any) -> Iterator[tuple[Resource, Path, str, Any]]:
    for number, entry in enumerate(list_of(entries)):
        yield owner, (*where, number), text_of(mapping_of(entry).get("Name")) or "", mapping_of(entry).get("Value")


def _is_dynamic(value: Any) -> bool:
    """A reference that CloudFormation looks up itself."""
    return "{{resolve:" in str(value)


@rule(
    "HF601",
    "secret in plain text",
    why="Whoever may describe a task or a stack reads it; it is in the history of both, and in the repository.",
    remedy="put it into Secrets Manager and name its ARN under Secrets",
    source=_SENSITIVE,
)
def _plain(subject: Subject) -> Iterator[Found]:
    for owner, path, name, value in _variables(subject):
        text = text_of(value)
        named = bool(_NAMES.search(name)) and not _HARMLESS.search(name)
        if text is not None and text and not _is_dynamic(text) and named and not isinstance(value, bool):
            yield owner.id, path, f"{name} stands in the environment in plain text"
        elif text is not None and not named and _looks_secret(text):
            yield owner.id, path, f"{name} holds what looks like a key"
    for database in subject.template.of("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
        password = database.at("MasterUserPassword")
        if password is not None and is_literal(password) and not _is_dynamic(password):
            yield database.id, ("Properties", "MasterUserPassword"), "the password stands in the template"


@rule(
    "HF602",
    "known kind of key",
    why="It is out as soon as the template is: in the console, the repository, the pipeline's log.",
    remedy="withdraw the key now, then put its successor into Secrets Manager",
    source=_SENSITIVE,
)
def _known(subject: Subject) -> Iterator[Found]:
    for resource in subject.template.resources.values():
        for path, text in _texts(resource.body, ()):
            for kind, pattern in _KEYS.items():
                if pattern.search(text[:_TEXT_MOST]) and not _is_dynamic(text):
                    yield resource.id, path, f"{kind} stands here"
                    break


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    stack: list[tuple[Any, Path]] = [(value, path)]
    while stack:
        one, where = stack.pop()
        if isinstance(one, str):
            yield where, one
        elif isinstance(one, Mapping):
            stack.extend((inner, (*where, str(key))) for key, inner in one.items())
        elif isinstance(one, list | tuple):
            stack.extend((inner, (*where, number)) for number, inner in enumerate(one))


@rule(
    "HF603",
    "parameter that shows a secret",
    why="Its value stands in the console and in every answer of DescribeStacks; its default in the template.",
    remedy="pass the ARN of a secret instead; a parameter that has to hold one is NoEcho and has no default",
    source="AWS CloudFormation, NoEcho and dynamic references",
)
def _shown(subject: Subject) -> Iterator[Found]:
    for owner, path, name, value in _variables(subject):
        parameter = subject.template.parameters.get(target_of(value) or "")
        if parameter is None or not _NAMES.search(name) or _HARMLESS.search(name) or _takes_arn(parameter):
            continue
        how = "hides it there, and the task shows it" if is_true(parameter.get("NoEcho")) else "shows it"
        yield owner.id, path, f"the parameter {target_of(value)} {how}"
    for name, parameter in subject.template.parameters.items():
        if parameter.get("Default") and is_true(parameter.get("NoEcho")):
            users = [one for one in subject.template.resources.values() if name in set(references(one.properties))]
            if users:
                yield users[0].id, (), f"the parameter {name} is secret, and has its default in the template"


def _takes_arn(parameter: Mapping[str, Any]) -> bool:
    return "arn" in str(parameter.get("AllowedPattern", "")).lower() or "SSM" in str(parameter.get("Type"))


def _policies(subject: Subject) -> Iterator[tuple[Resource, Path, Mapping[str, Any]]]:
    """Statements that say what somebody may do."""
    for role in subject.template.of("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
        for number, policy in enumerate(list_of(role.at("Policies"))):
            document = mapping_of(mapping_of(policy).get("PolicyDocument"))
            for place, statement in enumerate(list_of(document.get("Statement"))):
                where: Path = ("Properties", "Policies", number, "PolicyDocument", "Statement", place)
                yield role, where, mapping_of(statement)
    for policy in subject.template.of("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        for place, statement in enumerate(list_of(policy.at("PolicyDocument", "Statement"))):
            yield policy, ("Properties", "PolicyDocument", "Statement", place), mapping_of(statement)


@rule(
    "HF604",
    "permission for everything",
    why="Whoever gets into the task owns the account.",
    remedy="name the actions and the resources that the workload needs",
    source=_LEAST,
)
def _everything(subject: Subject) -> Iterator[Found]:
    for owner, path, statement in _policies(subject):
        actions = [str(one) for one in list_of(statement.get("Action"))]
        everywhere = "*" in [text_of(one) for one in list_of(statement.get("Resource"))]
        if statement.get("Effect") != "Allow" or not everywhere:
            continue
        if "*" in actions or (wide := [one for one in actions if one.endswith(":*")]):
            yield (
                owner.id,
                path,
                "allows everything on everything" if "*" in actions else f"allows {wide[0]} everywhere",
            )
        elif any(one.lower() == "iam:passrole" for one in actions) and not statement.get("Condition"):
            yield owner.id, path, "may pass any role on, the administrator's included"
        elif statement.get("NotAction"):
            yield owner.id, path, "allows everything but a few"
    for role in subject.template.of("AWS::IAM::Role"):
        for number, managed in enumerate(list_of(role.at("ManagedPolicyArns"))):
            arn = str(text_of(managed) or mapping_of(managed) or managed)
            for name in ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess"):
                if f"policy/{name}" in arn:
                    yield role.id, ("Properties", "ManagedPolicyArns", number), f"has {name}"


@rule(
    "HF605",
    "role that anybody may take",
    why="A trust in `*` lets every account of AWS take the role.",
    remedy="trust the one service or account, with aws:SourceArn or sts:ExternalId where it acts for others",
    source=_LEAST,
)
def _anybody(subject: Subject) -> Iterator[Found]:
    for role in subject.template.of("AWS::IAM::Role"):
        for number, one in enumerate(list_of(role.at("AssumeRolePolicyDocument", "Statement"))):
            if mapping_of(one).get("Effect") == "Allow" and is_everybody(mapping_of(one)):
                where = ("Properties", "AssumeRolePolicyDocument", "Statement", number)
                yield role.id, where, "everybody may take this role"


_TAKERS: Final = (
    (TASK, ("ExecutionRoleArn",), "ecs-tasks.amazonaws.com"),
    (TASK, ("TaskRoleArn",), "ecs-tasks.amazonaws.com"),
    (EXPRESS, ("ExecutionRoleArn",), "ecs-tasks.amazonaws.com"),
    (EXPRESS, ("TaskRoleArn",), "ecs-tasks.amazonaws.com"),
    (EXPRESS, ("InfrastructureRoleArn",), "ecs.amazonaws.com"),
    ("AWS::Lambda::Function", ("Role",), "lambda.amazonaws.com"),
    ("AWS::Scheduler::Schedule", ("Target", "RoleArn"), "scheduler.amazonaws.com"),
)
"""Who takes the role that a property names."""


@rule(
    "HF606",
    "role that its user may not take",
    why="`Unable to assume role`: tasks do not start, functions cannot be made.",
    remedy="name that service as Principal of the role's AssumeRolePolicyDocument",
    source="Amazon ECS task IAM role; AWS Lambda execution role",
)
def _wrong_service(subject: Subject) -> Iterator[Found]:
    for type, path, service in _TAKERS:
        for user in subject.template.of(type):
            role = subject.template.target(user.at(*path), "AWS::IAM::Role")
            if role is None:
                continue
            trusted = {
                text_of(one)
                for statement in list_of(role.at("AssumeRolePolicyDocument", "Statement"))
                for one in list_of(mapping_of(mapping_of(statement).get("Principal")).get("Service"))
            }
            if service not in trusted and None not in trusted:
                yield user.id, ("Properties", *path), f"{role.id} does not trust {service}"
