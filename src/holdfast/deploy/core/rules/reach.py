"""HF907 to HF911: who reaches whom, through security groups and subnets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from holdfast.deploy.core.rules.resolve import (
    Resolved,
    Resource,
    is_literal,
    list_of,
    mapping_of,
    number_of,
    references,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, Subject, rule
from holdfast.deploy.core.rules.workloads import BALANCER, GROUP, LISTENER, SERVICE, task_of

_DATABASES: Final = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")
_SECRET: Final = "AWS::SecretsManager::Secret"  # noqa: S105 - a type of resource
_INGRESS: Final = "AWS::EC2::SecurityGroupIngress"
_EGRESS: Final = "AWS::EC2::SecurityGroupEgress"
_GROUPS: Final = ("NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups")
_PORTS: Final = {"postgres": 5432, "aurora-postgresql": 5432, "mysql": 3306, "aurora-mysql": 3306, "mariadb": 3306}


@rule(
    "HF907",
    "load balancer that lets nobody in",
    why="Its listener waits on a port that its security groups drop: every client times out.",
    remedy="allow the listener's port in the load balancer's security group",
    source="Elastic Load Balancing, security groups for your Application Load Balancer",
)
def _closed_door(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for listener in template.of(LISTENER):
        balancer = template.target(listener.at("LoadBalancerArn"), BALANCER)
        port = number_of(listener.at("Port"))
        groups = _groups(template, balancer.at("SecurityGroups")) if balancer is not None else None
        if balancer is None or port is None or not groups:
            continue
        if not any(_covers(entry, port) for entry in _entries(template, groups, "ingress")):
            yield (
                groups[0].id,
                ("Properties", "SecurityGroupIngress"),
                f"{listener.id} listens on {port:g}, and nobody may",
            )


@rule(
    "HF908",
    "database that its service cannot reach",
    why="The service starts and cannot connect: no security group of the database lets one of the service's in.",
    remedy="allow the database's port from the security group of the service",
    source="Amazon RDS, controlling access with security groups",
)
def _unreachable_database(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for database in template.of(*_DATABASES):
        groups = _groups(template, database.at("VPCSecurityGroups") or database.at("VpcSecurityGroupIds"))
        port = number_of(database.at("Port")) or _PORTS.get(str(database.at("Engine")))
        if not groups or port is None:
            continue
        entries = list(_entries(template, groups, "ingress"))
        for service in template.of(SERVICE):
            own = _groups(template, service.at(*_GROUPS))
            if not own or not _uses(template, service, database):
                continue
            if not any(_covers(entry, port) and _lets_in(entry, own) for entry in entries):
                text = f"{service.id} uses {database.id}, and {groups[0].id} lets nothing of it in on {port:g}"
                yield groups[0].id, ("Properties", "SecurityGroupIngress"), text


@rule(
    "HF909",
    "tasks that may not leave",
    why="The image cannot be pulled, nor a secret read, nor a log written: all of it goes over 443.",
    remedy="allow TCP 443 outwards, or leave SecurityGroupEgress out",
    source="Amazon ECS, task networking with awsvpc",
)
def _locked_in(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for service in template.of(SERVICE):
        groups = _groups(template, service.at(*_GROUPS))
        if not groups or not all(one.at("SecurityGroupEgress") is not None for one in groups):
            continue  # a group that says nothing lets everything out
        out = [entry for entry in _entries(template, groups, "egress") if _covers(entry, 443)]
        if not any(_leads_out(entry) for entry in out):
            yield groups[0].id, ("Properties", "SecurityGroupEgress"), f"{service.id} gets nowhere on 443"


@rule(
    "HF910",
    "open to the world and internal",
    why="A name of an internal load balancer leads to private addresses: whoever is to get in from outside cannot.",
    remedy="set Scheme to internet-facing, or allow only your own networks",
    source="Elastic Load Balancing, load balancer scheme",
    severity="warning",
)
def _public_and_internal(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for balancer in template.of(BALANCER):
        groups = _groups(template, balancer.at("SecurityGroups"))
        if balancer.at("Scheme") != "internal" or not groups:
            continue
        if any(text_of(entry.get("CidrIp")) == "0.0.0.0/0" for entry in _entries(template, groups, "ingress")):
            yield (
                balancer.id,
                ("Properties", "Scheme"),
                f"{groups[0].id} lets in the whole internet, which has no way here",
            )


@rule(
    "HF911",
    "subnets in one zone",
    why="It cannot be made: databases and load balancers have to lie in two availability zones at least.",
    remedy="take subnets of two zones: {Fn::Select: [0, ...]} and {Fn::Select: [1, ...]}",
    source="Amazon RDS, working with DB subnet groups; Application Load Balancers, subnets",
)
def _one_zone(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for owner, key in (
        *((one, "SubnetIds") for one in template.of("AWS::RDS::DBSubnetGroup")),
        *((one, "Subnets") for one in template.of(BALANCER) if one.at("Type") != "network"),
    ):
        subnets = [template.target(one, "AWS::EC2::Subnet") for one in list_of(owner.at(key))]
        zones = [json.dumps(one.at("AvailabilityZone"), sort_keys=True) for one in subnets if one is not None]
        if len(zones) == len(subnets) > 0 and "null" not in zones and len(set(zones)) == 1:
            yield owner.id, ("Properties", key), f"all {len(zones)} subnets are in one availability zone"


def _groups(template: Resolved, value: Any) -> list[Resource]:
    """Security groups of the template; empty where one of them is of elsewhere."""
    found = [template.target(one, GROUP) for one in list_of(value)]
    return [one for one in found if one is not None] if all(found) else []


def _entries(template: Resolved, groups: Sequence[Resource], way: str) -> Iterator[Mapping[str, Any]]:
    """Everything that some security groups let in or out, written in them or beside them."""
    key, type = ("SecurityGroupIngress", _INGRESS) if way == "ingress" else ("SecurityGroupEgress", _EGRESS)
    for group in groups:
        yield from (mapping_of(one) for one in list_of(group.at(key)))
    for beside in template.of(type):
        if template.target(beside.at("GroupId"), GROUP) in groups:
            yield beside.properties


def _covers(entry: Mapping[str, Any], port: float) -> bool:
    """Whether an entry is about a port; one that is not known here is."""
    if text_of(entry.get("IpProtocol")) == "-1":
        return True
    first, last = entry.get("FromPort"), entry.get("ToPort")
    if not is_literal(first) or not is_literal(last):
        return True
    low, high = number_of(first), number_of(last)
    return (low is None or low <= port) and (high is None or port <= high)


def _lets_in(entry: Mapping[str, Any], own: Sequence[Resource]) -> bool:
    source = entry.get("SourceSecurityGroupId") or entry.get("SourceSecurityGroupName")
    if source is None:
        return True  # networks: whether the service is in them depends on where its subnets lie
    return not is_literal(source) and any(one.id in set(references(source)) for one in own)


def _leads_out(entry: Mapping[str, Any]) -> bool:
    """Anywhere but to the task itself."""
    network = text_of(entry.get("CidrIp")) or text_of(entry.get("CidrIpv6"))
    if network is None:
        return True
    try:
        return not ip_network(network, strict=False).is_loopback
    except ValueError:
        return True


def _uses(template: Resolved, service: Resource, database: Resource) -> bool:
    """Whether the task of a service names the database, or the secret that is its password."""
    task = task_of(template, service)
    if task is None:
        return False
    named = set(references(list_of(task.at("ContainerDefinitions"))))
    secrets = {
        id
        for id in references(database.properties)
        if id in template.resources and template.resources[id].type == _SECRET
    }
    return database.id in named or bool(named & secrets)
