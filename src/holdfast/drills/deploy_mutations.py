"""Faults for sound templates, each seen in the wild or named in the provider's own troubleshooting pages.

A fault changes a template in place and says what it would have caused. The list was written before the rules that it is
held against, and what a checker misses stays in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.drills.deploy_scene import Template

Mutation = Callable[[Template], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to break a template."""

    name: str
    causes: str
    """What would have happened."""
    apply: Mutation


FAULTS: Final[list[Fault]] = []


def _fault(causes: str) -> Callable[[Mutation], Mutation]:
    def keep(apply: Mutation) -> Mutation:
        name = apply.__name__.removeprefix("_").replace("_", "-")
        FAULTS.append(Fault(name=name, causes=causes, apply=apply))
        return apply

    return keep


def properties(template: Template, name: str) -> Template:
    """Of one resource, to be changed in place."""
    found: Template = template["Resources"][name].setdefault("Properties", {})
    return found


def container(template: Template, task: str = "ApiTask") -> Template:
    """The first of a task, to be changed in place."""
    found: Template = properties(template, task)["ContainerDefinitions"][0]
    return found


def _say(template: Template, task: str, name: str, value: Any) -> None:
    container(template, task)["Environment"].append({"Name": name, "Value": value})


# ---------------------------------------------------------------- tasks


@_fault("the service never starts a task: Fargate refuses privileged containers")
def _privileged_on_fargate(template: Template) -> None:
    container(template, "WorkerTask")["Privileged"] = True


@_fault("registering the task fails: only SYS_PTRACE can be added on Fargate")
def _sys_admin_on_fargate(template: Template) -> None:
    container(template, "WorkerTask")["LinuxParameters"] = {"Capabilities": {"Add": ["SYS_ADMIN"]}}


@_fault("every job fails: user namespaces are off, so bubblewrap cannot make a sandbox")
def _bubblewrap_on_fargate(template: Template) -> None:
    container(template, "WorkerTask")["Command"] = ["bwrap", "--unshare-all", "holdfast", "run", "execution-worker"]


@_fault("the task sees the host's Docker socket nowhere: Fargate has no host to mount from")
def _host_volume_on_fargate(template: Template) -> None:
    properties(template, "WorkerTask")["Volumes"] = [{"Name": "docker", "Host": {"SourcePath": "/var/run/docker.sock"}}]
    container(template, "WorkerTask")["MountPoints"] = [
        {"SourceVolume": "docker", "ContainerPath": "/var/run/docker.sock"}
    ]


@_fault("registering the task fails: 0.5 vCPU has 1 to 4 GB")
def _impossible_size(template: Template) -> None:
    properties(template, "ApiTask")["Memory"] = "8192"


@_fault("registering the task fails: the sidecar and the service want more memory than their task has")
def _containers_larger_than_their_task(template: Template) -> None:
    first = container(template)
    first["Memory"] = 900
    sidecar = {"Name": "agent", "Image": first["Image"], "Memory": 512, "Essential": False}
    properties(template, "ApiTask")["ContainerDefinitions"].append(
        {**sidecar, "LogConfiguration": first["LogConfiguration"]}
    )


@_fault("next week's task runs another image than this week's, and a rollback rolls nothing back")
def _latest_image(template: Template) -> None:
    container(template)["Image"] = "public.ecr.aws/example/holdfast:latest"


@_fault("a tag that is pushed again changes half of the tasks")
def _tag_instead_of_digest(template: Template) -> None:
    container(template, "WorkerTask")["Image"] = "public.ecr.aws/example/holdfast:1.4.2"


@_fault("registering the task fails: Fargate waits for at most 120 s")
def _stop_timeout_too_long(template: Template) -> None:
    container(template)["StopTimeout"] = 600


@_fault("SIGKILL 30 s after SIGTERM: workers lose the jobs that they had two minutes to finish")
def _stop_timeout_left_out(template: Template) -> None:
    del container(template, "WorkerTask")["StopTimeout"]


@_fault("the task dies before it can say why: there is no log")
def _no_log_configuration(template: Template) -> None:
    del container(template)["LogConfiguration"]


@_fault("the task cannot fetch its secrets or write its log, and never starts")
def _no_execution_role(template: Template) -> None:
    del properties(template, "ApiTask")["ExecutionRoleArn"]


@_fault("the task cannot fetch its secret: ResourceInitializationError until the circuit breaker gives up")
def _execution_role_may_not_read_the_secret(template: Template) -> None:
    del properties(template, "ExecutionRole")["Policies"]


