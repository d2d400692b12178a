"""Services: where tasks go, how versions come out, how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.deploy.core.workload import ScaleNeeds, Traffic, Workload
from holdfast.deploy.shell.template.build import build
from holdfast.deploy.shell.template.scaling import SHRINK_STEPS, requests_per_minute
from holdfast.deploy.shell.template.services import grace_s
from holdfast.kernel import Duration
from tests.unit.deploy.template import demo
from tests.unit.deploy.template.making import resources

HTTP = {"protocols": ("http/1.1",)}


def made(*placements: Any, **settings: Any) -> dict[str, Any]:
    return resources(build(demo.plan(*placements, **settings))[0])


def properties(found: dict[str, Any], title: str) -> dict[str, Any]:
    each: dict[str, Any] = found[title]["Properties"]
    return each


def test_no_deployment_takes_a_task_away_before_another_is_well_and_all_roll_back() -> None:
    for service in resources(build(demo.everything())[0], "ECS::Service").values():
        deployment = service["Properties"]["DeploymentConfiguration"]
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize(
    ("rollout", "strategy", "detail"),
    [
        ("canary", "CANARY", {"CanaryConfiguration": {"CanaryPercent": 5.0, "CanaryBakeTimeInMinutes": 5}}),
        ("linear", "LINEAR", {"LinearConfiguration": {"StepPercent": 20.0, "StepBakeTimeInMinutes": 5}}),
        ("blue-green", "BLUE_GREEN", {}),
    ],
)
def test_a_rollout_that_shifts_traffic_has_two_target_groups_a_rule_and_alarms_that_undo_it(
    rollout: str, strategy: str, detail: dict[str, Any]
) -> None:
    found = made(demo.balancer(rollout=rollout), **demo.SECURE)
    deployment = properties(found, "BalancerService")["DeploymentConfiguration"]
    assert deployment["Strategy"] == strategy
    assert deployment.items() >= detail.items()
    assert deployment["Alarms"] == {
        "AlarmNames": [{"Ref": "BalancerAlternateErrorsAlarm"}, {"Ref": "BalancerErrorsAlarm"}],
        "Enable": True,
        "Rollback": True,
    }
    behind = properties(found, "BalancerService")["LoadBalancers"][0]
    assert behind["AdvancedConfiguration"]["AlternateTargetGroupArn"] == {"Ref": "BalancerAlternateTargets"}
    assert behind["AdvancedConfiguration"]["ProductionListenerRule"] == {"Ref": "BalancerRule"}
    weights = properties(found, "BalancerRule")["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert [target["Weight"] for target in weights] == [100, 0]
    assert "ServiceRegistries" not in properties(found, "BalancerService")


def test_spot_has_a_first_task_on_demand_and_its_share_of_the_rest() -> None:
    found = made(demo.dispatcher())
    assert properties(found, "DispatcherService")["CapacityProviderStrategy"] == [
        {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 4},
    ]


@pytest.mark.parametrize(
    ("candidate", "provider"),
    [("ecs-managed-instances", "ManagedInstances"), ("ecs-ec2", "MachineProvider")],
)
def test_sandboxes_stand_on_machines_without_addresses_of_their_own(candidate: str, provider: str) -> None:
    found = made(demo.workers(candidate))
    service = properties(found, "ExecutionWorkerService")
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": {"Ref": provider}, "Weight": 1}]
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert {"Ref": provider} in properties(found, "CapacityProviders")["CapacityProviders"]


def test_machines_keep_their_credentials_from_tasks() -> None:
    machine = properties(made(demo.workers("ecs-ec2")), "Machine")["LaunchTemplateData"]
    assert machine["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "ECS_AWSVPC_BLOCK_IMDS=true" in str(machine["UserData"])


def test_a_count_that_scaling_sets_is_not_in_the_template() -> None:
    found = made(demo.balancer(), demo.netpulse(scale=ScaleNeeds(min=1, max=1)))
    assert "DesiredCount" not in properties(found, "BalancerService")
    assert properties(found, "NetpulseService")["DesiredCount"] == 1


def test_health_does_not_count_for_twice_the_start_and_at_least_a_minute() -> None:
    assert [grace_s(Workload(start=start)) for start in (None, Duration(10.0), Duration(90.0))] == [60, 60, 180]


def test_a_shell_is_opened_only_where_it_is_asked_for() -> None:
    found = made(demo.netpulse(), demo.console(needs=("exec",)))
    assert properties(found, "NetpulseService")["EnableExecuteCommand"] is False
    assert properties(found, "ConsoleService")["EnableExecuteCommand"] is True


def test_a_service_waits_for_its_listener_and_its_way_out() -> None:
    waits = made(demo.balancer())["BalancerService"]["DependsOn"]
    assert {"BalancerRule", "CapacityProviders", "PublicRoute", "PublicSubnetARoutes"} <= set(waits)


# ---- scaling


def test_what_answers_requests_follows_its_processor_unless_told_otherwise() -> None:
    found = made(demo.console(), demo.execution_api())
    cpu = properties(found, "ConsoleScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    assert cpu["PredefinedMetricSpecification"] == {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    requests = properties(found, "ExecutionApiScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    assert requests["PredefinedMetricSpecification"]["PredefinedMetricType"] == "ALBRequestCountPerTarget"


def test_requests_per_task_come_from_what_one_costs() -> None:
    workload = Workload(cpu=0.5, traffic=Traffic(cpu=Duration(0.010)))
    assert requests_per_minute(workload) == 1800  # 60 % of half a processor for a minute, 10 ms each


def test_workers_wake_from_a_metric_that_exists_while_there_are_none() -> None:
    found = made(demo.execution_api(), demo.workers())
    assert properties(found, "ExecutionWorkerScaling")["MinCapacity"] == 0
    alarm = properties(found, "ExecutionWorkerWakeAlarm")
    assert alarm["AlarmActions"] == [{"Ref": "ExecutionWorkerWakePolicy"}]
    metrics = {query["Id"]: query for query in alarm["Metrics"]}
    assert metrics["decides"]["Expression"] == "IF(workers < 1 AND wanted > 0, 1, 0)"
    for name in ("workers", "wanted"):
        published = metrics[name]["MetricStat"]["Metric"]
        assert published["Namespace"] == "holdfast"
        assert published["Dimensions"] == [{"Name": "Queue", "Value": "execution-api"}]


def test_workers_grow_by_backlog_seconds_and_never_shrink_by_them() -> None:
    tracking = properties(made(demo.execution_api(), demo.workers()), "ExecutionWorkerGrowPolicy")
    configuration = tracking["TargetTrackingScalingPolicyConfiguration"]
    assert configuration["TargetValue"] == 10.0
    assert configuration["DisableScaleIn"] is True
    assert configuration["CustomizedMetricSpecification"]["MetricName"] == "BacklogSeconds"


def test_no_step_takes_away_more_workers_than_are_too_many() -> None:
    threshold = 1
    for low, _, change in SHRINK_STEPS:
        assert -change <= low + threshold


def test_workers_that_always_stand_are_not_woken() -> None:
    found = made(demo.workers(scale=ScaleNeeds(min=1, max=3, signal="queue")))
    assert "ExecutionWorkerWakeAlarm" not in found
    assert properties(found, "ExecutionWorkerScaling")["MinCapacity"] == 1
