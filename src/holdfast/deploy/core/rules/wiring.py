"""HF901 to HF906: what refers to what, and what its counterpart says of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.resolve import (
    Resolved,
    Resource,
    list_of,
    mapping_of,
    references,
    target_of,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, Subject, rule
from holdfast.deploy.core.rules.workloads import (
    BALANCER,
    EXPRESS,
    SCALABLE,
    SERVICE,
    TASK,
    containers,
)

_SECRET: Final = "AWS::SecretsManager::Secret"  # noqa: S105 - a type of resource
_LOGS: Final = "AWS::Logs::LogGroup"
_CLUSTER: Final = "AWS::ECS::Cluster"
_ASSOCIATIONS: Final = "AWS::ECS::ClusterCapacityProviderAssociations"
_TIMER: Final = "AWS::Events::Rule"
_OWN_PROVIDERS: Final = frozenset({"FARGATE", "FARGATE_SPOT"})
_NAMED_BY: Final = {
    "QueueName": ("AWS::SQS::Queue", "QueueName", "its address"),
    "LoadBalancer": (BALANCER, "LoadBalancerFullName", "its ARN"),
    "TargetGroup": ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupFullName", "its ARN"),
    "ServiceName": (SERVICE, "Name", "its ARN"),
}
"""Dimension of a metric -> type, attribute that gives its value, what a plain reference gives instead."""
_KEY: Final = re.compile(r"\$\{([A-Za-z0-9]+)\}:([^:]+):")


@rule(
    "HF901",
    "log group that nobody makes",
    why="The task does not start: awslogs writes into a group that is there, and makes none by itself.",
    remedy="refer to the log group of the template ({Ref: Logs}), or set awslogs-create-group",
    source="Amazon ECS, using the awslogs log driver",
)
def _no_log_group(subject: Subject) -> Iterator[Found]:
    template = subject.template
    made = {text_of(one.at("LogGroupName")) for one in template.of(_LOGS)}
    if not made:
        return
    for task in template.of(TASK):
        for number, container in containers(task):
            logging = mapping_of(container.get("LogConfiguration"))
            options = mapping_of(logging.get("Options"))
            group = text_of(options.get("awslogs-group"))
            creates = text_of(options.get("awslogs-create-group")) == "true"
            if group is not None and group not in made and not creates:
                where = ("Properties", "ContainerDefinitions", number, "LogConfiguration", "Options", "awslogs-group")
                yield task.id, where, f"{group} is none of the log groups that the template makes"


@rule(
    "HF902",
    "key that the secret does not have",
    why="The task fails with ResourceInitializationError: a key is taken out of the secret's JSON before it starts.",
    remedy="name a key of SecretStringTemplate, or its GenerateStringKey",
    source="Amazon ECS, pass Secrets Manager secrets to a container",
)
def _no_such_key(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for task in template.of(TASK):
        for number, container in containers(task):
            for place, entry in enumerate(list_of(container.get("Secrets"))):
                value = mapping_of(entry).get("ValueFrom")
                found = _KEY.match(_sub(value))
                secret = template.resources.get(found[1]) if found else None
                if found is None or secret is None or secret.type != _SECRET:
                    continue
                known = _keys(secret)
                if known and found[2] not in known:
                    where = ("Properties", "ContainerDefinitions", number, "Secrets", place, "ValueFrom")
                    yield task.id, where, f"{secret.id} has {', '.join(sorted(known))}, and no {found[2]}"


def _sub(value: Any) -> str:
    """Text of an ``Fn::Sub``; empty for anything else."""
    inner = value.get("Fn::Sub") if isinstance(value, Mapping) else None
    if isinstance(inner, list | tuple):
        inner = inner[0] if inner else None
    return inner if isinstance(inner, str) else ""


def _keys(secret: Resource) -> set[str]:
    """Keys of a secret that is generated; none where they are not known."""
    generated = mapping_of(secret.at("GenerateSecretString"))
    try:
        told = json.loads(text_of(generated.get("SecretStringTemplate")) or "")
    except ValueError:
        return set()
    key = text_of(generated.get("GenerateStringKey"))
    return {*told, key} if isinstance(told, dict) and key else set()


@rule(
    "HF903",
    "dimension of a metric that is another's name",
    why="The alarm watches a metric that nobody sends: it never fires, and what it should wake sleeps on.",
    remedy="take the attribute that CloudWatch uses: QueueName, LoadBalancerFullName, TargetGroupFullName, Name",
    source="AWS::CloudWatch::Alarm; AWS services that publish CloudWatch metrics",
)
def _wrong_dimension(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for alarm in template.of("AWS::CloudWatch::Alarm"):
        for number, entry in enumerate(list_of(alarm.at("Dimensions"))):
            name, value = str(mapping_of(entry).get("Name")), mapping_of(entry).get("Value")
            wanted = _NAMED_BY.get(name)
            if wanted is None or not isinstance(value, Mapping) or "Ref" not in value:
                continue
            type, attribute, instead = wanted
            if template.target(value, type) is not None:
                text = f"{name} is {instead}; its name is the attribute {attribute}"
                yield alarm.id, ("Properties", "Dimensions", number, "Value"), text


@rule(
    "HF904",
    "scaling of a service of another cluster",
    why="Creating the scalable target fails: in that cluster there is no such service.",
    remedy="build ResourceId from the service's own cluster: service/${Cluster}/${Service.Name}",
    source="Application Auto Scaling, RegisterScalableTarget",
)
def _other_cluster(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for scalable in template.of(SCALABLE):
        service = template.target(_only(scalable.at("ResourceId"), template, SERVICE, EXPRESS), SERVICE, EXPRESS)
        cluster = template.target(service.at("Cluster"), _CLUSTER) if service is not None else None
        if cluster is not None and cluster.id not in set(references(scalable.at("ResourceId"))):
            named = text_of(cluster.at("ClusterName"))
            if named is None or named not in _sub(scalable.at("ResourceId")).split("/"):
                where = ("Properties", "ResourceId")
                yield (
                    scalable.id,
                    where,
                    f"{service.id if service else ''} runs in {cluster.id}, which it does not name",
                )


def _only(value: Any, template: Resolved, *types: str) -> Any:
    """The reference in a value to a resource of these types."""
    for id in references(value):
        if id in template.resources and template.resources[id].type in types:
            return {"Ref": id}
    return None


@rule(
    "HF905",
    "capacity provider that the cluster does not have",
    why="Creating the service fails: a strategy may name only what the cluster has.",
    remedy="add it to CapacityProviders of the cluster, or to its association",
    source="Amazon ECS capacity providers",
)
def _no_such_provider(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for service in template.of(SERVICE):
        cluster = template.target(service.at("Cluster"), _CLUSTER)
        if cluster is None:
            continue
        associated = [one for one in template.of(_ASSOCIATIONS) if template.target(one.at("Cluster")) == cluster]
        lists = [cluster.at("CapacityProviders"), *(one.at("CapacityProviders") for one in associated)]
        there = {text_of(one) for each in lists for one in list_of(each)}
        if not there or None in there:
            continue  # it has none, or some that are known only when it is made
        for number, entry in enumerate(list_of(service.at("CapacityProviderStrategy"))):
            named = text_of(mapping_of(entry).get("CapacityProvider"))
            if named in _OWN_PROVIDERS - there:
                where = ("Properties", "CapacityProviderStrategy", number, "CapacityProvider")
                yield service.id, where, f"{cluster.id} has {', '.join(sorted(map(str, there)))}, and no {named}"


@rule(
    "HF906",
    "permission for another timer",
    why="The timer fires and may not call: the permission is for the events of a rule that is not this one.",
    remedy="give the ARN of the rule that has the function as its target as SourceArn",
    source="Amazon EventBridge, resource-based policies for AWS Lambda",
)
def _other_timer(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for permission in template.of("AWS::Lambda::Permission"):
        source, function = permission.at("SourceArn"), target_of(permission.at("FunctionName"))
        if permission.at("Principal") != "events.amazonaws.com" or source is None or function is None:
            continue
        timers = [
            one
            for one in template.of(_TIMER)
            if any(function in references(mapping_of(each).get("Arn")) for each in list_of(one.at("Targets")))
        ]
        told = {*references(source), *_sub(source).split("/")[1:], *(text_of(source) or "").split("/")[1:]}
        if timers and not any(one.id in told or text_of(one.at("Name")) in told for one in timers):
            names = ", ".join(one.id for one in timers)
            yield permission.id, ("Properties", "SourceArn"), f"{function} is called by {names}, which it does not name"