# ---------------------------------------------------------------- services


@_fault("a deployment stops the only task before its successor answers")
def _nobody_left_while_deploying(template: Template) -> None:
    properties(template, "Api")["DesiredCount"] = 1
    properties(template, "ApiScale")["MinCapacity"] = 1
    properties(template, "Api")["DeploymentConfiguration"]["MinimumHealthyPercent"] = 0


@_fault("the deployment never moves: nothing may stop and nothing may start")
def _deployment_deadlock(template: Template) -> None:
    properties(template, "Api")["DeploymentConfiguration"]["MaximumPercent"] = 100


@_fault("a version that cannot start is started for three hours, and the stack hangs with it")
def _no_circuit_breaker(template: Template) -> None:
    del properties(template, "Api")["DeploymentConfiguration"]["DeploymentCircuitBreaker"]


@_fault("the breaker opens and leaves the broken version where it is")
def _breaker_without_rollback(template: Template) -> None:
    properties(template, "Api")["DeploymentConfiguration"]["DeploymentCircuitBreaker"]["Rollback"] = False


@_fault("tasks are killed as unhealthy while they still start, for ever")
def _no_health_grace(template: Template) -> None:
    del properties(template, "Api")["HealthCheckGracePeriodSeconds"]


@_fault("all workers vanish at once when Spot has no capacity, and none comes back")
def _spot_only(template: Template) -> None:
    properties(template, "Worker")["CapacityProviderStrategy"] = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]


@_fault("the canary's second set does not get its tasks: the account allows 32 vCPU, and it takes 40")
def _canary_over_the_quota(template: Template) -> None:
    properties(template, "ApiTask")["Cpu"] = "2048"
    properties(template, "ApiTask")["Memory"] = "4096"
    properties(template, "ApiScale")["MaxCapacity"] = 6


@_fault("the service is made before its listener: the target group has no load balancer, and the stack rolls back")
def _service_before_its_listener(template: Template) -> None:
    del template["Resources"]["Api"]["DependsOn"]


@_fault("tasks cannot pull their image: no public address, and no NAT")
def _no_way_out(template: Template) -> None:
    network = properties(template, "Worker")["NetworkConfiguration"]["AwsvpcConfiguration"]
    network["AssignPublicIp"] = "DISABLED"
    network["Subnets"] = [{"Ref": "PrivateA"}, {"Ref": "PrivateB"}]


@_fault("the load balancer sends to a port that nobody listens on")
def _service_names_another_port(template: Template) -> None:
    properties(template, "Api")["LoadBalancers"][0]["ContainerPort"] = 8080


@_fault("once at zero it stays there: a service without tasks has no CPU utilisation")
def _asleep_for_ever(template: Template) -> None:
    properties(template, "ApiScale")["MinCapacity"] = 0


@_fault("workers never wake up: nothing sets the alarm's policy off")
def _alarm_without_action(template: Template) -> None:
    del properties(template, "WorkWaits")["AlarmActions"]


# ---------------------------------------------------------------- balancing


@_fault("a deployment cuts every stream that is older than half a minute")
def _drain_shorter_than_streams(template: Template) -> None:
    properties(template, "ApiTargets")["TargetGroupAttributes"][0]["Value"] = "30"


@_fault("the load balancer closes streams while the model still thinks")
def _idle_timeout_shorter_than_silence(template: Template) -> None:
    properties(template, "Balancer")["LoadBalancerAttributes"][0]["Value"] = "60"


@_fault("keys travel in clear text: port 80 answers instead of redirecting")
def _plain_http(template: Template) -> None:
    properties(template, "PlainListener")["DefaultActions"] = [
        {"Type": "forward", "TargetGroupArn": {"Ref": "ApiTargets"}}
    ]


@_fault("no task can be registered: awsvpc tasks are addresses, not instances")
def _targets_by_instance(template: Template) -> None:
    properties(template, "ApiTargets")["TargetType"] = "instance"


@_fault("every task is unhealthy: the check asks another port than the container's")
def _health_check_elsewhere(template: Template) -> None:
    properties(template, "ApiTargets")["HealthCheckPort"] = "8081"


@_fault("the stack fails: a check may not take longer than its interval")
def _health_check_longer_than_its_interval(template: Template) -> None:
    properties(template, "ApiTargets")["HealthCheckTimeoutSeconds"] = 15


@_fault("nothing gets through: tasks let in only themselves")
def _balancer_not_let_in(template: Template) -> None:
    properties(template, "ApiGroup")["SecurityGroupIngress"][0]["SourceSecurityGroupId"] = {
        "Fn::GetAtt": ["WorkerGroup", "GroupId"]
    }


