"""HF2xx: how a service rolls out, scales and is placed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.resolve import (
    Resource,
    is_literal,
    is_true,
    list_of,
    mapping_of,
    number_of,
    references,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, FoundOnFacts, Subject, rule
from holdfast.deploy.core.rules.workloads import (
    EXPRESS,
    LISTENER,
    LISTENER_RULE,
    POLICY,
    SCALABLE,
    SERVICE,
    containers,
    forwards,
    is_service_on_fargate,
    providers,
    scaling_of,
    target_groups,
    task_of,
    tasks_range,
)

_DEPLOYMENT: Final = ("Properties", "DeploymentConfiguration")
_AWSVPC: Final = ("Properties", "NetworkConfiguration", "AwsvpcConfiguration")
_PARAMETERS: Final = "Amazon ECS service definition parameters"
_ASLEEP: Final = frozenset(
    {"ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"}
)
"""Metrics that do not exist, or are divided by nobody, while a service has no tasks."""


def _percentages(service: Resource) -> tuple[float | None, float | None]:
    """Least healthy and most tasks of a deployment in percent; the defaults of a rolling one are 100 and 200."""
    least, most = (service.at("DeploymentConfiguration", key) for key in ("MinimumHealthyPercent", "MaximumPercent"))
    return (100.0 if least is None else number_of(least)), (200.0 if most is None else number_of(most))


def _strategy(service: Resource) -> str:
    return text_of(service.at("DeploymentConfiguration", "Strategy")) or "ROLLING"


@rule(
    "HF201",
    "deployment that may stop everything",
    why="With a minimum of 0 % ECS stops the only task before its successor answers: every deployment is an outage.",
    remedy="set MinimumHealthyPercent to 100 (and MaximumPercent to 200), or run at least two tasks and 50 %",
    source=_PARAMETERS,
)
def _nobody_left(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        least, _ = _percentages(service)
        tasks, _ = tasks_range(subject.template, service)
        if service.at("SchedulingStrategy") == "DAEMON" or least is None or tasks is None:
            continue
        behind = bool(service.at("LoadBalancers"))
        kept = -(-max(tasks, 1.0 if behind else tasks) * least // 100)
        if kept < 1 and (behind or tasks > 0):
            text = f"{least:g} % of {tasks:g} tasks may be left while a version comes out: none"
            yield service.id, (*_DEPLOYMENT, "MinimumHealthyPercent"), text


@rule(
    "HF202",
    "deployment that cannot move",
    why="Nothing may be stopped and nothing may be started: the deployment waits for ever.",
    remedy="raise MaximumPercent to 200, or lower MinimumHealthyPercent where there are two tasks or more",
    source=_PARAMETERS,
)
def _deadlock(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        least, most = _percentages(service)
        tasks, _ = tasks_range(subject.template, service)
        if least is None or most is None or tasks is None or _strategy(service) != "ROLLING":
            continue
        count = max(tasks, 1.0)
        may_stop = count - -(-count * least // 100)
        may_start = count * most // 100 - count
        if may_stop < 1 and may_start < 1 and service.at("SchedulingStrategy") != "DAEMON":
            text = f"of {count:g} tasks none may stop ({least:g} %) and none may start ({most:g} %)"
            yield service.id, _DEPLOYMENT, text


@rule(
    "HF203",
    "no circuit breaker, or one that does not roll back",
    why="A version that cannot start is started again for hours, with the stack waiting; no one takes it back.",
    remedy="set DeploymentCircuitBreaker: {Enable: true, Rollback: true}",
    source="Amazon ECS deployment circuit breaker",
)
def _no_breaker(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        if (service.at("DeploymentController", "Type") or "ECS") != "ECS":
            continue
        breaker = mapping_of(service.at("DeploymentConfiguration", "DeploymentCircuitBreaker"))
        where = (*_DEPLOYMENT, "DeploymentCircuitBreaker")
        if not is_true(breaker.get("Enable")):
            yield service.id, where if breaker else _DEPLOYMENT, "nothing stops a deployment that cannot succeed"
        elif not is_true(breaker.get("Rollback")):
            yield service.id, where, "the breaker opens and leaves the broken version where it is"


@rule(
    "HF204",
    "no grace for health checks",
    why="The load balancer's first failed checks kill tasks that still start, again and again.",
    remedy="set HealthCheckGracePeriodSeconds to the longest start",
    source=_PARAMETERS,
)
def _no_grace(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        grace = service.at("HealthCheckGracePeriodSeconds")
        if service.at("LoadBalancers") and (grace is None or number_of(grace) == 0):
            yield service.id, ("Properties",), "behind a load balancer, and its checks count from the first second"


@rule(
    "HF205",
    "load balancer that names no container of the task",
    why="Creating the service fails, or every connection is refused: nobody listens on that port.",
    remedy="name a container of the task definition and one of its PortMappings",
    source=_PARAMETERS,
)
def _wrong_container(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        task = task_of(subject.template, service)
        if task is None:
            continue
        ports = {
            text_of(container.get("Name")): {
                number_of(mapping_of(one).get("ContainerPort")) for one in list_of(container.get("PortMappings"))
            }
            for _, container in containers(task)
        }
        for number, (entry, _) in enumerate(target_groups(subject.template, service)):
            name, port = text_of(entry.get("ContainerName")), number_of(entry.get("ContainerPort"))
            where = ("Properties", "LoadBalancers", number)
            if name is None or port is None or None in ports:
                continue
            if name not in ports:
                yield service.id, (*where, "ContainerName"), f"{task.id} has no container {name}"
            elif port not in ports[name] and None not in ports[name]:
                yield service.id, (*where, "ContainerPort"), f"container {name} has no port {port:g}"


@rule(
    "HF206",
    "Spot without a fallback",
    why="When Spot has no capacity, every task is gone and none comes back until it has.",
    remedy="add FARGATE to the CapacityProviderStrategy, with a Base or a Weight above 0",
    source="Amazon ECS clusters for Fargate",
)
def _spot_only(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        shares = providers(subject.template, service)
        if shares.get("FARGATE_SPOT") and not any(share for name, share in shares.items() if name != "FARGATE_SPOT"):
            yield service.id, ("Properties", "CapacityProviderStrategy"), "runs on Spot and on nothing else"


@rule(
    "HF207",
    "more than the account's quota",
    why="A deployment runs the old set and the new one at once. Counted by the difference it fits; in truth it stalls.",
    remedy="raise the quota before the deployment, or lower the most tasks of the services that are named",
    source="AWS Fargate service quotas",
)
def _quota(subject: Subject) -> Iterator[FoundOnFacts]:
    quotas = subject.plan.settings.account.quotas if subject.plan is not None else {}
    fact = subject.fact("ecs-fargate", "quota")
    known = quotas.get("ecs-fargate", fact.value if isinstance(fact.value, float | int) else None)
    if known is None:
        return
    used: dict[str, float] = {}
    for service in subject.template.of(SERVICE):
        if not is_service_on_fargate(subject.template, service):
            continue
        task = task_of(subject.template, service)
        cpu = number_of(task.at("Cpu")) if task is not None else None
        most = tasks_range(subject.template, service)[1]
        if cpu is not None and most is not None:
            shares = providers(subject.template, service)
            on_demand = sum(share for name, share in shares.items() if name != "FARGATE_SPOT")
            # Should Spot have nothing to give, its share is asked of on-demand: the whole is counted where both are.
            used[service.id] = cpu / 1024 * most * _sets(service) * (1.0 if on_demand else 0.0)
    for service in subject.template.of(EXPRESS):
        most = number_of(service.at("ScalingTarget", "MaxTaskCount")) or 1.0
        used[service.id] = (number_of(service.at("Cpu")) or 1024.0) / 1024 * most * 2
    total = sum(used.values())
    if used and total > known:
        largest = max(used, key=lambda id: used[id])
        sums = ", ".join(f"{id} {vcpu:g}" for id, vcpu in used.items())
        text = f"at most {total:g} vCPU while versions come out ({sums}), and the account has {known:g}"
        yield largest, ("Properties",), text, () if "ecs-fargate" in quotas else (fact,)


def _sets(service: Resource) -> float:
    """How often a service's tasks are there at the height of a deployment."""
    if _strategy(service) != "ROLLING":
        return 2.0
    return max(1.0, (_percentages(service)[1] or 200.0) / 100)


