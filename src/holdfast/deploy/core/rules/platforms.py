"""HF8xx: what a platform offers, where, and to whom; functions, timers and queues."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.rules.resolve import Resource, is_literal, list_of, mapping_of, number_of, references, text_of
from holdfast.deploy.core.rules.violation import Found, FoundOnFacts, Subject, rule
from holdfast.deploy.core.rules.workloads import EXPRESS, amount, seconds

_REGION: Final = re.compile(
    r"(af|ap|ca|cn|eu|eusc|il|me|mx|sa|us)(-gov|-iso[a-z]?)?-(north|south|east|west|central|[ns]o?[a-z]+)-\d"
)
_LAMBDA_LONGEST_S: Final = 900.0
_LAMBDA_DEFAULT_S: Final = 3.0
_VISIBILITY_DEFAULT_S: Final = 30.0
_PLATFORMS: Final = {
    "AWS::AppRunner::Service": "app-runner",
    EXPRESS: "ecs-express",
    "AWS::Lambda::WebFunction": "lambda-web-functions",
    "AWS::Lambda::MicrovmImage": "lambda-microvms",
    "AWS::Lambda::Function": "lambda",
    "AWS::Lightsail::Container": "lightsail-containers",
    "AWS::ElasticBeanstalk::Environment": "elastic-beanstalk",
    "AWS::EKS::Cluster": "eks",
}
"""Resource types that stand for a platform of the facts."""
_EXPRESS_KNOWS: Final = frozenset(
    {
        *("Cluster", "Cpu", "ExecutionRoleArn", "HealthCheckPath", "InfrastructureRoleArn", "Memory"),
        *("NetworkConfiguration", "PrimaryContainer", "ScalingTarget", "ServiceName", "Tags", "TaskRoleArn"),
        *("TaskDefinitionArn", "DeploymentConfiguration"),
    }
)


@rule(
    "HF801",
    "unknown region",
    why="The stack cannot be made there, or the price and the limits that were planned with are those of elsewhere.",
    remedy="name a region of AWS, such as eu-central-1",
    source="AWS General Reference, service endpoints",
)
def _unknown_region(subject: Subject) -> Iterator[Found]:
    if not _REGION.fullmatch(subject.region):
        yield next(iter(subject.template.resources)), (), f"{subject.region!r} is no region of AWS"


@rule(
    "HF802",
    "platform that the region does not have",
    why="The stack fails at its first resource of that type.",
    remedy="choose a region that has it, or another platform for this region",
    source="AWS services by region",
)
def _not_offered(subject: Subject) -> Iterator[FoundOnFacts]:
    for type, platform in _PLATFORMS.items():
        fact = subject.fact(platform, "regions")
        if isinstance(fact.value, frozenset) and fact.value and subject.region not in fact.value:
            for resource in subject.template.of(type):
                yield resource.id, (), f"{type} is not offered in {subject.region}", (fact,)


@rule(
    "HF803",
    "certificate or firewall of CloudFront outside us-east-1",
    why="CloudFront looks for both in us-east-1 and nowhere else.",
    remedy="make them in a stack of their own in us-east-1 and pass the ARN on",
    source="Amazon CloudFront, requirements for using SSL/TLS certificates",
)
def _cloudfront(subject: Subject) -> Iterator[Found]:
    for distribution in subject.template.of("AWS::CloudFront::Distribution"):
        config = mapping_of(distribution.at("DistributionConfig"))
        arn = mapping_of(config.get("ViewerCertificate")).get("AcmCertificateArn")
        made = subject.template.target(arn, "AWS::CertificateManager::Certificate") if arn else None
        said = text_of(arn) or ""
        if (made is not None and subject.region != "us-east-1") or (said and ":us-east-1:" not in said):
            where = ("Properties", "DistributionConfig", "ViewerCertificate")
            yield distribution.id, where, f"its certificate is in {subject.region if made else 'another region'}"


@rule(
    "HF804",
    "App Runner for a new customer",
    why="It has been closed to new customers since 2026-04-30: creating the service is refused.",
    remedy="use ECS Express Mode; or, as an existing customer, say so (deploy.account.app_runner_customer: true)",
    source="AWS App Runner availability change",
)
def _app_runner(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("app-runner", "open_to_new_customers")
    closed = subject.at.isoformat() >= "2026-04-30" if not fact.known else fact.value is False
    customer = subject.plan is not None and subject.plan.settings.account.app_runner_customer
    if closed and not customer:
        for service in subject.template.of("AWS::AppRunner::Service"):
            yield service.id, (), "App Runner takes no new customers", (fact,)


@rule(
    "HF805",
    "Express service that cannot be made",
    why="It needs a role for its load balancer and one for its tasks, and offers neither NLB nor listener settings.",
    remedy="give both roles; for what Express does not offer, use AWS::ECS::Service with a load balancer of your own",
    source="AWS::ECS::ExpressGatewayService",
)
def _express(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(EXPRESS):
        own = service.at("TaskDefinitionArn") is not None  # which has the role, and ECS refuses a second one here
        for key in ("InfrastructureRoleArn",) if own else ("InfrastructureRoleArn", "ExecutionRoleArn"):
            if service.at(key) is None:
                yield service.id, ("Properties",), f"has no {key}"
        for key in service.properties:
            if key not in _EXPRESS_KNOWS:
                yield service.id, ("Properties", key), f"Express does not know {key}"


@rule(
    "HF806",
    "function that may not run that long",
    why="Lambda refuses more than 900 s; and a function is cut off at its timeout, 3 s by default.",
    remedy="set Timeout to the longest run, at most 900; longer work belongs on ECS",
    source="AWS Lambda quotas; configure function timeout",
)
def _function(subject: Subject) -> Iterator[FoundOnFacts]:
    fact = subject.fact("lambda", "run_longest")
    most = fact.value if isinstance(fact.value, float | int) else _LAMBDA_LONGEST_S
    for function in subject.template.of("AWS::Lambda::Function", "AWS::Lambda::WebFunction"):
        value = function.at("Timeout")
        timeout = _LAMBDA_DEFAULT_S if value is None else number_of(value)
        longest = seconds(subject, "longest", (function,))
        if timeout is not None and timeout > most:
            yield (
                function.id,
                ("Properties", "Timeout"),
                f"{amount(timeout)} is over the limit of {amount(most)}",
                (fact,),
            )
        elif timeout is not None and timeout < longest:
            said = "3 s by default" if value is None else amount(timeout)
            yield (
                function.id,
                ("Properties",),
                f"the work takes up to {amount(longest)}, and is cut off after {said}",
                (fact,),
            )


@rule(
    "HF807",
    "timer that may not call its function",
    why="The timer fires and nothing happens; only a metric of EventBridge tells.",
    remedy="add an AWS::Lambda::Permission for events.amazonaws.com with the rule's ARN as SourceArn",
    source="Amazon EventBridge, resource-based policies for AWS Lambda",
)
def _timer(subject: Subject) -> Iterator[Found]:
    template = subject.template
    allowed = [
        (template.target(one.at("FunctionName")), text_of(one.at("Principal")))
        for one in template.of("AWS::Lambda::Permission")
    ]
    for event in template.of("AWS::Events::Rule"):
        for number, target in enumerate(list_of(event.at("Targets"))):
            function = template.target(mapping_of(target).get("Arn"), "AWS::Lambda::Function")
            if function is not None and (function, "events.amazonaws.com") not in allowed:
                yield event.id, ("Properties", "Targets", number), f"may not call {function.id}"
    for schedule in template.of("AWS::Scheduler::Schedule"):
        if schedule.at("Target", "RoleArn") is None:
            yield schedule.id, ("Properties", "Target"), "has no role to call its target with"


@rule(
    "HF808",
    "queue that shows a job again too early",
    why="The job is handed to a second worker while the first still works on it.",
    remedy="set VisibilityTimeout above the longest job; six times the timeout of a function that is fed from it",
    source="Amazon SQS, visibility timeout; AWS Lambda, using Lambda with Amazon SQS",
)
def _queue(subject: Subject) -> Iterator[Found]:
    for queue in subject.template.of("AWS::SQS::Queue"):
        value = queue.at("VisibilityTimeout")
        hidden = _VISIBILITY_DEFAULT_S if value is None else number_of(value)
        longest = max(seconds(subject, "longest", (queue,)), *_consumers(subject, queue), 0.0)
        if hidden is not None and hidden < longest:
            text = f"a job is hidden for {amount(hidden)} and takes up to {amount(longest)}"
            yield queue.id, ("Properties", "VisibilityTimeout") if value is not None else ("Properties",), text


def _consumers(subject: Subject, queue: Resource) -> Iterator[float]:
    """Timeouts of the functions that are fed from a queue."""
    yield 0.0
    for mapping in subject.template.of("AWS::Lambda::EventSourceMapping"):
        if queue.id in set(references(mapping.at("EventSourceArn"))):
            function = subject.template.target(mapping.at("FunctionName"), "AWS::Lambda::Function")
            yield (number_of(function.at("Timeout")) or _LAMBDA_DEFAULT_S) if function is not None else 0.0


@rule(
    "HF809",
    "function that anybody may call",
    why="A function URL without IAM or a check of its own answers, and is paid for, whoever calls.",
    remedy="set AuthType to AWS_IAM, or say that it is meant (see how to suppress a rule)",
    source="AWS Lambda, control access to function URLs",
    severity="warning",
)
def _open_url(subject: Subject) -> Iterator[Found]:
    for url in subject.template.of("AWS::Lambda::Url"):
        if is_literal(url.at("AuthType")) and url.at("AuthType") == "NONE":
            yield url.id, ("Properties", "AuthType"), "answers everybody"
