"""A wiring test against moto.

Is what refers to something really connected to it? In this process, moto makes what it knows of a template.
It lacks much (Express, App Runner, certificates, most of scaling)
and accepts what AWS refuses, so a pass says that the wiring holds and nothing about limits: those are the rules' part.
What was left out is said. Nothing leaves the machine: moto stands in for the HTTP client of botocore itself, and the
credentials exist only inside the call.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from holdfast.deploy.core.rules.resolve import Resolved, Resource, list_of, mapping_of, references, variants
from holdfast.deploy.errors import ToolFailed

_STACK: Final = "smoke"
_ACCOUNT: Final = "123456789012"
"""The account that moto plays."""
_ZONE_TYPES: Final = ("AWS::Route53::RecordSet", "AWS::Route53::RecordSetGroup")
_PSEUDO: Final = frozenset({"AWS::Region", "AWS::AccountId", "AWS::StackName", "AWS::StackId", "AWS::Partition"})
_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """What moto made of a template."""

    made: tuple[str, ...]
    """Logical ids."""
    left_out: tuple[str, ...]
    """``Certificate (AWS::CertificateManager::Certificate)``: what moto does not know."""
    problems: tuple[str, ...]
    """What is not connected, one sentence each."""

    @property
    def passed(self) -> bool:
        """Whether all of what was made is connected."""
        return not self.problems


def smoke_test(template: Mapping[str, Any], *, region: str) -> Smoke:
    """Make what moto can of a template, and look whether its parts find each other.

    It takes seconds and some hundred megabytes. Raises :class:`ToolFailed` where moto is missing,
    :class:`~holdfast.deploy.errors.Invalid` for what is no template.
    """
    try:
        import boto3
        from moto import mock_aws
    except ImportError as error:
        raise ToolFailed(f"the wiring is tested with moto: pip install 'holdfast[deploy]' ({error})") from error
    reading = next(variants(template, region=region))
    supported = _supported()
    keep = {id: one for id, one in reading.resources.items() if one.type in supported}
    left_out = [f"{one.id} ({one.type})" for one in reading.resources.values() if one.type not in supported]
    problems = [
        f"{one.id} refers to {name}, which the template does not have"
        for one in reading.resources.values()
        for name in sorted(set(references(one.properties)))
        if not _is_known(template, name, one)
    ]
    body = {id: _adapted(one, keep) for id, one in keep.items()}
    with patch.dict(os.environ, _CREDENTIALS), _quiet(), mock_aws():
        session = boto3.session.Session(region_name=region)
        _make_zones(session, body)
        _make_certificates(session, body)
        try:
            text = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": body})
            session.client("cloudformation").create_stack(StackName=_STACK, TemplateBody=text)
        except Exception as error:  # noqa: BLE001 - moto raises what its models raise: KeyError as well as ClientError
            problems.append(f"moto does not make it: {type(error).__name__}: {str(error)[:300]}")
            return Smoke(made=(), left_out=tuple(left_out), problems=tuple(problems))
        found = session.client("cloudformation").describe_stack_resources(StackName=_STACK)["StackResources"]
        ids = {one["LogicalResourceId"]: str(one.get("PhysicalResourceId", "")) for one in found}
        kept = Resolved(keep, reading.parameters)
        for look in (_clusters, _roles, _targets, _records):
            problems += look(session, kept, ids)
    return Smoke(made=tuple(sorted(ids)), left_out=tuple(left_out), problems=tuple(problems))


def _supported() -> frozenset[str]:
    """Resource types that moto makes from a template."""
    from moto.cloudformation import parsing

    return frozenset(model.cloudformation_type() for model in parsing.get_model_list())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence: moto warns of each thing that it leaves out, which is in the report."""
    logger = logging.getLogger("moto")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _is_known(template: Mapping[str, Any], name: str, owner: Resource) -> bool:
    declared = {*mapping_of(template.get("Resources")), *mapping_of(template.get("Parameters"))}
    # ``${name}`` inside Fn::Sub may be one of its own variables.
    own = {str(key) for one in _subs(owner.properties) for key in one}
    return name in declared or name in own or name.startswith("AWS::")


