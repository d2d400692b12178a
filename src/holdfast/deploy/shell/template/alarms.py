"""Alarms that mean something: what a client notices, what is about to run out, and what is not there any more.

What missing data means is chosen for each. A metric that is only written when something happens (errors, requests)
is silent when all is well: ``notBreaching``. A metric that is written as long as the thing lives (tasks, a database)
is silent when it is dead: ``breaching``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from troposphere import AccountId, FindInMap, GetAtt, Ref, Select, Split, cloudwatch, sns

from holdfast.deploy.shell.template.database import Database
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Stack

MINUTE_S: Final = 60
ERRORS_PERCENT: Final = 5.0
"""Share of requests that fail; below it one bad client or one bad task out of many would page."""
REQUESTS_LEAST: Final = 20
"""A minute with fewer requests says nothing about a share: one failure in three is not 33 %."""
DATABASE_FREE_BYTES: Final = 2 * 2**30
"""Storage that grows by itself does so below 10 %, and at most every six hours; this little left means it did not."""
DATABASE_CPU_PERCENT: Final = 80.0
CONNECTION_BYTES: Final = 9_531_392
"""RDS allows one connection for so much of the instance's memory."""
CONNECTIONS_SHARE: Final = 0.7
"""Of what RDS allows; it keeps part of the memory for itself, so the limit is lower than the formula says."""
MEMORY_GIB: Final = {
    "db.t4g.micro": 1,
    "db.t4g.small": 2,
    "db.t4g.medium": 4,
    "db.t4g.large": 8,
    "db.m7g.large": 8,
    "db.r7g.large": 16,
}
_TOPIC: Final = "Alarms"


def alarm_topic(stack: Stack) -> Any | None:
    """The topic of this stack that alarms tell, with a subscription by mail; ``None`` when there is nobody to tell.

    It is not encrypted with ``alias/aws/sns``: that key's policy cannot be changed to let CloudWatch use it, and the
    alarms would be lost without a sound. What is said there is the name of an alarm.
    """
    settings, template = stack.plan.settings.template, stack.template
    if not settings.alarm_email:
        return None
    if (found := template.resources.get(_TOPIC)) is not None:
        return found
    topic = template.add_resource(
        sns.Topic(_TOPIC, Subscription=[sns.Subscription(Protocol="email", Endpoint=settings.alarm_email)])
    )
    publishes = {
        "Sid": "AlarmsOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": Ref(topic),
        "Condition": {"StringEquals": {"aws:SourceAccount": AccountId}},
    }
    template.add_resource(
        sns.TopicPolicy(
            logical_id(_TOPIC, "policy"),
            Topics=[Ref(topic)],
            PolicyDocument={"Version": "2012-10-17", "Statement": [publishes]},
        )
    )
    return topic


def task_alarms(stack: Stack, name: str, *, cluster: Any, service: Any, least: int) -> None:
    """Fewer tasks run than ``least``, for five minutes. ``cluster`` and ``service`` are names.

    Every running task reports its CPU once a minute, so the number of samples is the number of tasks: that costs
    nothing, where ``RunningTaskCount`` needs Container Insights. A service that may go to zero has no such alarm.
    """
    if least < 1:
        return
    _alarm(
        stack,
        name,
        "tasks",
        about=f"{name} runs on fewer than {least} tasks",
        namespace="AWS/ECS",
        metric="CPUUtilization",
        dimensions={"ClusterName": cluster, "ServiceName": service},
        statistic="SampleCount",
        below=float(least),
        of=(5, 5),
        missing="breaching",
    )


def load_balancer_alarms(
    stack: Stack, name: str, *, load_balancer: Any, target_group: Any, p99_s: float | None = None
) -> None:
    """Of one service behind an application load balancer; both are full names (``app/...``, ``targetgroup/...``).

    ``p99_s`` is the limit for the time until the service begins to answer; without one there is no such alarm, because
    what a model takes to think says nothing about its gateway.
    """
    both = {"LoadBalancer": load_balancer, "TargetGroup": target_group}
    _error_share(stack, name, both)
    if p99_s is not None:
        _alarm(
            stack,
            name,
            "latency",
            about=f"one request in a hundred to {name} waits longer than {p99_s:g} s for its answer to begin",
            namespace="AWS/ApplicationELB",
            metric="TargetResponseTime",
            dimensions=both,
            statistic="p99",
            above=p99_s,
            of=(4, 5),
            missing="notBreaching",
            # One slow request in a quiet night is not a percentile.
            EvaluateLowSampleCountPercentile="ignore",
        )
    _unhealthy(stack, name, "AWS/ApplicationELB", both)


