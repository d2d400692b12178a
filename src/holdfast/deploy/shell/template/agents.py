"""Agents that watch from a region: one stack per region, each alone, none reachable from anywhere.

On Lambda an agent sleeps between rounds (:mod:`holdfast.netpulse.shell.agent.function`): EventBridge Scheduler calls
it, it asks the engine what is due, probes, delivers, and is gone. On Fargate it is the process that always runs.

A missed round is not made up for: the next one comes within a minute, and a result of then says nothing of now. So
nothing is retried, by neither Scheduler nor Lambda; what failed is put into a queue, and raises an alarm.
"""

from __future__ import annotations

import math
from typing import Any, Final

from troposphere import Equals, GetAtt, If, NoValue, Output, Parameter, Ref, Template, awslambda, ec2, ecs, sqs
from troposphere import scheduler as schedules

from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import alarms, roles
from holdfast.deploy.shell.template.logs import log_group
from holdfast.deploy.shell.template.secrets import ARN
from holdfast.deploy.shell.template.stack import Stack

IMAGE: Final = r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}"
"""An image of ECR, by digest: a tag may be another image tomorrow."""
ROUND_S: Final = 60
"""Scheduler knows no shorter rate than a minute."""
TIMEOUT_S: Final = 50
"""Of one round, so that the next one never finds it still running."""
MEMORY_MB: Final = 512
"""Processor comes with memory: below this the start takes seconds (1,769 MB are one whole processor)."""
FAILURES_KEPT_S: Final = 4 * 86_400
NAME: Final = "agent"


def agent_stacks(plan: Plan, placement: Placement) -> tuple[Stack, ...]:
    """One stack for each region of the placement.

    Raises :class:`Invalid` for a candidate that no agent is emitted for.
    """
    makers = {"lambda": _on_lambda, "ecs-fargate": _on_fargate}
    if placement.candidate.id not in makers:
        raise Invalid(
            f"deploy.workloads.{placement.name}: templates put agents on {' or '.join(makers)}, "
            f"not on {placement.candidate.id}"
        )
    stacks = []
    for region in placement.regions:
        stack = _stack(plan, placement.name, region)
        makers[placement.candidate.id](stack, placement)
        stacks.append(stack)
    return tuple(stacks)


def _stack(plan: Plan, name: str, region: str) -> Stack:
    prefix = plan.settings.template.name
    summary = f"{prefix}: {name} watches from {region}"
    stack = Stack(
        name=f"{prefix}-{name}-{region}",
        region=region,
        summary=summary,
        template=Template(Description=summary),
        plan=plan,
    )
    stack.template.set_version("2010-09-09")
    for title, about, more in (
        (
            "AgentImage",
            "Image of the agent in a repository of this region, by digest.",
            {"AllowedPattern": f"^{IMAGE}$", "ConstraintDescription": "ACCOUNT.dkr.ecr.REGION...@sha256:DIGEST"},
        ),
        (
            "AgentSecretArn",
            "Secret of this region with the agent's certificate, key and authority as JSON (docs/deploy-templates.md).",
            {"AllowedPattern": f"^{ARN}$"},
        ),
        ("AgentRegion", "Region of netpulse.regions that this agent watches from.", {"Default": region}),
        ("EngineUrl", "Where agents find the engine.", {"AllowedPattern": r"^https://[^\s/]+$"}),
    ):
        stack.template.add_parameter(Parameter(title, Type="String", Description=about, **more))
    return stack


def _environment() -> dict[str, Any]:
    return {
        "HOLDFAST_AGENT_REGION": Ref("AgentRegion"),
        "HOLDFAST_AGENT_SECRET": Ref("AgentSecretArn"),
        "NETPULSE_ENGINE": Ref("EngineUrl"),
    }


# ---------------------------------------------------------------- Lambda