@_fault("both versions get nothing: all weights of the listener are zero")
def _listener_weights_zero(template: Template) -> None:
    forward = properties(template, "SecureListener")["DefaultActions"][0]["ForwardConfig"]
    forward["TargetGroups"][0]["Weight"] = 0


@_fault("the stack fails: a target group of TCP cannot stand behind an application load balancer")
def _tcp_targets_behind_alb(template: Template) -> None:
    targets = properties(template, "ApiTargets")
    targets["Protocol"] = "TCP"
    targets.pop("HealthCheckPath")


# ---------------------------------------------------------------- names


@_fault("instead of nobody, everybody gets an equal share: Route 53 spreads evenly when all weights are zero")
def _both_weights_zero(template: Template) -> None:
    properties(template, "NameNow")["Weight"] = 0


@_fault("the change batch is refused: a weight is 0 to 255")
def _weight_over_255(template: Template) -> None:
    properties(template, "NameNow")["Weight"] = 300


@_fault("the change batch is refused: a CNAME stands alone at its name")
def _cname_beside_a(template: Template) -> None:
    template["Resources"]["OldName"] = _record(Type="CNAME", TTL="60", ResourceRecords=["old.example.net"])


@_fault("the change batch is refused: a name has weighted records or a simple one, not both")
def _simple_beside_weighted(template: Template) -> None:
    template["Resources"]["OldName"] = _record(Type="A", TTL="60", ResourceRecords=["192.0.2.10"])


@_fault("the second record replaces the first, or the batch is refused")
def _same_identifier_twice(template: Template) -> None:
    properties(template, "NameBefore")["SetIdentifier"] = "now"


@_fault("half of the clients stay with the old address for a day after a roll-back")
def _long_ttl_beside_weights(template: Template) -> None:
    for name in ("NameNow", "NameBefore"):
        record = properties(template, name)
        del record["AliasTarget"]
        record |= {"TTL": "86400", "ResourceRecords": ["192.0.2.10" if name == "NameNow" else "192.0.2.20"]}


def _record(**more: Any) -> Template:
    return {
        "Type": "AWS::Route53::RecordSet",
        "Properties": {"HostedZoneId": "Z0123456789EXAMPLE", "Name": "ai.example.com.", **more},
    }


# ---------------------------------------------------------------- who gets in


@_fault("anybody on the internet may talk to the workers")
def _workers_open_to_the_world(template: Template) -> None:
    properties(template, "WorkerGroup")["SecurityGroupIngress"] = [
        {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "CidrIp": "0.0.0.0/0"}
    ]


@_fault("SSH from anywhere, over IPv6 too, where nobody looked")
def _ssh_over_ipv6(template: Template) -> None:
    properties(template, "ApiGroup")["SecurityGroupIngress"].append(
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIpv6": "::/0"}
    )


@_fault("tasks can be reached past the load balancer, its TLS and its limits")
def _tasks_open_beside_the_balancer(template: Template) -> None:
    properties(template, "ApiGroup")["SecurityGroupIngress"].append(
        {"IpProtocol": "tcp", "FromPort": 8082, "ToPort": 8082, "CidrIp": "0.0.0.0/0"}
    )


@_fault("the database answers on the internet")
def _public_database(template: Template) -> None:
    properties(template, "Database")["PubliclyAccessible"] = True


# ---------------------------------------------------------------- secrets and permissions


@_fault("whoever may describe a task has the database's password")
def _password_in_the_environment(template: Template) -> None:
    _say(template, "ApiTask", "DATABASE_PASSWORD", "correct-horse-battery")


@_fault("an AWS key in a template is in the console, in the history and in the backup of both")
def _aws_key_in_the_environment(template: Template) -> None:
    _say(template, "WorkerTask", "UPLOAD_ID", "AKIA" + "Q3EGRIXW7ABCDEFJ")


@_fault("the provider's key leaks through a harmless name")
def _provider_key_in_a_command(template: Template) -> None:
    container(template)["Command"] = ["serve", "--upstream-auth=sk-ant-" + "api03-Zk3vQ9pLx7RtW2mN8bYc5dHf"]


@_fault("an address carries its password")
def _password_in_an_address(template: Template) -> None:
    _say(template, "ApiTask", "STORE", "postgresql://holdfast:hunter2secret@db.example.com/holdfast")


