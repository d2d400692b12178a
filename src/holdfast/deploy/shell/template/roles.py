"""IAM roles: each may do what one service does, on what is its own, and nothing else.

- No action has a wildcard. One resource is ``*``: ``ecr:GetAuthorizationToken`` knows no other.
- Services that say on whose behalf they assume a role (ECS tasks, EventBridge Scheduler) must say this account, so
  that nobody borrows them against us (``aws:SourceAccount``). Where AWS documents no such key for a principal
  (Lambda's execution role, the infrastructure role of ECS) a condition would lock the service out; there is none.
- A task role is made for every service, also for one that may do nothing: a task without a role of its own would be
  one edit away from sharing somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from troposphere import AccountId, GetAtt, Ref, Sub, iam

from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Stack

Statement: TypeAlias = Mapping[str, Any]
"""Of an IAM policy, as JSON has it; values may be CloudFormation functions."""

_VERSION: Final = "2012-10-17"
"""Of IAM's policy language; the newest there is."""


def allow(*actions: str, on: Any, when: Mapping[str, Any] | None = None) -> Statement:
    """One statement. ``on`` is an ARN or a list of them, ``when`` its conditions."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return statement if when is None else {**statement, "Condition": when}


def execution_role(
    stack: Stack, name: str, *, log_group: Any, repository: Any | None = None, secrets: Sequence[Any] = ()
) -> Any:
    """What ECS itself needs to start a task: pull the image, read the task's secrets, write its log.

    ``repository`` is the ARN of an ECR repository; without one the image is public. ``secrets`` are the ARNs that the
    task definition names and no others: whoever can start a task with this role could read everything that it can.
    The source is the developer guide's *task execution role*, narrowed: the managed policy
    ``AmazonECSTaskExecutionRolePolicy`` reads every repository and writes every log group of the account.
    """
    statements = [_writes(log_group)]
    if repository is not None:
        statements += [
            allow("ecr:GetAuthorizationToken", on="*"),
            allow("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", on=repository),
        ]
    if secrets:
        statements.append(_reads(secrets))
    return _role(stack, logical_id(name, "execution", "role"), _tasks_of_ecs(), statements)


def task_role(stack: Stack, name: str, *, statements: Sequence[Statement] = (), exec_: bool = False) -> Any:
    """What the service's own code may do; by default nothing. ``exec_`` lets an operator open a shell in the task."""
    allowed = list(statements)
    if exec_:
        # Session Manager's channels belong to a session that does not exist yet, so they cannot be named.
        allowed.append(
            allow(
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
                on="*",
            )
        )
    return _role(stack, logical_id(name, "task", "role"), _tasks_of_ecs(), allowed)


def publishes_metrics(namespace: str) -> Statement:
    """Publish metrics of one namespace. The action knows no resources, so the condition is what binds it."""
    return allow("cloudwatch:PutMetricData", on="*", when={"StringEquals": {"cloudwatch:namespace": namespace}})


def express_role(stack: Stack) -> Any:
    """The infrastructure role of ECS Express Mode: load balancer, certificate, security groups, scaling."""
    return _infrastructure(stack, "express", "AmazonECSInfrastructureRoleforExpressGatewayServices", "service-role/")


def blue_green_role(stack: Stack) -> Any:
    """Lets ECS shift a listener's weights between two target groups during a deployment."""
    return _infrastructure(stack, "load-balancer", "AmazonECSInfrastructureRolePolicyForLoadBalancers")


