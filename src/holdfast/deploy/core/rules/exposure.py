"""HF5xx: who gets in from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.balancing import ingress_of
from holdfast.deploy.core.rules.resolve import (
    Resource,
    is_true,
    list_of,
    mapping_of,
    number_of,
    references,
    target_of,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, Subject, rule
from holdfast.deploy.core.rules.workloads import (
    BALANCER,
    GROUP,
    LISTENER,
    SERVICE,
    balancers_of,
    is_network,
    target_groups,
)

_ANYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_WEB: Final = frozenset({80.0, 443.0})
_GROUPS: Final = "Amazon VPC, security group rules"


def _from_anywhere(entry: Mapping[str, Any]) -> bool:
    # Half of the internet twice (0.0.0.0/1 and 128.0.0.0/1) is the internet.
    for key in ("CidrIp", "CidrIpv6"):
        cidr = text_of(entry.get(key)) or ""
        bits = number_of(cidr.rpartition("/")[2]) if "/" in cidr else None
        if cidr in _ANYWHERE or (bits is not None and bits < 8 and not cidr.startswith(("10.", "f"))):
            return True
    return False


def _used_by(subject: Subject, group: Resource, *types: str) -> list[Resource]:
    keys = ("SecurityGroups", "VPCSecurityGroups", "NetworkConfiguration", "NetworkConfigurations", "VpcConfig")
    return [one for one in subject.template.of(*types) if group.id in set(references([one.at(key) for key in keys]))]


def _ports(entry: Mapping[str, Any]) -> str:
    low, high = text_of(entry.get("FromPort")), text_of(entry.get("ToPort"))
    if text_of(entry.get("IpProtocol")) == "-1" or low is None:
        return "every port"
    return f"port {low}" if low == high else f"ports {low} to {high}"


@rule(
    "HF501",
    "tasks open to the internet",
    why="Whoever finds the address talks to the task itself: past the load balancer, its TLS, its limits and its log.",
    remedy="let in the load balancer's security group instead of an address range; workers need nobody",
    source=_GROUPS,
)
def _open_tasks(subject: Subject) -> Iterator[Found]:
    for group in subject.template.of(GROUP):
        for service in _used_by(subject, group, SERVICE):
            if _behind_network(subject, service):
                continue
            for id, path, entry in ingress_of(subject, group):
                if _from_anywhere(entry):
                    yield id, path, f"anybody may reach {_ports(entry)} of {service.id}"


def _behind_network(subject: Subject, service: Resource) -> bool:
    """A network load balancer without security groups keeps its clients' addresses, so they have to be let in."""
    fronts = [
        balancer
        for _, targets in target_groups(subject.template, service)
        if targets is not None
        for balancer in balancers_of(subject.template, targets)
    ]
    return any(is_network(one) and not one.at("SecurityGroups") for one in fronts)


@rule(
    "HF502",
    "port open to the internet",
    why="0.0.0.0/0 belongs on a load balancer's own ports, 80 and 443. Everything else is found within the hour.",
    remedy="name the security group or the network that has business there; use ECS Exec or Session Manager for shells",
    source=_GROUPS,
)
def _open_ports(subject: Subject) -> Iterator[Found]:
    for group in subject.template.of(GROUP):
        if _used_by(subject, group, SERVICE):
            tasks_only = not _used_by(subject, group, BALANCER)
            if tasks_only:
                continue  # HF501 says it
        balancers = _used_by(subject, group, BALANCER)
        free = any(is_network(one) for one in balancers)
        doors = _WEB | {number_of(one.at("Port")) for one in subject.template.of(LISTENER) if _listens(one, balancers)}
        for id, path, entry in ingress_of(subject, group):
            ports = {number_of(entry.get("FromPort")), number_of(entry.get("ToPort"))}
            web = bool(balancers) and len(ports) == 1 and ports <= doors
            if _from_anywhere(entry) and not web and not free:
                yield id, path, f"anybody may reach {_ports(entry)}"


def _listens(listener: Resource, balancers: list[Resource]) -> bool:
    return target_of(listener.at("LoadBalancerArn")) in {one.id for one in balancers}


@rule(
    "HF503",
    "public address although there is NAT",
    why="The account's tasks are meant to sit behind NAT: a public address goes around it, and costs besides.",
    remedy="set AssignPublicIp to DISABLED and take the private subnets",
    source="Amazon ECS task networking for Fargate",
)
def _public_address(subject: Subject) -> Iterator[Found]:
    planned = subject.plan is not None and subject.plan.settings.account.nat
    for service in subject.template.of(SERVICE):
        network = mapping_of(service.at("NetworkConfiguration", "AwsvpcConfiguration"))
        if network.get("AssignPublicIp") == "ENABLED" and planned:
            where = ("Properties", "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")
            yield service.id, where, "has a public address"


@rule(
    "HF504",
    "database on the internet",
    why="Its port is scanned within minutes, and one weak password is all that is left.",
    remedy="set PubliclyAccessible to false and put it into private subnets",
    source="Amazon RDS, hiding a DB instance in a VPC from the internet",
)
def _public_database(subject: Subject) -> Iterator[Found]:
    for database in subject.template.of("AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::Redshift::Cluster"):
        if is_true(database.at("PubliclyAccessible")):
            yield database.id, ("Properties", "PubliclyAccessible"), "answers on the internet"


@rule(
    "HF505",
    "bucket on the internet",
    why="Everything in it can be read by everybody, what is put there next year included.",
    remedy="block public access, and serve it through CloudFront with origin access control",
    source="Amazon S3, blocking public access",
)
def _public_bucket(subject: Subject) -> Iterator[Found]:
    for bucket in subject.template.of("AWS::S3::Bucket"):
        blocked = mapping_of(bucket.at("PublicAccessBlockConfiguration"))
        keys = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        where = ("Properties", "PublicAccessBlockConfiguration")
        if any(key in blocked and text_of(blocked[key]) == "false" for key in keys) or (
            blocked and not all(is_true(blocked.get(key)) for key in keys)
        ):
            yield bucket.id, where, "does not block all public access"
        if text_of(bucket.at("AccessControl")) in {"PublicRead", "PublicReadWrite", "AuthenticatedRead"}:
            yield bucket.id, ("Properties", "AccessControl"), "is readable by everybody"
    for policy in subject.template.of("AWS::S3::BucketPolicy"):
        for number, one in enumerate(list_of(policy.at("PolicyDocument", "Statement"))):
            statement = mapping_of(one)
            if statement.get("Effect") == "Allow" and is_everybody(statement) and not statement.get("Condition"):
                yield policy.id, ("Properties", "PolicyDocument", "Statement", number), "lets everybody in"


def is_everybody(statement: Mapping[str, Any]) -> bool:
    """Whether a policy's statement is about whoever comes."""
    principal = statement.get("Principal")
    return principal == "*" or "*" in [text_of(one) for one in list_of(mapping_of(principal).get("AWS"))]