def _on_lambda(stack: Stack, placement: Placement) -> None:
    template = stack.template
    template.add_parameter(
        Parameter(
            "ReserveConcurrency",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="One round at a time. false where the account's limit is so low that nothing can be reserved.",
        )
    )
    template.add_condition("Reserved", Equals(Ref("ReserveConcurrency"), "true"))
    group = log_group(stack, NAME)
    failures = _failures(stack)
    role = roles.function_role(
        stack, NAME, log_group=group, secrets=[Ref("AgentSecretArn")], failures=GetAtt(failures, "Arn")
    )
    every_s = _every_s(placement)
    function = template.add_resource(
        awslambda.Function(
            "Agent",
            Description=f"One round of probes every {every_s // 60} min",
            PackageType="Image",
            Code=awslambda.Code(ImageUri=Ref("AgentImage")),
            Architectures=[placement.workload.architecture or "x86_64"],
            MemorySize=MEMORY_MB,
            Timeout=TIMEOUT_S,
            ReservedConcurrentExecutions=If("Reserved", 1, NoValue),
            Role=GetAtt(role, "Arn"),
            Environment=awslambda.Environment(Variables=_environment()),
            LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(group)),
        )
    )
    template.add_resource(
        awslambda.EventInvokeConfig(
            "AgentCalls",
            FunctionName=Ref(function),
            Qualifier="$LATEST",
            MaximumRetryAttempts=0,
            MaximumEventAgeInSeconds=ROUND_S,
            DestinationConfig=awslambda.DestinationConfig(
                OnFailure=awslambda.OnFailure(Destination=GetAtt(failures, "Arn"))
            ),
        )
    )
    caller = roles.scheduler_role(stack, NAME, function=GetAtt(function, "Arn"), failures=GetAtt(failures, "Arn"))
    minutes = every_s // 60
    template.add_resource(
        schedules.Schedule(
            "AgentRounds",
            Description="Calls the agent",
            ScheduleExpression=f"rate({minutes} minute{'s' if minutes > 1 else ''})",
            FlexibleTimeWindow=schedules.FlexibleTimeWindow(Mode="OFF"),
            Target=schedules.Target(
                Arn=GetAtt(function, "Arn"),
                RoleArn=GetAtt(caller, "Arn"),
                Input="{}",
                RetryPolicy=schedules.RetryPolicy(MaximumRetryAttempts=0, MaximumEventAgeInSeconds=ROUND_S),
                DeadLetterConfig=schedules.DeadLetterConfig(Arn=GetAtt(failures, "Arn")),
            ),
        )
    )
    alarms.function_alarms(stack, NAME, function=Ref(function), every_s=every_s)
    alarms.dead_letters_alarm(stack, NAME, queue=GetAtt(failures, "QueueName"))
    template.add_output(Output("AgentFunction", Value=Ref(function), Description="For `aws lambda invoke`."))


def _every_s(placement: Placement) -> int:
    """Whole minutes, at least one."""
    wanted = placement.workload.schedule
    return ROUND_S * max(1, math.ceil(float(wanted) / ROUND_S)) if wanted is not None else ROUND_S


