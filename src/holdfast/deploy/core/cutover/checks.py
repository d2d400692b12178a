"""Command lines that look, and what they have to say: before, while and after traffic is moved."""

from __future__ import annotations

import math
from shlex import quote
from typing import Final

from holdfast.deploy.core.cutover import changes, metrics
from holdfast.deploy.core.cutover.records import Record
from holdfast.deploy.core.cutover.settings import CutoverRequest, Target
from holdfast.deploy.core.cutover.steps import Check
from holdfast.deploy.core.cutover.verdict import least_errors

FARGATE_QUOTA: Final = "L-3032A538"
"""Fargate On-Demand vCPU resource count."""


def before(request: CutoverRequest) -> tuple[Check, ...]:
    """What has to be there before anything is moved."""
    given, region = request.preflight, request.region
    found = [
        Check(command="aws sts get-caller-identity", expects="the account and role that are meant"),
        Check(
            command=list_records(request),
            expects=f"exactly {said(*changes.start(request))}, and no other type at the name: no CNAME beside it, no"
            " AAAA or HTTPS record that would keep clients behind",
        ),
    ]
    if given.vcpu_new:
        found += _quota(given.vcpu_old + given.vcpu_new, region)
    if given.image:
        found.append(_image(given.image, region))
    found += [
        Check(
            command=f"aws secretsmanager describe-secret --secret-id {quote(secret)} --region {region}"
            " --query '[Name, DeletedDate]'",
            expects="its name and null: it is there, and not on its way out",
        )
        for secret in given.secrets
    ]
    if given.certificate:
        found.append(
            Check(
                command=f"aws acm describe-certificate --certificate-arn {quote(given.certificate)} --region {region}"
                " --query 'Certificate.[Status, SubjectAlternativeNames]'",
                expects=f"ISSUED, for {request.name} or a wildcard above it; anything else, a wait that timed out"
                " included, ends the plan here",
            )
        )
    return tuple(found)


def not_before(request: CutoverRequest) -> list[str]:
    """What :func:`before` does not look at, because the request does not name it."""
    given = request.preflight
    named = {"image": given.image, "certificate": given.certificate, "secrets": given.secrets, "quota": given.vcpu_new}
    return [name for name, value in named.items() if not value]


def _quota(vcpu: float, region: str) -> list[Check]:
    return [
        Check(
            command=f"aws service-quotas get-service-quota --service-code fargate --quota-code {FARGATE_QUOTA}"
            f" --region {region} --query Quota.Value",
            expects=f"at least {vcpu:g} vCPU beside what else the account runs: both sets run at full size at the same"
            " time, for days, so the difference between them is not enough",
        ),
        Check(
            command="aws cloudwatch get-metric-statistics --namespace AWS/Usage --metric-name ResourceCount"
            " --dimensions Name=Service,Value=Fargate Name=Type,Value=Resource Name=Resource,Value=vCPU"
            " Name=Class,Value=Standard/OnDemand --statistics Maximum --period 3600"
            f' --start-time "$(date -u -d -7days +%FT%TZ)" --end-time "$(date -u +%FT%TZ)" --region {region}',
            expects="the highest of the week; the old set is in it if it runs on Fargate",
        ),
    ]


def _image(image: str, region: str) -> Check:
    repository, _, digest = image.partition("@")
    registry, _, name = repository.partition("/")
    if ".dkr.ecr." not in registry:
        return Check(command=f"docker manifest inspect {quote(image)}", expects="exit status 0: the digest is there")
    return Check(
        command=f"aws ecr describe-images --registry-id {registry.split('.')[0]} --repository-name {quote(name)}"
        f" --image-ids imageDigest={digest} --region {region}",
        expects="exit status 0: the digest is there, and no life-cycle rule has taken it",
    )


def dark(request: CutoverRequest) -> tuple[Check, ...]:
    """Whether the new target runs, before anybody is sent to it."""
    of, stack, region = request.target, request.preflight.stack, request.region
    found = []
    if stack:
        found.append(
            Check(
                command=f"aws cloudformation describe-stacks --stack-name {quote(stack)} --region {region}"
                " --query 'Stacks[0].StackStatus'",
                expects="CREATE_COMPLETE or UPDATE_COMPLETE",
            )
        )
    if of.kind != "app-runner" and "/" in of.service:
        cluster, service = of.service.split("/", 1)
        found.append(
            Check(
                command=f"aws ecs wait services-stable --cluster {quote(cluster)} --services {quote(service)}"
                f" --region {region}",
                expects="exit status 0; 255 after ten minutes means no, not later",
            )
        )
    if of.target_group:
        _, name, *_ = of.target_group.split("/")
        found.append(
            Check(
                command='aws elbv2 describe-target-health --target-group-arn "$(aws elbv2 describe-target-groups'
                f" --names {quote(name)} --region {region} --query 'TargetGroups[0].TargetGroupArn' --output text)\""
                f" --region {region} --query 'TargetHealthDescriptions[].TargetHealth.State'",
                expects="healthy, for as many tasks as the old set has capacity for",
            )
        )
    if of.load_balancer and of.kind != "app-runner":
        found.append(_host_rule(request))
    return tuple(found) or (Check(command="", expects="the new target runs at full size"),)