@rule(
    "HF208",
    "service that is made before its listener",
    why="`The target group does not have an associated load balancer`: the stack rolls back when it comes first.",
    remedy="add DependsOn: the listener or the listener rule that sends to the target group",
    source="AWS CloudFormation, DependsOn attribute; Amazon ECS service load balancing",
)
def _before_listener(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for service in template.of(SERVICE):
        waits = _reachable(subject, service)
        for number, (_, targets) in enumerate(target_groups(template, service)):
            if targets is None:
                continue
            leading = {one.id for one in template.of(LISTENER) if targets in tuple(forwards(template, one))}
            leading |= {
                one.id for one in template.of(LISTENER_RULE) if targets.id in set(references(one.at("Actions")))
            }
            if leading and not leading & waits:
                text = f"does not wait for {' or '.join(sorted(leading))}"
                yield service.id, ("Properties", "LoadBalancers", number), text


def _reachable(subject: Subject, service: Resource) -> set[str]:
    """Everything that is made before a service."""
    found: set[str] = set()
    ahead = [service.id]
    while ahead:
        one = subject.template.resources.get(ahead.pop())
        if one is None or one.id in found:
            continue
        found.add(one.id)
        ahead += [str(id) for id in list_of(one.body.get("DependsOn"))]
        ahead += references(one.properties)
    return found - {service.id}


@rule(
    "HF209",
    "tasks that cannot reach the internet",
    why="`CannotPullContainerError`: without a public address, a NAT gateway or endpoints no image can be fetched.",
    remedy="set AssignPublicIp to ENABLED in public subnets, or route the private ones through NAT or VPC endpoints",
    source="Amazon ECS task networking for Fargate",
)
def _no_way_out(subject: Subject) -> Iterator[Found]:
    template = subject.template
    endpoints = bool(template.of("AWS::EC2::VPCEndpoint"))
    for service in template.of(SERVICE):
        network = mapping_of(service.at("NetworkConfiguration", "AwsvpcConfiguration"))
        subnets = [template.target(one, "AWS::EC2::Subnet") for one in list_of(network.get("Subnets"))]
        if not subnets or None in subnets or endpoints:
            continue
        public = (network.get("AssignPublicIp") or "DISABLED") == "ENABLED"
        ways = {_way_out(subject, one) for one in subnets if one is not None}
        if ways == {"internet"} and not public:
            yield service.id, _AWSVPC, "in public subnets, and without a public address nothing answers it"
        elif "none" in ways:
            yield service.id, _AWSVPC, "its subnets have no route to the internet, and there are no endpoints"


def _way_out(subject: Subject, subnet: Resource) -> str:
    """Where a subnet's default route leads: ``internet``, ``other`` (NAT, transit) or ``none``."""
    template = subject.template
    for association in template.of("AWS::EC2::SubnetRouteTableAssociation"):
        if template.target(association.at("SubnetId")) != subnet:
            continue
        table = template.target(association.at("RouteTableId"))
        for route in template.of("AWS::EC2::Route"):
            if template.target(route.at("RouteTableId")) == table and route.at("DestinationCidrBlock") == "0.0.0.0/0":
                return "internet" if route.at("GatewayId") is not None else "other"
    return "none"


@rule(
    "HF210",
    "count outside of its scaling",
    why="Each deployment sets the count that the template says, and scaling moves it back: a dip or a burst of tasks.",
    remedy="leave DesiredCount out, or keep it between MinCapacity and MaxCapacity",
    source="Amazon ECS service auto scaling",
    severity="warning",
)
def _count_outside(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        scalable, count = scaling_of(subject.template, service), number_of(service.at("DesiredCount"))
        if scalable is None or count is None:
            continue
        least, most = number_of(scalable.at("MinCapacity")), number_of(scalable.at("MaxCapacity"))
        if (least is not None and count < least) or (most is not None and count > most):
            yield service.id, ("Properties", "DesiredCount"), f"{count:g} tasks, and scaling allows {least} to {most}"


@rule(
    "HF211",
    "scaled to zero for ever",
    why="A service without tasks has no CPU, memory or requests per target: nothing ever tells it to wake up.",
    remedy="scale from zero by a metric that exists without tasks, such as the length of the queue",
    source="Application Auto Scaling, target tracking; Amazon ECS service utilization metrics",
)
def _asleep(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for scalable in template.of(SCALABLE):
        if number_of(scalable.at("MinCapacity")) != 0 or scalable.at("ServiceNamespace") not in {None, "ecs"}:
            continue
        policies = [
            one for one in template.of(POLICY) if template.target(one.at("ScalingTargetId"), SCALABLE) == scalable
        ]
        if not any(_wakes(subject, one) for one in policies) and not list_of(scalable.at("ScheduledActions")):
            text = "may go down to no task, and no policy would bring one back"
            yield scalable.id, ("Properties", "MinCapacity"), text


def _wakes(subject: Subject, policy: Resource) -> bool:
    """Whether something can set a policy off while there are no tasks."""
    tracking = mapping_of(policy.at("TargetTrackingScalingPolicyConfiguration"))
    if tracking:
        predefined = mapping_of(tracking.get("PredefinedMetricSpecification")).get("PredefinedMetricType")
        namespace = mapping_of(tracking.get("CustomizedMetricSpecification")).get("Namespace")
        return predefined not in _ASLEEP and namespace not in {"AWS/ECS", "ECS/ContainerInsights"}
    for alarm in subject.template.of("AWS::CloudWatch::Alarm"):
        if policy.id not in set(references(alarm.at("AlarmActions"))):
            continue
        spaces = {alarm.at("Namespace"), *_metric_spaces(alarm.at("Metrics"))} - {None}
        if not spaces or any(str(space) not in {"AWS/ECS", "ECS/ContainerInsights"} for space in spaces):
            return True
    return False


def _metric_spaces(metrics: Any) -> Iterator[Any]:
    for metric in list_of(metrics):
        stat = mapping_of(mapping_of(metric).get("MetricStat"))
        if (space := mapping_of(stat.get("Metric")).get("Namespace")) is not None:
            yield space


@rule(
    "HF212",
    "scaling policy that nothing sets off",
    why="A step policy does nothing of itself: without an alarm that names it, it is never carried out.",
    remedy="name the policy in the AlarmActions (or OKActions) of an alarm",
    source="Application Auto Scaling, step scaling policies",
)
def _idle_policy(subject: Subject) -> Iterator[Found]:
    named = {
        id
        for alarm in subject.template.of("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        for key in ("AlarmActions", "OKActions", "InsufficientDataActions")
        for id in references(alarm.at(key))
    }
    exported = set(references([mapping_of(one) for one in subject.template.outputs.values()]))
    for policy in subject.template.of(POLICY):
        if policy.at("PolicyType") == "StepScaling" and policy.id not in named | exported:
            yield policy.id, ("Properties",), "no alarm carries it out"


@rule(
    "HF213",
    "service in one zone",
    why="The zone fails, and the service with it.",
    remedy="name subnets of at least two availability zones",
    source="AWS Well-Architected Framework, REL10-BP01",
)
def _one_zone(subject: Subject) -> Iterator[Found]:
    for service in subject.template.of(SERVICE):
        subnets = service.at("NetworkConfiguration", "AwsvpcConfiguration", "Subnets")
        if isinstance(subnets, list) and len(subnets) == 1 and isinstance(one := subnets[0], Mapping | str):
            if isinstance(one, Mapping) and not is_literal(one) and _is_list(subject, one):
                continue
            yield service.id, (*_AWSVPC, "Subnets"), "all tasks are in one subnet, hence in one availability zone"


def _is_list(subject: Subject, value: Mapping[str, Any]) -> bool:
    """Whether a reference stands for several values."""
    if set(value) & {"Fn::Split", "Fn::GetAZs", "Fn::If"}:
        return True
    parameter = subject.template.parameters.get(str(value.get("Ref")), {})
    return str(parameter.get("Type", "")).startswith(("List<", "CommaDelimited", "AWS::SSM::Parameter::Value<List"))
