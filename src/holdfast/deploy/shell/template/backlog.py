"""The backlog of a queue as metrics of CloudWatch: who publishes them, and how scaling refers to them."""

from __future__ import annotations

from typing import Any, Final

from troposphere import Ref, cloudwatch, ecs

from holdfast.deploy.shell.backlog_metric import DIMENSION
from holdfast.deploy.shell.template.ours import SERVICES
from holdfast.deploy.shell.template.secrets import Secret
from holdfast.deploy.shell.template.stack import Stack

PERIOD_S: Final = 10
"""Of the alarms that scale workers: the publisher is as fast."""
_USER: Final = "10001:10001"


def namespace(stack: Stack) -> str:
    """Of the metrics: the prefix of all stacks, so that it is known before any of them is made."""
    return stack.plan.settings.template.name


def dimensions(queue: str) -> list[Any]:
    """That tell one queue from another."""
    return [cloudwatch.MetricDimension(Name=DIMENSION, Value=queue)]


def backlog_container(stack: Stack, name: str, *, image: Any, key: Secret, logs: Any) -> Any:
    """The sidecar that publishes. If it ends it is started again; the API goes on without it."""
    port = SERVICES["execution-api"].port
    return ecs.ContainerDefinition(
        Name=f"{name}-backlog",
        Image=image,
        Essential=False,
        RestartPolicy=ecs.RestartPolicy(Enabled=True, RestartAttemptPeriod=60),
        EntryPoint=["python3", "-m", "holdfast.deploy.shell.backlog_metric"],
        Environment=[
            ecs.Environment(Name="NAMESPACE", Value=namespace(stack)),
            ecs.Environment(Name="QUEUE", Value=name),
            ecs.Environment(Name="SCALING_URL", Value=f"http://127.0.0.1:{port}/v1/scaling"),
        ],
        Secrets=[ecs.Secret(Name="SCALING_KEY", ValueFrom=key.value_from)],
        LogConfiguration=ecs.LogConfiguration(
            LogDriver="awslogs",
            Options={
                "awslogs-group": Ref(logs),
                "awslogs-region": Ref("AWS::Region"),
                "awslogs-stream-prefix": "backlog",
                "mode": "non-blocking",
                "max-buffer-size": "1m",
            },
        ),
        User=_USER,
        ReadonlyRootFilesystem=True,
        LinuxParameters=ecs.LinuxParameters(InitProcessEnabled=True, Capabilities=ecs.KernelCapabilities(Drop=["ALL"])),
        StopTimeout=10,
    )