def _failures(stack: Stack) -> Any:
    queue = stack.template.add_resource(
        sqs.Queue(
            "AgentFailures",
            MessageRetentionPeriod=FAILURES_KEPT_S,
            SqsManagedSseEnabled=True,
            # What lies there is four days old at most, and only ever looked at: nothing to keep when the stack goes.
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
    )
    stack.template.add_resource(
        sqs.QueuePolicy(
            "AgentFailuresPolicy",
            Queues=[Ref(queue)],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sqs:*",
                        "Resource": GetAtt(queue, "Arn"),
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        )
    )
    return queue


# ---------------------------------------------------------------- Fargate


def _on_fargate(stack: Stack, placement: Placement) -> None:
    """A small task that dials out. It needs a way to the internet and nothing else, so the default VPC will do."""
    template = stack.template
    template.add_parameter(
        Parameter("AgentVpc", Type="AWS::EC2::VPC::Id", Description="A VPC of this region; the default one will do.")
    )
    template.add_parameter(
        Parameter(
            "AgentSubnets",
            Type="List<AWS::EC2::Subnet::Id>",
            Description="Public subnets of it: the task gets a public address, and lets nobody in.",
        )
    )
    template.add_parameter(
        Parameter(
            "AgentRepository",
            Type="String",
            AllowedPattern=r"^[a-z0-9][a-z0-9._/-]{1,255}$",
            Description="Name of the repository of AgentImage in this account and region.",
        )
    )
    group = log_group(stack, NAME)
    execution = roles.execution_role(
        stack,
        NAME,
        log_group=group,
        repository=roles.repository_arn(Ref("AgentRepository")),
        secrets=[Ref("AgentSecretArn")],
    )
    role = roles.task_role(stack, NAME)
    outwards = template.add_resource(
        ec2.SecurityGroup(
            "AgentGroup",
            GroupDescription="An agent asks everybody and answers nobody",
            VpcId=Ref("AgentVpc"),
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="0.0.0.0/0", Description="What it watches"),
                ec2.SecurityGroupRule(IpProtocol="-1", CidrIpv6="::/0", Description="What it watches"),
            ],
        )
    )
    cluster = template.add_resource(ecs.Cluster("AgentCluster"))
    environment = _environment()
    del environment["HOLDFAST_AGENT_SECRET"]  # ECS reads it for the task
    arm = placement.workload.architecture == "arm64"
    task = template.add_resource(
        ecs.TaskDefinition(
            "AgentTask",
            RequiresCompatibilities=["FARGATE"],
            NetworkMode="awsvpc",
            Cpu="256",
            Memory="512",
            RuntimePlatform=ecs.RuntimePlatform(
                CpuArchitecture="ARM64" if arm else "X86_64", OperatingSystemFamily="LINUX"
            ),
            ExecutionRoleArn=GetAtt(execution, "Arn"),
            TaskRoleArn=GetAtt(role, "Arn"),
            Volumes=[ecs.Volume(Name="tmp")],
            ContainerDefinitions=[
                ecs.ContainerDefinition(
                    Name=NAME,
                    Image=Ref("AgentImage"),
                    Essential=True,
                    User="10001:10001",
                    ReadonlyRootFilesystem=True,
                    MountPoints=[ecs.MountPoint(SourceVolume="tmp", ContainerPath="/tmp")],  # noqa: S108 - the task's own
                    LinuxParameters=ecs.LinuxParameters(
                        InitProcessEnabled=True, Capabilities=ecs.KernelCapabilities(Drop=["ALL"])
                    ),
                    Command=["run", "agent", "--region", Ref("AgentRegion"), "-c", "/etc/holdfast/holdfast.yaml"],
                    StopTimeout=30,
                    Environment=[ecs.Environment(Name=key, Value=value) for key, value in environment.items()],
                    Secrets=[ecs.Secret(Name="HOLDFAST_AGENT_BUNDLE", ValueFrom=Ref("AgentSecretArn"))],
                    LogConfiguration=ecs.LogConfiguration(
                        LogDriver="awslogs",
                        Options={
                            "awslogs-group": Ref(group),
                            "awslogs-region": Ref("AWS::Region"),
                            "awslogs-stream-prefix": NAME,
                        },
                    ),
                )
            ],
        )
    )
    service = template.add_resource(
        ecs.Service(
            "AgentService",
            Cluster=Ref(cluster),
            TaskDefinition=Ref(task),
            DesiredCount=1,
            LaunchType="FARGATE",
            DeploymentConfiguration=ecs.DeploymentConfiguration(
                # Two agents of one name would be refused: the old one goes first.
                MinimumHealthyPercent=0,
                MaximumPercent=100,
                DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(Enable=True, Rollback=True),
            ),
            NetworkConfiguration=ecs.NetworkConfiguration(
                AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                    AssignPublicIp="ENABLED", SecurityGroups=[GetAtt(outwards, "GroupId")], Subnets=Ref("AgentSubnets")
                )
            ),
            PropagateTags="SERVICE",
        )
    )
    alarms.task_alarms(stack, NAME, cluster=Ref(cluster), service=GetAtt(service, "Name"), least=1)
    template.add_output(
        Output("AgentService", Value=GetAtt(service, "Name"), Description="The service in its cluster.")
    )
