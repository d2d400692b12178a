"""Faults that no rule was written for: what is found of these says how the rules do with what nobody thought of.

Both lists were written when the rules of their time were finished. ``EARLIER`` is the first: one of its eighteen was
found, rules for its kinds of fault were written since, and it is kept to show that they do what they are for.
``HELD_OUT`` was written before those, and no rule for it. Most are from the provider's troubleshooting pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.drills.deploy_mutations import Fault, Mutation, container, properties
from holdfast.drills.deploy_scene import Template


def _secret_key_misspelt(template: Template) -> None:
    container(template)["Secrets"][0]["ValueFrom"] = {"Fn::Sub": "${DatabaseSecret}:pasword::"}


def _database_lets_in_the_wrong_group(template: Template) -> None:
    entry = properties(template, "DatabaseGroup")["SecurityGroupIngress"][0]
    entry["SourceSecurityGroupId"] = {"Fn::GetAtt": ["BalancerGroup", "GroupId"]}


def _log_group_misspelt(template: Template) -> None:
    container(template)["LogConfiguration"]["Options"]["awslogs-group"] = "/holdfast/ap1"


def _database_subnets_in_one_zone(template: Template) -> None:
    properties(template, "PrivateB")["AvailabilityZone"] = {"Fn::Select": [0, {"Fn::GetAZs": ""}]}


def _public_name_of_an_internal_balancer(template: Template) -> None:
    properties(template, "Balancer")["Scheme"] = "internal"


def _balancer_lets_nobody_in(template: Template) -> None:
    del properties(template, "BalancerGroup")["SecurityGroupIngress"][1]


def _container_check_without_cmd(template: Template) -> None:
    container(template)["HealthCheck"] = {"Command": ["holdfast", "doctor"], "Interval": 10}


def _scaling_of_another_cluster(template: Template) -> None:
    properties(template, "ApiScale")["ResourceId"] = {"Fn::Sub": "service/default/${Api.Name}"}


def _most_below_least(template: Template) -> None:
    properties(template, "ApiScale")["MaxCapacity"] = 1


def _alarm_on_the_address_of_the_queue(template: Template) -> None:
    properties(template, "WorkWaits")["Dimensions"][0]["Value"] = {"Ref": "Queue"}


def _redirect_in_a_circle(template: Template) -> None:
    action = properties(template, "PlainListener")["DefaultActions"][0]
    action["RedirectConfig"] = {"Port": "80", "StatusCode": "HTTP_301"}


def _spot_not_in_the_cluster(template: Template) -> None:
    properties(template, "Cluster")["CapacityProviders"] = ["FARGATE"]


def _launch_type_beside_strategy(template: Template) -> None:
    properties(template, "Worker")["LaunchType"] = "FARGATE"


def _scratch_below_the_least(template: Template) -> None:
    properties(template, "ApiTask")["EphemeralStorage"] = {"SizeInGiB": 10}


def _nothing_may_leave(template: Template) -> None:
    nowhere = {"IpProtocol": "-1", "CidrIp": "127.0.0.1/32"}
    properties(template, "WorkerGroup")["SecurityGroupEgress"] = [nowhere]


def _https_without_certificate(template: Template) -> None:
    del properties(template, "SecureListener")["Certificates"]


def _permission_for_another_timer(template: Template) -> None:
    arn: Any = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/old-probe"}
    properties(template, "ProbeMayBeCalled")["SourceArn"] = arn


def _express_role_without_its_policy(template: Template) -> None:
    del properties(template, "InfrastructureRole")["ManagedPolicyArns"]


_CAUSES: Final[dict[Mutation, str]] = {
    _secret_key_misspelt: "ResourceInitializationError: the secret's JSON has no such key",
    _database_lets_in_the_wrong_group: "the service cannot connect to its database",
    _log_group_misspelt: "the task does not start: its log group does not exist",
    _database_subnets_in_one_zone: "the database cannot be made: its subnets have to be in two zones",
    _public_name_of_an_internal_balancer: "the public name leads to private addresses",
    _balancer_lets_nobody_in: "the load balancer drops every client on 443",
    _container_check_without_cmd: "registering the task fails, or the check never passes: it begins with CMD",
    _scaling_of_another_cluster: "the stack fails: there is no such service to scale",
    _most_below_least: "the stack fails: at most 1 task, at least 2",
    _alarm_on_the_address_of_the_queue: "the alarm never fires: a queue's Ref is its address, not its name",
    _redirect_in_a_circle: "browsers give up: the redirect leads to itself",
    _spot_not_in_the_cluster: "the service cannot be made: its cluster does not have that capacity provider",
    _launch_type_beside_strategy: "the service cannot be made: launch type or strategy, not both",
    _scratch_below_the_least: "registering the task fails: scratch is 21 to 200 GiB",
    _nothing_may_leave: "the image cannot be pulled: the security group lets nothing out",
    _https_without_certificate: "the stack fails: a listener of HTTPS needs a certificate",
    _permission_for_another_timer: "the timer may not call its function: the permission names another",
    _express_role_without_its_policy: "Express cannot make its load balancer: the role allows nothing",
}


def _check_of_a_port_that_nobody_opens(template: Template) -> None:
    properties(template, "ApiTargets")["HealthCheckPort"] = "9090"


def _container_larger_than_its_task(template: Template) -> None:
    container(template)["Memory"] = 4096


def _role_that_machines_may_take(template: Template) -> None:
    statement = properties(template, "TaskRole")["AssumeRolePolicyDocument"]["Statement"][0]
    statement["Principal"] = {"Service": "ec2.amazonaws.com"}


def _two_weights_of_one_name(template: Template) -> None:
    properties(template, "NameBefore")["SetIdentifier"] = "now"


def _alarm_without_a_statistic(template: Template) -> None:
    del properties(template, "WorkWaits")["Statistic"]


def _steps_with_a_hole(template: Template) -> None:
    properties(template, "WorkerSteps")["StepScalingPolicyConfiguration"]["StepAdjustments"] = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 2},
    ]


def _one_minutes(template: Template) -> None:
    properties(template, "ProbeTimer")["ScheduleExpression"] = "rate(1 minutes)"


def _route_before_its_gateway(template: Template) -> None:
    del template["Resources"]["DefaultRoute"]["DependsOn"]


def _certificate_for_another_name(template: Template) -> None:
    certificate = properties(template, "Certificate")
    certificate["DomainName"] = "other.example.com"
    certificate["DomainValidationOptions"][0]["DomainName"] = "other.example.com"


def _waits_for_a_container_that_is_not_there(template: Template) -> None:
    container(template)["DependsOn"] = [{"ContainerName": "migrate", "Condition": "SUCCESS"}]


def _tasks_without_a_way_out(template: Template) -> None:
    network = properties(template, "Worker")["NetworkConfiguration"]["AwsvpcConfiguration"]
    network["Subnets"] = [{"Ref": "PrivateA"}, {"Ref": "PrivateB"}]
    network["AssignPublicIp"] = "DISABLED"


def _public_balancer_in_private_subnets(template: Template) -> None:
    properties(template, "Balancer")["Subnets"] = [{"Ref": "PrivateA"}, {"Ref": "PrivateB"}]


def _group_of_another_network(template: Template) -> None:
    properties(template, "ApiGroup")["VpcId"] = "vpc-0a1b2c3d4e5f67890"


def _execution_role_that_may_not_pull(template: Template) -> None:
    del properties(template, "ExecutionRole")["ManagedPolicyArns"]


def _execution_role_for_another_secret(template: Template) -> None:
    statement = properties(template, "ExecutionRole")["Policies"][0]["PolicyDocument"]["Statement"][0]
    arn = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:old-??????"
    statement["Resource"] = {"Fn::Sub": arn}


def _targets_of_another_layer(template: Template) -> None:
    properties(template, "ApiTargets")["Protocol"] = "TCP"


_CAUSES_HELD_OUT: Final[dict[Mutation, str]] = {
    _check_of_a_port_that_nobody_opens: "every target is unhealthy: nothing listens on 9090",
    _container_larger_than_its_task: "registering the task fails: a container wants more than its task has",
    _role_that_machines_may_take: "the task does not start: ECS may not assume its role",
    _two_weights_of_one_name: "the second record is refused: the set identifier is taken",
    _alarm_without_a_statistic: "the alarm cannot be made: statistic or percentile, one has to be there",
    _steps_with_a_hole: "the policy is refused: there is a gap between its steps",
    _one_minutes: "the timer is refused: one is singular",
    _route_before_its_gateway: "the stack fails now and then: the gateway is not attached yet",
    _certificate_for_another_name: "browsers refuse the name: the certificate is for another",
    _waits_for_a_container_that_is_not_there: "registering the task fails: it has no such container",
    _tasks_without_a_way_out: "the image cannot be pulled: the subnet has no route to anywhere",
    _public_balancer_in_private_subnets: "nobody reaches it: its subnets have no route to the internet",
    _group_of_another_network: "the service cannot be made: group and subnets are of two networks",
    _execution_role_that_may_not_pull: "the task does not start: it may neither pull its image nor write logs",
    _execution_role_for_another_secret: "the task does not start: it may not read the secret that it names",
    _targets_of_another_layer: "the listener is refused: an application load balancer takes no TCP",
}


def _faults(causes: Mapping[Mutation, str]) -> tuple[Fault, ...]:
    return tuple(
        Fault(name=apply.__name__.removeprefix("_").replace("_", "-"), causes=text, apply=apply)
        for apply, text in causes.items()
    )


EARLIER: Final = _faults(_CAUSES)
"""Faults that rules were written for after one of eighteen had been found."""
HELD_OUT: Final = _faults(_CAUSES_HELD_OUT)
"""Faults that no rule was written for."""