def express_alarms(stack: Stack, name: str, *, cluster: Any, service: Any, least: int) -> None:
    """Of one service of ECS Express Mode, which makes load balancer and target groups by itself.

    Two versions take turns in its target groups, so errors are counted on the load balancer, with those of the other
    Express services that share it. Its own alarms undo a bad deployment, and tell nobody.
    """
    arn = GetAtt(service, "ServiceArn")  # arn:...:service/CLUSTER/NAME
    task_alarms(stack, name, cluster=cluster, service=Select(2, Split("/", arn)), least=max(1, least))
    balancer = GetAtt(service, "ECSManagedResourceArns.IngressPath.LoadBalancerArn")
    _error_share(stack, name, {"LoadBalancer": Select(1, Split(":loadbalancer/", balancer))})


def front_door_alarm(stack: Stack, *, load_balancer: Any) -> None:
    """Answers that the load balancer had to give itself, once for all services behind it: nobody was there to ask."""
    _alarm(
        stack,
        "front-door",
        "errors",
        about="the load balancer answers 5xx itself: no healthy target, or one that broke off",
        namespace="AWS/ApplicationELB",
        metric="HTTPCode_ELB_5XX_Count",
        dimensions={"LoadBalancer": load_balancer},
        statistic="Sum",
        above=10.0,
        of=(2, 3),
        missing="notBreaching",
    )


def network_load_balancer_alarms(stack: Stack, name: str, *, load_balancer: Any, target_group: Any) -> None:
    """Of one service behind a network load balancer, which knows connections and no requests."""
    _unhealthy(stack, name, "AWS/NetworkELB", {"LoadBalancer": load_balancer, "TargetGroup": target_group})


def queue_age_alarm(
    stack: Stack, name: str, *, namespace: str, metric: str, dimensions: Mapping[str, Any], longest_s: float
) -> None:
    """Work waits longer than it should. A publisher that is silent is an alarm: nobody scales the workers then."""
    _alarm(
        stack,
        name,
        "backlog",
        about=f"work for {name} waits longer than {longest_s:g} s, or nobody says how long it waits",
        namespace=namespace,
        metric=metric,
        dimensions=dimensions,
        statistic="Maximum",
        above=longest_s,
        of=(5, 5),
        missing="breaching",
    )


def database_alarms(stack: Stack, database: Database) -> None:
    """Storage, processor and connections of the database."""
    mapping = "DatabaseConnections"
    if mapping not in stack.template.mappings:
        stack.template.add_mapping(
            mapping,
            {
                size: {"Most": str(int(CONNECTIONS_SHARE * gib * 2**30 / CONNECTION_BYTES))}
                for size, gib in MEMORY_GIB.items()
            },
        )
    one = {"DBInstanceIdentifier": Ref(database.instance)}
    limits: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
        ("storage", "FreeStorageSpace", "less than 2 GiB of storage are left", {"below": float(DATABASE_FREE_BYTES)}),
        ("cpu", "CPUUtilization", "the processor is over 80 % busy", {"above": DATABASE_CPU_PERCENT}),
        (
            "connections",
            "DatabaseConnections",
            "connections run out; find who keeps them, or take a larger class",
            {"above": FindInMap(mapping, Ref("DatabaseClass"), "Most")},
        ),
    )
    for what, metric, about, limit in limits:
        _alarm(
            stack,
            "database",
            what,
            about=f"database: {about}",
            namespace="AWS/RDS",
            metric=metric,
            dimensions=one,
            statistic="Average",
            of=(10, 15) if what == "cpu" else (3, 5),
            missing="breaching",
            **limit,
        )


