"""What the rules of wiring leave alone: the same thing, written in another sound way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.drills.deploy_mutations import container, properties
from holdfast.drills.deploy_scene import scene
from tests.unit.deploy.core.rules.test_rules import ids

Template = dict[str, Any]
SOUND: list[Callable[[Template], None]] = []


def sound(change: Callable[[Template], None]) -> Callable[[Template], None]:
    SOUND.append(change)
    return change


@sound
def _a_log_group_by_its_name(template: Template) -> None:
    properties(template, "ApiLogs")["LogGroupName"] = "/holdfast/api"
    container(template)["LogConfiguration"]["Options"]["awslogs-group"] = "/holdfast/api"


@sound
def _a_log_group_that_is_made_by_the_driver(template: Template) -> None:
    container(template)["LogConfiguration"]["Options"] |= {"awslogs-group": "new", "awslogs-create-group": "true"}


@sound
def _the_other_key_of_a_secret(template: Template) -> None:
    container(template)["Secrets"].append({"Name": "PGUSER", "ValueFrom": {"Fn::Sub": "${DatabaseSecret}:username::"}})


@sound
def _a_secret_whose_keys_are_not_known(template: Template) -> None:
    del properties(template, "DatabaseSecret")["GenerateSecretString"]
    container(template)["Secrets"][0]["ValueFrom"] = {"Fn::Sub": "${DatabaseSecret}:anything::"}


@sound
def _a_cluster_by_its_name(template: Template) -> None:
    properties(template, "Cluster")["ClusterName"] = "platform"
    properties(template, "ApiScale")["ResourceId"] = {"Fn::Sub": "service/platform/${Api.Name}"}


@sound
def _capacity_by_association(template: Template) -> None:
    del properties(template, "Cluster")["CapacityProviders"]
    template["Resources"]["Capacity"] = {
        "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
        "Properties": {
            "Cluster": {"Ref": "Cluster"},
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
        },
    }


@sound
def _a_timer_by_its_name(template: Template) -> None:
    properties(template, "ProbeTimer")["Name"] = "probe"
    arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/probe"
    properties(template, "ProbeMayBeCalled")["SourceArn"] = {"Fn::Sub": arn}


@sound
def _doors_beside_their_groups(template: Template) -> None:
    for name, rules in (("BalancerGroup", 2), ("DatabaseGroup", 2)):
        entries = properties(template, name).pop("SecurityGroupIngress")
        assert len(entries) == rules
        for number, entry in enumerate(entries):
            body = {"GroupId": {"Fn::GetAtt": [name, "GroupId"]}, **entry}
            template["Resources"][f"{name}{number}"] = {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": body}


@sound
def _a_range_of_ports(template: Template) -> None:
    for entry in properties(template, "BalancerGroup")["SecurityGroupIngress"]:
        entry |= {"FromPort": 1, "ToPort": 1000}


@sound
def _a_database_that_lets_in_a_network(template: Template) -> None:
    entry = properties(template, "DatabaseGroup")["SecurityGroupIngress"][0]
    del entry["SourceSecurityGroupId"]
    entry["CidrIp"] = "10.20.0.0/16"


@sound
def _a_way_out_on_one_port(template: Template) -> None:
    out = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    back = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "10.20.0.0/16"}
    properties(template, "WorkerGroup")["SecurityGroupEgress"] = [back, out]


@sound
def _a_redirect_to_another_host(template: Template) -> None:
    action = properties(template, "PlainListener")["DefaultActions"][0]
    action["RedirectConfig"] = {"Host": "www.example.org", "StatusCode": "HTTP_301"}


@sound
def _a_check_by_a_shell(template: Template) -> None:
    container(template)["HealthCheck"] = {"Command": ["CMD-SHELL", "curl -f localhost:8082/health"]}


@sound
def _more_scratch(template: Template) -> None:
    properties(template, "ApiTask")["EphemeralStorage"] = {"SizeInGiB": 21}


@sound
def _a_policy_beside_its_role(template: Template) -> None:
    role = properties(template, "InfrastructureRole")
    managed = role.pop("ManagedPolicyArns")
    assert managed
    template["Resources"]["InfrastructureMay"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "express",
            "Roles": [{"Ref": "InfrastructureRole"}],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": ["ec2:DescribeVpcs"], "Resource": "*"}],
            },
        },
    }


@sound
def _subnets_by_parameter(template: Template) -> None:
    template["Parameters"] = {"Subnets": {"Type": "List<AWS::EC2::Subnet::Id>"}}
    properties(template, "DatabaseSubnets")["SubnetIds"] = {"Ref": "Subnets"}


@pytest.mark.parametrize("change", SOUND, ids=lambda change: change.__name__.strip("_"))
def test_what_is_sound_in_another_way_raises_no_alarm(change: Callable[[Template], None]) -> None:
    template = scene()
    change(template)
    assert {rule for rule in ids(template) if rule.startswith("HF9")} == set()
