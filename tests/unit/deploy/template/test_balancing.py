"""Load balancers: who comes in, what is waited for, how services are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.build import build
from holdfast.deploy.shell.template.targets import deregistration_s, idle_s
from holdfast.kernel import Duration
from tests.unit.deploy.template import demo
from tests.unit.deploy.template.making import resources

HTTP = {"protocols": ("http/1.1",)}


def made(*placements: Any, **settings: Any) -> dict[str, Any]:
    return {
        title: each["Properties"] for title, each in resources(build(demo.plan(*placements, **settings))[0]).items()
    }


def attributes(properties: dict[str, Any], key: str) -> dict[str, str]:
    return {entry["Key"]: entry["Value"] for entry in properties[key]}


def test_a_task_is_let_go_no_sooner_than_its_longest_stream() -> None:
    spans = [(None, None), (5.0, 600.0), (900.0, 600.0), (None, 86_400.0)]
    workloads = [
        Workload(drain=None if drain is None else Duration(drain), longest=None if most is None else Duration(most))
        for drain, most in spans
    ]
    assert [deregistration_s(workload) for workload in workloads] == [30, 600, 900, 3600]


def test_a_connection_may_be_silent_as_long_as_it_says_or_else_throughout() -> None:
    written = Workload(silence=Duration(90.0), longest=Duration(600.0))
    silent = Workload(longest=Duration(600.0))
    assert [idle_s(each) for each in (written, silent, Workload(), Workload(longest=Duration(1e5)))] == [
        90,
        600,
        60,
        4000,
    ]


def test_services_share_a_load_balancer_that_is_as_patient_as_the_most_patient() -> None:
    patient = demo.generic("chat", "ecs-fargate+alb", silence=Duration(700.0), **HTTP)
    found = made(demo.netpulse(), patient, **demo.SECURE)
    assert attributes(found["PublicBalancer"], "LoadBalancerAttributes")["idle_timeout.timeout_seconds"] == "700"


def test_services_are_told_apart_by_name_and_the_front_door_has_the_domain() -> None:
    found = made(demo.netpulse(), demo.balancer(), **demo.SECURE)
    hosts = {
        title: found[title]["Conditions"][0]["HostHeaderConfig"]["Values"] for title in ("BalancerRule", "NetpulseRule")
    }
    assert hosts == {"BalancerRule": ["ai.example.com"], "NetpulseRule": ["netpulse.ai.example.com"]}
    assert {found[title]["Priority"] for title in hosts} == {1, 2}


def test_with_a_domain_everything_is_tls_and_strangers_get_nothing() -> None:
    found = made(demo.balancer(), **demo.SECURE)
    assert found["PublicBalancerRedirect"]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    listener = found["PublicBalancerListener"]
    assert listener["Protocol"] == "HTTPS"
    assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13")
    assert listener["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    assert found["Certificate"]["SubjectAlternativeNames"] == ["*.ai.example.com"]


def test_a_domain_without_zone_or_certificate_is_refused_before_the_stack_would_wait() -> None:
    with pytest.raises(Invalid, match="needs certificate or hosted_zone"):
        build(demo.plan(demo.balancer(), domain="ai.example.com"))


def test_without_a_domain_services_are_told_apart_by_port() -> None:
    found = made(demo.balancer(), demo.netpulse())
    assert (found["BalancerListener"]["Port"], found["NetpulseListener"]["Port"]) == (80, 8084)


def test_tasks_let_in_their_load_balancer_and_nobody_else() -> None:
    found = made(demo.balancer(), demo.execution_api(), demo.workers(), **demo.SECURE)
    for title, rule in found.items():
        if "Ingress" in title:
            continue  # of a load balancer
        if {"GroupId", "FromPort", "IpProtocol"} <= set(rule) and "DestinationSecurityGroupId" not in rule:
            assert "CidrIp" not in rule, title
    for title in ("BalancerGroup", "ExecutionApiGroup", "ExecutionWorkerGroup"):
        assert "SecurityGroupIngress" not in found[title]


def test_the_health_of_the_balancer_is_asked_on_its_admin_plane_which_no_listener_forwards_to() -> None:
    found = made(demo.balancer(), **demo.SECURE)
    targets = found["BalancerTargets"]
    assert (targets["Port"], targets["HealthCheckPort"], targets["HealthCheckPath"]) == (8080, "8081", "/readyz")
    assert found["BalancerFromBalancer8081"]["FromPort"] == 8081


def test_what_is_private_has_a_load_balancer_without_public_address() -> None:
    found = made(demo.balancer(), demo.execution_api(), **demo.SECURE)
    assert found["PrivateBalancer"]["Scheme"] == "internal"
    assert found["PrivateBalancer"]["Subnets"] == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]
    callers = [each["CidrIp"] for title, each in found.items() if title.startswith("PrivateBalancer80Ingress")]
    assert callers == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def test_grpc_without_tls_is_refused() -> None:
    with pytest.raises(Invalid, match="gRPC needs HTTPS"):
        build(demo.plan(demo.generic("calls", "ecs-fargate+alb", protocols=("grpc",))))


def test_packets_pass_and_idle_connections_live_as_long_as_they_may() -> None:
    found = made(
        demo.generic("mqtt", "ecs-fargate+nlb", protocols=("tcp",), port=1883, silence=Duration(1200.0)),
        demo.generic("dns", "ecs-fargate+nlb", protocols=("udp", "tcp"), port=53),
    )
    assert attributes(found["MqttListener"], "ListenerAttributes") == {"tcp.idle_timeout.seconds": "1200"}
    assert found["DnsListener"]["Protocol"] == "TCP_UDP"
    assert attributes(found["DnsTargets"], "TargetGroupAttributes")["preserve_client_ip.enabled"] == "true"
    assert found["DnsTask"]["ContainerDefinitions"][0]["PortMappings"] == [
        {"ContainerPort": 53, "Protocol": "tcp"},
        {"ContainerPort": 53, "Protocol": "udp"},
    ]


def test_tls_ends_at_the_load_balancer_unless_the_workload_ends_it() -> None:
    found = made(
        demo.generic("plain", "ecs-fargate+nlb", protocols=("tcp",), port=7000),
        demo.generic("sealed", "ecs-fargate+nlb", protocols=("tcp",), port=7443, needs=("tls-passthrough",)),
        **demo.SECURE,
    )
    assert (found["PlainListener"]["Protocol"], found["PlainListener"]["Port"]) == ("TLS", 443)
    assert (found["SealedListener"]["Protocol"], found["SealedListener"]["Port"]) == ("TCP", 7443)


def test_agents_come_in_by_a_port_of_their_own_whose_tls_passes_through() -> None:
    found = made(demo.netpulse_nlb(), demo.agents(), **demo.SECURE)
    assert (found["NetpulseListener"]["Protocol"], found["NetpulseListener"]["Port"]) == ("TLS", 443)
    agents = found["NetpulseAgentsListener"]
    assert (agents["Protocol"], agents["Port"]) == ("TCP", 8094)
    assert len(found["NetpulseService"]["LoadBalancers"]) == 2


def test_a_cut_over_finds_names_zones_and_target_groups_in_the_outputs() -> None:
    outputs = build(demo.everything(**demo.SECURE))[0].template.outputs
    assert {
        "PublicBalancerDns",
        "PublicBalancerZone",
        "PublicBalancerArn",
        "BalancerTargetsArn",
        "BalancerServiceName",
        "ClusterName",
        "GatewayEndpoint",
        "GatewayServiceArn",
        "NetpulseNetworkBalancerDns",
        "NetpulseNetworkBalancerZone",
    } <= set(outputs)


# ---- Express, and names inside the network


def test_express_takes_what_it_takes_and_ecs_makes_the_rest() -> None:
    found = made(demo.gateway(), **demo.SECURE)
    service = found["GatewayService"]
    assert service["HealthCheckPath"] == "/readyz"
    assert service["TaskDefinitionArn"] == {"Ref": "GatewayTask"}
    # With a task definition ECS refuses what stands in it as well.
    assert not {"PrimaryContainer", "Cpu", "Memory", "ExecutionRoleArn", "TaskRoleArn"} & set(service)
    (container,) = found["GatewayTask"]["ContainerDefinitions"]
    assert container["Name"] == "Main"
    assert container["PortMappings"] == [{"Name": "main", "ContainerPort": 8082, "Protocol": "tcp"}]
    assert container["ReadonlyRootFilesystem"] is True
    assert service["ScalingTarget"]["MinTaskCount"] == 1
    assert service["InfrastructureRoleArn"] == {"Fn::GetAtt": ["ExpressInfrastructureRole", "Arn"]}
    assert "PublicBalancer" not in found


def test_express_in_private_subnets_is_private() -> None:
    public, private = (made(demo.gateway(ingress=ingress))["GatewayService"] for ingress in ("public", "private"))
    subnets = [each["NetworkConfiguration"]["Subnets"] for each in (public, private)]
    assert subnets == [
        [{"Ref": "PublicSubnetA"}, {"Ref": "PublicSubnetB"}],
        [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}],
    ]


def test_express_without_nat_starts_through_endpoints_when_it_is_private() -> None:
    private, public = made(demo.gateway(ingress="private")), made(demo.gateway())
    endpoints = {"RegistryEndpoint", "ImagesEndpoint", "LogsEndpoint", "SecretsEndpoint"}
    assert endpoints <= set(private)
    assert not endpoints & set(public)
    assert not endpoints & set(made(demo.gateway(ingress="private"), nat=True))


def test_the_backlog_is_published_wherever_the_api_of_the_queue_stands() -> None:
    api = demo.execution_api()
    on_express = demo.placed("execution-api", "ecs-express", api.workload)
    names = [one["Name"] for one in made(on_express)["ExecutionApiTask"]["ContainerDefinitions"]]
    assert names == ["Main", "execution-api-backlog"]


def test_express_never_goes_below_one_task_and_needs_a_port() -> None:
    with pytest.raises(Invalid, match="is for what answers requests"):
        build(demo.plan(demo.generic("worker", "ecs-express")))


def test_our_services_find_each_other_by_name_and_let_in_who_calls_them() -> None:
    found = made(demo.balancer(), demo.execution_api(), demo.workers(), demo.console(), **demo.SECURE)
    assert found["Names"]["Name"] == "holdfast.internal"
    assert found["ExecutionApiRegistry"]["Name"] == "execution-api"
    assert found["ExecutionWorkerCallsExecutionApi"]["FromPort"] == 8083
    assert found["BalancerCallsConsole"]["SourceSecurityGroupId"] == {"Fn::GetAtt": ["BalancerGroup", "GroupId"]}
    assert "ExecutionWorkerRegistry" not in found