def _subs(value: Any) -> Iterator[Mapping[str, Any]]:
    """Variables that each ``Fn::Sub`` defines for itself."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Mapping):
            text = one.get("Fn::Sub")
            if isinstance(text, list | tuple) and len(text) == 2:
                yield mapping_of(text[1])
            stack.extend(one.values())
        elif isinstance(one, list | tuple):
            stack.extend(one)


def _adapted(resource: Resource, keep: Mapping[str, Resource]) -> dict[str, Any]:
    """A resource as moto takes it: no reference to what is left out, one action in the old form, no dynamic secrets."""
    body = {key: value for key, value in resource.body.items() if key in {"Type", "Properties"}}
    waits = [one for one in list_of(resource.body.get("DependsOn")) if one in keep]
    if waits:
        body["DependsOn"] = waits
    plain = _without(body, keep)
    for key in ("DefaultActions", "Actions"):
        for action in list_of(mapping_of(plain.get("Properties")).get(key)):
            groups = list_of(mapping_of(mapping_of(action).get("ForwardConfig")).get("TargetGroups"))
            if len(groups) == 1:
                action["TargetGroupArn"] = mapping_of(groups[0]).get("TargetGroupArn")
                del action["ForwardConfig"]
    return dict(plain)


def _without(value: Any, keep: Mapping[str, Resource]) -> Any:
    if isinstance(value, Mapping):
        gone = [name for name in references(value) if name not in keep and name not in _PSEUDO]
        if len(value) == 1 and next(iter(value)) in {"Ref", "Fn::GetAtt", "Fn::Sub", "Fn::ImportValue"} and gone:
            return f"arn:aws:left-out:us-east-1:{_ACCOUNT}:{gone[0]}"
        return {str(key): _without(inner, keep) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, keep) for inner in value]
    return "looked-up-later" if isinstance(value, str) and value.startswith("{{resolve:") else value


def _make_zones(session: Any, body: Mapping[str, dict[str, Any]]) -> None:
    """Zones that the template expects to be there, and that moto would miss."""
    made: dict[str, str] = {}
    route53 = session.client("route53")
    for entry in body.values():
        if entry["Type"] not in _ZONE_TYPES:
            continue
        properties = entry["Properties"]
        names = [properties, *map(mapping_of, list_of(properties.get("RecordSets")))]
        zone = properties.get("HostedZoneId")
        if isinstance(zone, str):
            if zone not in made:
                name = next((str(one["Name"]) for one in names if isinstance(one.get("Name"), str)), "example.com")
                parent = name.rstrip(".").split(".", 1)[-1]
                answer = route53.create_hosted_zone(Name=parent, CallerReference=zone)
                made[zone] = answer["HostedZone"]["Id"].rpartition("/")[2]
            properties["HostedZoneId"] = made[zone]


def _make_certificates(session: Any, body: Mapping[str, dict[str, Any]]) -> None:
    """Certificates, which moto looks up and cannot make from a template."""
    for entry in body.values():
        for certificate in list_of(entry.get("Properties", {}).get("Certificates")):
            made = session.client("acm").request_certificate(DomainName="example.com")
            certificate["CertificateArn"] = made["CertificateArn"]


def _clusters(session: Any, kept: Resolved, ids: Mapping[str, str]) -> Iterator[str]:
    """Services are in the cluster that they name, and run a task that exists."""
    ecs = session.client("ecs")
    for service in kept.of("AWS::ECS::Service"):
        cluster = kept.target(service.at("Cluster"), "AWS::ECS::Cluster")
        where = ids.get(cluster.id, cluster.id) if cluster is not None else service.at("Cluster") or "default"
        name = ids.get(service.id, "").rpartition("/")[2]
        found = ecs.describe_services(cluster=str(where), services=[name])["services"] if name else []
        if not found:
            yield f"{service.id} is not in cluster {cluster.id if cluster is not None else where}"
            continue
        task = found[0]["taskDefinition"]
        if not ecs.describe_task_definition(taskDefinition=task)["taskDefinition"]["containerDefinitions"]:
            yield f"{service.id} runs a task without containers"


def _roles(session: Any, kept: Resolved, ids: Mapping[str, str]) -> Iterator[str]:
    """Roles that tasks and functions name exist."""
    # moto drops a task's roles when it makes one from a template, so they are looked up where roles are.
    pages = session.client("iam").get_paginator("list_roles").paginate()
    known = {str(one["RoleName"]) for page in pages for one in page["Roles"]}
    for type, keys in (
        ("AWS::ECS::TaskDefinition", ("ExecutionRoleArn", "TaskRoleArn")),
        ("AWS::Lambda::Function", ("Role",)),
    ):
        for user in kept.of(type):
            for key in keys:
                named = set(references(user.at(key))) & kept.resources.keys()
                if any(ids.get(role, "").rpartition("/")[2] not in known for role in named):
                    yield f"{user.id}.{key} names no role of the stack"


def _targets(session: Any, kept: Resolved, ids: Mapping[str, str]) -> Iterator[str]:
    """Listeners send to target groups that exist, on load balancers that exist."""
    elb = session.client("elbv2")
    groups = {one["TargetGroupArn"] for one in elb.describe_target_groups()["TargetGroups"]}
    balancers = {one["LoadBalancerArn"] for one in elb.describe_load_balancers()["LoadBalancers"]}
    for listener in kept.of("AWS::ElasticLoadBalancingV2::Listener"):
        if not (arn := ids.get(listener.id)):
            yield f"{listener.id} was not made"
            continue
        (found,) = elb.describe_listeners(ListenerArns=[arn])["Listeners"]
        if found["LoadBalancerArn"] not in balancers:
            yield f"{listener.id} is on no load balancer"
        for action in found["DefaultActions"]:
            if action["Type"] == "forward" and action.get("TargetGroupArn") not in {*groups, None}:
                yield f"{listener.id} sends to no target group"


def _records(session: Any, kept: Resolved, _ids: Mapping[str, str]) -> Iterator[str]:
    """Names of the template are in their zones."""
    route53 = session.client("route53")
    there = {
        (record["Name"].rstrip("."), record["Type"], record.get("SetIdentifier"))
        for zone in route53.list_hosted_zones()["HostedZones"]
        for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    }
    for record in kept.of("AWS::Route53::RecordSet"):
        name, identifier = record.at("Name"), record.at("SetIdentifier")
        if isinstance(name, str) and (name.rstrip("."), record.at("Type"), identifier) not in there:
            yield f"{record.id} is in no zone: {name} {record.at('Type')}"