@_fault("a parameter shows the secret in the console, because it is no NoEcho")
def _secret_parameter_shown(template: Template) -> None:
    template["Parameters"] = {"ApiToken": {"Type": "String"}}
    _say(template, "ApiTask", "API_TOKEN", {"Ref": "ApiToken"})


@_fault("a task that is broken into owns the account")
def _task_role_may_everything(template: Template) -> None:
    statement = properties(template, "TaskRole")["Policies"][0]["PolicyDocument"]["Statement"][0]
    statement |= {"Action": "*", "Resource": "*"}


@_fault("the same through a managed policy")
def _administrator_task(template: Template) -> None:
    properties(template, "TaskRole")["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AdministratorAccess"]


@_fault("anybody's account may take the role")
def _role_for_everybody(template: Template) -> None:
    properties(template, "TaskRole")["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": "*"}


@_fault("tasks cannot take their role: it trusts instances")
def _role_for_the_wrong_service(template: Template) -> None:
    properties(template, "TaskRole")["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {
        "Service": "ec2.amazonaws.com"
    }


# ---------------------------------------------------------------- state


@_fault("a snapshot that leaks can be read")
def _database_not_encrypted(template: Template) -> None:
    properties(template, "Database")["StorageEncrypted"] = False


@_fault("deleting the stack deletes every record that there is")
def _database_goes_with_its_stack(template: Template) -> None:
    del template["Resources"]["Database"]["DeletionPolicy"]
    properties(template, "Database")["DeletionProtection"] = False


@_fault("what was deleted at noon is gone: there is no backup to go back to")
def _no_backups(template: Template) -> None:
    properties(template, "Database")["BackupRetentionPeriod"] = 0


@_fault("everything in the bucket is on the internet")
def _public_bucket(template: Template) -> None:
    del properties(template, "Site")["PublicAccessBlockConfiguration"]
    template["Resources"]["SitePolicy"] = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Site"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": "*",
                        "Action": "s3:GetObject",
                        "Resource": {"Fn::Sub": "${Site.Arn}/*"},
                    }
                ],
            },
        },
    }


@_fault("logs are kept, and paid for, for ever")
def _logs_for_ever(template: Template) -> None:
    del properties(template, "ApiLogs")["RetentionInDays"]


# ---------------------------------------------------------------- platforms


@_fault("the account has never used App Runner, which takes no new customers")
def _app_runner_for_a_newcomer(template: Template) -> None:
    template["Resources"]["Simple"] = {
        "Type": "AWS::AppRunner::Service",
        "Properties": {
            "SourceConfiguration": {
                "ImageRepository": {
                    "ImageIdentifier": "public.ecr.aws/example/holdfast@sha256:" + "0123456789abcdef" * 4,
                    "ImageRepositoryType": "ECR_PUBLIC",
                }
            }
        },
    }


@_fault("the service cannot be made: Express has to be given the role that makes its load balancer")
def _express_without_its_role(template: Template) -> None:
    del properties(template, "Light")["InfrastructureRoleArn"]


@_fault("the role is refused: it trusts tasks, not ECS")
def _express_role_for_tasks(template: Template) -> None:
    properties(template, "Light")["InfrastructureRoleArn"] = {"Fn::GetAtt": ["ExecutionRole", "Arn"]}


@_fault("the function is refused: 900 s is the most")
def _function_too_long(template: Template) -> None:
    properties(template, "Probe")["Timeout"] = 1200


@_fault("the check is cut off at 3 s, before a slow target could have answered")
def _function_shorter_than_its_work(template: Template) -> None:
    template["Resources"]["Probe"]["Metadata"] = {"holdfast": {"longest_s": 40}}
    del properties(template, "Probe")["Timeout"]


@_fault("the timer fires and nothing happens: it may not call the function")
def _timer_without_permission(template: Template) -> None:
    del template["Resources"]["ProbeMayBeCalled"]


@_fault("a job that takes longer than it is hidden for is run twice")
def _queue_shows_jobs_too_early(template: Template) -> None:
    template["Resources"]["Queue"]["Metadata"] = {"holdfast": {"longest_s": 300}}
    properties(template, "Queue")["VisibilityTimeout"] = 30


@_fault("the name answers with a certificate error: nothing validates the certificate, and the stack waits for it")
def _certificate_that_nobody_validates(template: Template) -> None:
    del properties(template, "Certificate")["DomainValidationOptions"]


@_fault("one zone fails and all tasks with it")
def _one_zone(template: Template) -> None:
    network = properties(template, "Api")["NetworkConfiguration"]["AwsvpcConfiguration"]
    network["Subnets"] = [{"Ref": "PublicA"}]
