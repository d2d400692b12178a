"""How many tasks a service has.

What answers requests follows its processor, its memory or its requests (target tracking). What works off a queue
follows the queue, in three parts:

- *wake*: at zero tasks every figure per task is undefined, so a queue that wants a worker while there is none is an
  alarm of its own, on metrics that the queue's API publishes and that therefore exist at zero;
- *grow*: backlog seconds, the time that the tasks there are need for what waits, are held at a target. That figure
  halves when the tasks double, as target tracking presumes; a queue's length does not;
- *shrink*: by as many as the API says are too many. It knows which tasks still run jobs, and waits by itself until
  less was needed for two minutes; target tracking would take tasks away because the queue is empty.
"""

from __future__ import annotations

from typing import Any, Final

from troposphere import GetAtt, Join, Ref, Sub, cloudwatch
from troposphere import applicationautoscaling as scaling

from holdfast.deploy.core.workload import Workload
from holdfast.deploy.shell.backlog_metric import DIMENSION
from holdfast.deploy.shell.template import backlog
from holdfast.deploy.shell.template.cluster import Cluster
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.services import is_scaled, shifts_traffic
from holdfast.deploy.shell.template.stack import Stack
from holdfast.deploy.shell.template.targets import Attachment
from holdfast.deploy.shell.template.tasks import Task

UTILISATION: Final = 60.0
"""Percent of processor or memory: what is left carries the load of a lost zone in three until tasks are there."""
OUT_COOLDOWN_S: Final = 60
IN_COOLDOWN_S: Final = 300
"""Slowly in: a task that goes has to drain first, and may be needed again."""
BACKLOG_S: Final = 10.0
"""Time that work may wait; the default of ``execution.scaling.target_backlog``."""
WAKE_COOLDOWN_S: Final = 120
"""One worker is enough to begin with, and the next alarm must not find it still starting."""
SHRINK_STEPS: Final = ((0, 1, -1), (1, 3, -2), (3, 7, -4), (7, None, -8))
"""Of what is too much beyond the first task: from, to, change. Each takes away no more than are too many."""


def add_scaling(
    stack: Stack, cluster: Cluster, task: Task, service: Any, attachments: tuple[Attachment, ...], *, queue: str
) -> None:
    """Scale a service, if its workload asks for more than a fixed number. ``queue``: whose backlog it works off."""
    workload = task.workload
    if not is_scaled(workload):
        return
    target = stack.template.add_resource(
        scaling.ScalableTarget(
            logical_id(task.name, "scaling"),
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", Ref(cluster.resource), GetAtt(service, "Name")]),
            MinCapacity=0 if workload.scale.to_zero else workload.scale.min,
            MaxCapacity=workload.scale.max,
        )
    )
    if workload.scale.signal == "queue":
        _follow_queue(stack, task, target, queue)
    else:
        _follow_load(stack, task, target, attachments)


def requests_per_minute(workload: Workload) -> int:
    """Of one task, at which its processor is as busy as it should be: what one request costs comes from the spec."""
    cpu_s = max(float(workload.traffic.cpu), 1e-6)
    return max(1, int(UTILISATION / 100 * workload.cpu * 60 / cpu_s))


def _follow_load(stack: Stack, task: Task, target: Any, attachments: tuple[Attachment, ...]) -> None:
    metric, value = _metric(task.workload, attachments)
    stack.template.add_resource(
        scaling.ScalingPolicy(
            logical_id(task.name, "scaling", "policy"),
            PolicyName=f"{task.name}-load",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=Ref(target),
            TargetTrackingScalingPolicyConfiguration=scaling.TargetTrackingScalingPolicyConfiguration(
                TargetValue=value,
                ScaleOutCooldown=OUT_COOLDOWN_S,
                ScaleInCooldown=IN_COOLDOWN_S,
                PredefinedMetricSpecification=metric,
            ),
        )
    )


def _metric(workload: Workload, attachments: tuple[Attachment, ...]) -> tuple[Any, float]:
    behind = [attachment for attachment in attachments if not attachment.network]
    # While traffic shifts between two target groups the requests of one say nothing about the tasks of both.
    if workload.scale.signal in ("requests", "concurrency") and behind and not shifts_traffic(workload):
        label = Sub(
            "${Balancer}/${Targets}",
            Balancer=_full_name(behind[0].load_balancer),
            Targets=GetAtt(behind[0].target_groups[0], "TargetGroupFullName"),
        )
        kind = scaling.PredefinedMetricSpecification(
            PredefinedMetricType="ALBRequestCountPerTarget", ResourceLabel=label
        )
        return kind, float(requests_per_minute(workload))
    name = (
        "ECSServiceAverageMemoryUtilization" if workload.scale.signal == "memory" else "ECSServiceAverageCPUUtilization"
    )
    return scaling.PredefinedMetricSpecification(PredefinedMetricType=name), UTILISATION