def managed_instances_roles(stack: Stack) -> tuple[Any, Any]:
    """The infrastructure role of ECS Managed Instances, and the profile that its instances get.

    AWS's policy lets ECS pass on only roles that are called ``ecsInstanceRole...``; a fixed name would need
    ``CAPABILITY_NAMED_IAM`` and stop a second stack in the account. So passing exactly this one is granted beside it.
    """
    found = stack.template.resources.get("ManagedInstancesInfrastructureRole")
    if found is not None:
        return found, stack.template.resources["ManagedInstancesProfile"]
    role = iam.Role(
        "ManagedInstancesRole",
        AssumeRolePolicyDocument=_document([_trust("ec2.amazonaws.com")]),
        ManagedPolicyArns=[_managed("AmazonECSInstanceRolePolicyForManagedInstances")],
    )
    profile = iam.InstanceProfile("ManagedInstancesProfile", Roles=[Ref(role)])
    stack.template.add_resource(role)
    stack.template.add_resource(profile)
    infrastructure = _infrastructure(stack, "managed-instances", "AmazonECSInfrastructureRolePolicyForManagedInstances")
    passes = allow(
        "iam:PassRole", on=GetAtt(role, "Arn"), when={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    )
    infrastructure.Policies = [iam.Policy(PolicyName="own", PolicyDocument=_document([passes]))]
    return infrastructure, profile


def function_role(
    stack: Stack, name: str, *, log_group: Any, secrets: Sequence[Any] = (), failures: Any | None = None
) -> Any:
    """What a Lambda function may do: write its log, read its secrets, say that it failed (``failures``: an SQS ARN)."""
    statements = [_writes(log_group)]
    if secrets:
        statements.append(_reads(secrets))
    if failures is not None:
        statements.append(allow("sqs:SendMessage", on=failures))
    return _role(stack, logical_id(name, "function", "role"), _trust("lambda.amazonaws.com"), statements)


def scheduler_role(stack: Stack, name: str, *, function: Any, failures: Any) -> Any:
    """Lets EventBridge Scheduler call one function, and put what it could not deliver into one queue."""
    statements = [allow("lambda:InvokeFunction", on=function), allow("sqs:SendMessage", on=failures)]
    trust = _trust("scheduler.amazonaws.com", {"StringEquals": {"aws:SourceAccount": AccountId}})
    return _role(stack, logical_id(name, "scheduler", "role"), trust, statements)


def repository_arn(repository: Any) -> Any:
    """ARN of an ECR repository of this account and region, by its name."""
    return Sub("arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${Name}", Name=repository)


def _writes(log_group: Any) -> Statement:
    # The ARN of a group ends in ``:*``, which is its streams. No CreateLogGroup: it exists, with its retention.
    return allow("logs:CreateLogStream", "logs:PutLogEvents", on=GetAtt(log_group, "Arn"))


def _reads(secrets: Sequence[Any]) -> Statement:
    return allow("secretsmanager:GetSecretValue", on=list(secrets))


def _tasks_of_ecs() -> Mapping[str, Any]:
    conditions = {
        "StringEquals": {"aws:SourceAccount": AccountId},
        "ArnLike": {"aws:SourceArn": Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:*")},
    }
    return _trust("ecs-tasks.amazonaws.com", conditions)


def _trust(service: str, when: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return statement if when is None else {**statement, "Condition": when}


def _infrastructure(stack: Stack, name: str, policy: str, path: str = "") -> Any:
    """A role of ECS itself with a policy that AWS keeps: what it needs changes with the service.

    (The Express policy was at version 6 three months after its first: a copy would rot.)
    """
    return _once(
        stack,
        iam.Role(
            logical_id(name, "infrastructure", "role"),
            AssumeRolePolicyDocument=_document([_trust("ecs.amazonaws.com")]),
            ManagedPolicyArns=[_managed(policy, path)],
        ),
    )


def _managed(policy: str, path: str = "") -> Any:
    return Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{path}{policy}")


def _role(stack: Stack, title: str, trust: Statement, statements: Sequence[Statement]) -> Any:
    policies = [iam.Policy(PolicyName="own", PolicyDocument=_document(statements))] if statements else []
    optional = {"Policies": policies} if policies else {}
    return stack.template.add_resource(iam.Role(title, AssumeRolePolicyDocument=_document([trust]), **optional))


def _document(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": [dict(statement) for statement in statements]}


def _once(stack: Stack, resource: Any) -> Any:
    """Add a resource that several services share, or answer the one that is there."""
    found = stack.template.resources.get(resource.title)
    return stack.template.add_resource(resource) if found is None else found