def function_alarms(stack: Stack, name: str, *, function: Any, every_s: int) -> None:
    """A function that fails, or that nobody calls any more although it should run every ``every_s`` seconds."""
    one = {"FunctionName": function}
    _alarm(
        stack,
        name,
        "errors",
        about=f"{name} failed in three rounds of five",
        namespace="AWS/Lambda",
        metric="Errors",
        dimensions=one,
        statistic="Sum",
        above=0.0,
        of=(3, 5),
        missing="notBreaching",
        period_s=every_s,
    )
    _alarm(
        stack,
        name,
        "rounds",
        about=f"{name} was not called for five rounds: nobody watches from here",
        namespace="AWS/Lambda",
        metric="Invocations",
        dimensions=one,
        statistic="Sum",
        below=1.0,
        of=(5, 5),
        missing="breaching",
        period_s=every_s,
    )


def dead_letters_alarm(stack: Stack, name: str, *, queue: Any) -> None:
    """Something lies in a queue of failures; ``queue`` is its name."""
    _alarm(
        stack,
        name,
        "dead-letters",
        about=f"{name} has failures that nobody has looked at",
        namespace="AWS/SQS",
        metric="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue},
        statistic="Maximum",
        above=0.0,
        of=(1, 1),
        # SQS stops reporting of a queue that was empty and untouched for six hours.
        missing="notBreaching",
        period_s=300,
    )


def _error_share(stack: Stack, name: str, dimensions: Mapping[str, Any]) -> None:
    share = f"IF(FILL(requests, 0) >= {REQUESTS_LEAST}, 100 * FILL(errors, 0) / requests, 0)"
    stack.template.add_resource(
        cloudwatch.Alarm(
            logical_id(name, "errors", "alarm"),
            AlarmDescription=f"more than {ERRORS_PERCENT:g} % of the requests to {name} fail with a 5xx",
            Metrics=[
                _query("errors", "HTTPCode_Target_5XX_Count", dimensions),
                _query("requests", "RequestCount", dimensions),
                cloudwatch.MetricDataQuery(Id="share", Expression=share, Label="5xx, percent", ReturnData=True),
            ],
            ComparisonOperator="GreaterThanThreshold",
            Threshold=ERRORS_PERCENT,
            EvaluationPeriods=3,
            DatapointsToAlarm=2,
            TreatMissingData="notBreaching",
            **_actions(stack),
        )
    )


def _unhealthy(stack: Stack, name: str, namespace: str, dimensions: Mapping[str, Any]) -> None:
    _alarm(
        stack,
        name,
        "unhealthy",
        about=f"a task of {name} fails its health check for five minutes and is not replaced",
        namespace=namespace,
        metric="UnHealthyHostCount",
        dimensions=dimensions,
        statistic="Maximum",
        above=0.0,
        of=(5, 5),
        missing="notBreaching",
    )


def _alarm(
    stack: Stack,
    name: str,
    what: str,
    *,
    about: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, Any],
    statistic: str,
    of: tuple[int, int],
    missing: str,
    above: Any | None = None,
    below: Any | None = None,
    period_s: int = MINUTE_S,
    **more: Any,
) -> None:
    """``of`` is how many of how many periods have to be bad."""
    kind = "ExtendedStatistic" if statistic.startswith("p") else "Statistic"
    stack.template.add_resource(
        cloudwatch.Alarm(
            logical_id(name, what, "alarm"),
            AlarmDescription=about,
            Namespace=namespace,
            MetricName=metric,
            Dimensions=_dimensions(dimensions),
            Period=period_s,
            ComparisonOperator="GreaterThanThreshold" if below is None else "LessThanThreshold",
            Threshold=above if below is None else below,
            EvaluationPeriods=of[1],
            DatapointsToAlarm=of[0],
            TreatMissingData=missing,
            **{kind: statistic},
            **more,
            **_actions(stack),
        )
    )


def _query(name: str, metric: str, dimensions: Mapping[str, Any]) -> Any:
    return cloudwatch.MetricDataQuery(
        Id=name,
        ReturnData=False,
        MetricStat=cloudwatch.MetricStat(
            Metric=cloudwatch.Metric(
                Namespace="AWS/ApplicationELB", MetricName=metric, Dimensions=_dimensions(dimensions)
            ),
            Period=MINUTE_S,
            Stat="Sum",
        ),
    )


def _dimensions(dimensions: Mapping[str, Any]) -> list[Any]:
    return [cloudwatch.MetricDimension(Name=name, Value=value) for name, value in dimensions.items()]


def _actions(stack: Stack) -> dict[str, Any]:
    topic = alarm_topic(stack)
    return {} if topic is None else {"AlarmActions": [Ref(topic)], "OKActions": [Ref(topic)]}