def _full_name(balancer: Any) -> Any:
    return GetAtt(balancer.data["Ref"], "LoadBalancerFullName")


def _follow_queue(stack: Stack, task: Task, target: Any, queue: str) -> None:
    name, template = task.name, stack.template
    if task.workload.scale.to_zero:
        wake = _steps(stack, task, target, "wake", ((0, None, 1),), cooldown_s=WAKE_COOLDOWN_S)
        template.add_resource(
            cloudwatch.Alarm(
                logical_id(name, "wake", "alarm"),
                AlarmDescription=f"work waits for {name}, of which there is none",
                Metrics=[
                    *_both(stack, queue),
                    _expression("IF(workers < 1 AND wanted > 0, 1, 0)", "work without a worker"),
                ],
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                Threshold=1,
                EvaluationPeriods=1,
                TreatMissingData="notBreaching",
                AlarmActions=[Ref(wake)],
            )
        )
    template.add_resource(
        scaling.ScalingPolicy(
            logical_id(name, "grow", "policy"),
            PolicyName=f"{name}-grow",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=Ref(target),
            TargetTrackingScalingPolicyConfiguration=scaling.TargetTrackingScalingPolicyConfiguration(
                TargetValue=BACKLOG_S,
                ScaleOutCooldown=OUT_COOLDOWN_S,
                ScaleInCooldown=IN_COOLDOWN_S,
                DisableScaleIn=True,
                CustomizedMetricSpecification=scaling.CustomizedMetricSpecification(
                    Namespace=backlog.namespace(stack),
                    MetricName="BacklogSeconds",
                    Dimensions=[scaling.MetricDimension(Name=DIMENSION, Value=queue)],
                    # Every copy of the API publishes the same figure; a sum would count it twice.
                    Statistic="Maximum",
                    Unit="Seconds",
                ),
            ),
        )
    )
    shrink = _steps(stack, task, target, "shrink", SHRINK_STEPS, cooldown_s=OUT_COOLDOWN_S)
    template.add_resource(
        cloudwatch.Alarm(
            logical_id(name, "shrink", "alarm"),
            AlarmDescription=f"there are more of {name} than are wanted",
            Metrics=[*_both(stack, queue), _expression("workers - wanted", "too many")],
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            Threshold=1,
            EvaluationPeriods=3,
            TreatMissingData="notBreaching",
            AlarmActions=[Ref(shrink)],
        )
    )


def _steps(
    stack: Stack, task: Task, target: Any, kind: str, steps: tuple[tuple[int, int | None, int], ...], *, cooldown_s: int
) -> Any:
    """A policy that an alarm calls; bounds count from the alarm's threshold."""
    return stack.template.add_resource(
        scaling.ScalingPolicy(
            logical_id(task.name, kind, "policy"),
            PolicyName=f"{task.name}-{kind}",
            PolicyType="StepScaling",
            ScalingTargetId=Ref(target),
            StepScalingPolicyConfiguration=scaling.StepScalingPolicyConfiguration(
                AdjustmentType="ChangeInCapacity",
                Cooldown=cooldown_s,
                MetricAggregationType="Maximum",
                StepAdjustments=[
                    scaling.StepAdjustment(
                        MetricIntervalLowerBound=low,
                        ScalingAdjustment=change,
                        **({} if high is None else {"MetricIntervalUpperBound": high}),
                    )
                    for low, high, change in steps
                ],
            ),
        )
    )


def _both(stack: Stack, queue: str) -> list[Any]:
    return [_query(stack, queue, "workers", "Workers"), _query(stack, queue, "wanted", "WantedWorkers")]


def _query(stack: Stack, queue: str, name: str, metric: str) -> Any:
    return cloudwatch.MetricDataQuery(
        Id=name,
        ReturnData=False,
        MetricStat=cloudwatch.MetricStat(
            Metric=cloudwatch.Metric(
                Namespace=backlog.namespace(stack), MetricName=metric, Dimensions=backlog.dimensions(queue)
            ),
            Period=backlog.PERIOD_S,
            Stat="Maximum",
        ),
    )


def _expression(text: str, label: str) -> Any:
    return cloudwatch.MetricDataQuery(Id="decides", Expression=text, Label=label, ReturnData=True)