def _host_rule(request: CutoverRequest) -> Check:
    """The rule of the listener for the name: on a shared one the first rule is somebody else's."""
    _, balancer, *_ = request.target.load_balancer.split("/")
    where = f"--region {request.region} --output text"
    arn = (
        f"aws elbv2 describe-load-balancers --names {quote(balancer)} {where}"
        " --query 'LoadBalancers[0].LoadBalancerArn'"
    )
    listener = (
        f'aws elbv2 describe-listeners --load-balancer-arn "$({arn})" {where}'
        " --query 'Listeners[?Port==`443`].ListenerArn'"
    )
    hosts = f'contains(HostHeaderConfig.Values, `"{request.name}"`)'
    return Check(
        command=f'aws elbv2 describe-rules --listener-arn "$({listener})" --region {request.region}'
        f" --query 'Rules[?Conditions[?HostHeaderConfig && {hosts}]].Actions[].TargetGroupArn'",
        expects=f"exactly one, {request.target.target_group or 'of the new target'}: found by its host, for on a shared"
        " listener the first rule is somebody else's",
    )


def trials(request: CutoverRequest, target: Target, *, times: int = 1) -> tuple[Check, ...]:
    """Requests under the real name, through one target; and a stream to its end, where one can be asked for."""
    through = f"--connect-to {request.name}:443:{target.dns}:443"
    url = quote(f"https://{request.name}{request.health_path}")
    one = f"curl --fail --silent --show-error --output /dev/null --max-time 10 {through} {url}"
    loop = f"for i in $(seq {times}); do {one} || exit 1; done" if times > 1 else one
    found = [Check(command=loop, expects=f"exit status 0{f', {times} times' if times > 1 else ''}")]
    if request.stream_path:
        found.append(
            Check(
                command=f"curl --fail --silent --show-error --no-buffer --output /dev/null --max-time"
                f" {int(request.longest) + 30} {through} {quote(f'https://{request.name}{request.stream_path}')}",
                expects=f"exit status 0 after about {request.longest}: the stream ran to its end. A stream that breaks"
                " after its headers is a 200 to every metric",
            )
        )
    return tuple(found)


def watch(request: CutoverRequest, window_s: float) -> Check:
    """Errors and p99 of both targets in the last ``window_s``. GNU ``date``; on macOS write the two moments by hand."""
    sides = (("old", request.source), ("new", request.target))
    blind = [side for side, target in sides if not metrics.watchable(target)]
    command = (
        f"aws cloudwatch get-metric-data --region {request.region} --metric-data-queries file://watch.json"
        f' --start-time "$(date -u -d -{math.ceil(window_s / 60)}min +%FT%TZ)" --end-time "$(date -u +%FT%TZ)"'
    )
    if blind:
        says = (
            f"what CloudWatch calls the {' and '.join(blind)} target is not given: watch its errors and p99 elsewhere"
        )
        return Check(command=command if len(blind) == 1 else "", expects=says)
    return Check(command=command, expects="*_requests, *_errors and *_p99 of both, within the thresholds")


def thresholds(request: CutoverRequest) -> tuple[str, ...]:
    """What means roll back while traffic is moved."""
    limits = request.thresholds
    enough = f"over at least {limits.requests:,} requests"
    found = [
        f"new_errors above old_errors by more than {limits.errors:.2%}, {enough}",
        f"new_p99 above {limits.p99:g} times old_p99, {enough}",
        "of fewer requests, errors that cannot be chance: "
        + ", ".join(f"{least_errors(count, limits)} of {count}" for count in (10, 100) if count < limits.requests),
        "a request of the trial fails",
    ]
    if request.stream_path:
        found.append("a stream of the trial ends early")
    return tuple(found)


def list_records(request: CutoverRequest) -> str:
    """All record sets of the name."""
    return (
        f"aws route53 list-resource-record-sets --hosted-zone-id {request.zone}"
        f" --start-record-name {request.name} --max-items 20 --query \"ResourceRecordSets[?Name=='{request.name}.']\""
    )


def answers(request: CutoverRequest) -> Check:
    """Whether Route 53 itself answers for the name."""
    type = "CNAME" if request.by_cname else request.types[0]
    return Check(
        command=f"aws route53 test-dns-answer --hosted-zone-id {request.zone} --record-name {request.name}"
        f" --record-type {type}",
        expects="NOERROR, with an answer",
    )


def said(*records: Record) -> str:
    """Records in words."""
    return "; ".join(
        f"{record.type} to {record.alias.dns if record.alias else ', '.join(record.values)}"
        + ("" if record.ttl is None else f", TTL {record.ttl}")
        for record in records
    )
