"""A small platform as CloudFormation, written by hand and sound: what faults are seeded into.

A streaming service on Fargate behind a load balancer with TLS, two weighted names for it, workers on Spot that are
woken by the length of their queue, a function on a timer, an Express service, a database and a bucket. It is written
here, not made by our own generator, so that the checks are not measured on the only style that they were written for.
"""

from __future__ import annotations

from typing import Any, Final

Template = dict[str, Any]

REGION: Final = "us-east-1"
_DIGEST: Final = "sha256:" + "0123456789abcdef" * 4


def _ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def _att(name: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


def _sub(text: str) -> dict[str, Any]:
    return {"Fn::Sub": text}


def _zone(number: int) -> dict[str, Any]:
    return {"Fn::Select": [number, {"Fn::GetAZs": ""}]}


def _trust(service: str) -> Template:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }


def _policy(name: str, actions: list[str], resource: Any) -> Template:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"PolicyName": name, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _role(service: str, *policies: Template, managed: tuple[str, ...] = ()) -> Template:
    properties: Template = {"AssumeRolePolicyDocument": _trust(service)}
    if managed:
        properties["ManagedPolicyArns"] = [_sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{name}") for name in managed]
    if policies:
        properties["Policies"] = list(policies)
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _logging(group: str) -> Template:
    options = {"awslogs-group": _ref(group), "awslogs-region": _ref("AWS::Region"), "awslogs-stream-prefix": "task"}
    return {"LogDriver": "awslogs", "Options": options}


def _network() -> Template:
    made: Template = {
        "Vpc": {
            "Type": "AWS::EC2::VPC",
            "Properties": {"CidrBlock": "10.20.0.0/16", "EnableDnsHostnames": True, "EnableDnsSupport": True},
        },
        "InternetGateway": {"Type": "AWS::EC2::InternetGateway"},
        "GatewayAttachment": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"VpcId": _ref("Vpc"), "InternetGatewayId": _ref("InternetGateway")},
        },
        "PublicRoutes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": _ref("Vpc")}},
        "DefaultRoute": {
            "Type": "AWS::EC2::Route",
            "DependsOn": "GatewayAttachment",
            "Properties": {
                "RouteTableId": _ref("PublicRoutes"),
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": _ref("InternetGateway"),
            },
        },
    }
    for number, letter in enumerate("AB"):
        for kind, third in (("Public", number), ("Private", 10 + number)):
            made[f"{kind}{letter}"] = {
                "Type": "AWS::EC2::Subnet",
                "Properties": {
                    "VpcId": _ref("Vpc"),
                    "CidrBlock": f"10.20.{third}.0/24",
                    "AvailabilityZone": _zone(number),
                },
            }
        made[f"Public{letter}Routes"] = {
            "Type": "AWS::EC2::SubnetRouteTableAssociation",
            "Properties": {"SubnetId": _ref(f"Public{letter}"), "RouteTableId": _ref("PublicRoutes")},
        }
    return made


def _group(text: str, *ingress: Template) -> Template:
    properties: Template = {"GroupDescription": text, "VpcId": _ref("Vpc")}
    if ingress:
        properties["SecurityGroupIngress"] = list(ingress)
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}


def _from_anywhere(port: int) -> Template:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "0.0.0.0/0", "Description": "clients"}


def _from_group(group: str, port: int) -> Template:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "SourceSecurityGroupId": _att(group, "GroupId"),
        "Description": f"from {group}",
    }


def _ingress() -> Template:
    return {
        "BalancerGroup": _group("load balancer", _from_anywhere(80), _from_anywhere(443)),
        "ApiGroup": _group("tasks of the API", _from_group("BalancerGroup", 8082)),
        "Certificate": {
            "Type": "AWS::CertificateManager::Certificate",
            "Properties": {
                "DomainName": "ai.example.com",
                "ValidationMethod": "DNS",
                "DomainValidationOptions": [{"DomainName": "ai.example.com", "HostedZoneId": "Z0123456789EXAMPLE"}],
            },
        },
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "DependsOn": "DefaultRoute",
            "Properties": {
                "Type": "application",
                "Scheme": "internet-facing",
                "Subnets": [_ref("PublicA"), _ref("PublicB")],
                "SecurityGroups": [_att("BalancerGroup", "GroupId")],
                "LoadBalancerAttributes": [
                    {"Key": "idle_timeout.timeout_seconds", "Value": "120"},
                    {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                ],
            },
        },
        "ApiTargets": {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Metadata": {"holdfast": {"longest_s": 600, "silence_s": 90}},
            "Properties": {
                "VpcId": _ref("Vpc"),
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": 8082,
                "HealthCheckPath": "/health",
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "600"}],
            },
        },
        "PlainListener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": _ref("Balancer"),
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [
                    {
                        "Type": "redirect",
                        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
                    }
                ],
            },
        },
        "SecureListener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": _ref("Balancer"),
                "Port": 443,
                "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": _ref("Certificate")}],
                "DefaultActions": [
                    {
                        "Type": "forward",
                        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": _ref("ApiTargets"), "Weight": 1}]},
                    }
                ],
            },
        },
        "NameNow": _weighted("now", 100, _att("Balancer", "DNSName"), _att("Balancer", "CanonicalHostedZoneID")),
        "NameBefore": _weighted("before", 0, "old-123.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K"),
    }


def _weighted(identifier: str, weight: int, name: Any, zone: Any) -> Template:
    return {
        "Type": "AWS::Route53::RecordSet",
        "Properties": {
            "HostedZoneId": "Z0123456789EXAMPLE",
            "Name": "ai.example.com",
            "Type": "A",
            "SetIdentifier": identifier,
            "Weight": weight,
            "AliasTarget": {"DNSName": name, "HostedZoneId": zone, "EvaluateTargetHealth": True},
        },
    }


def _container(name: str, *, group: str, port: int | None, stop_s: int) -> Template:
    container: Template = {
        "Name": name,
        "Image": f"public.ecr.aws/example/holdfast@{_DIGEST}",
        "Essential": True,
        "StopTimeout": stop_s,
        "Environment": [{"Name": "HOLDFAST_LOG", "Value": "json"}],
        "Secrets": [{"Name": "PGPASSWORD", "ValueFrom": _sub("${DatabaseSecret}:password::")}],
        "LogConfiguration": _logging(group),
    }
    if port is not None:
        container["PortMappings"] = [{"ContainerPort": port, "Protocol": "tcp"}]
    return container


def _task(container: Template) -> Template:
    return {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": "512",
            "Memory": "1024",
            "ExecutionRoleArn": _att("ExecutionRole", "Arn"),
            "TaskRoleArn": _att("TaskRole", "Arn"),
            "ContainerDefinitions": [container],
        },
    }


def _log_group() -> Template:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"RetentionInDays": 30},
    }


def _service(task: str, group: str, **more: Any) -> Template:
    return {
        "Cluster": _ref("Cluster"),
        "TaskDefinition": _ref(task),
        "DeploymentConfiguration": {
            "MinimumHealthyPercent": 100,
            "MaximumPercent": 200,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        },
        "NetworkConfiguration": {
            "AwsvpcConfiguration": {
                "AssignPublicIp": "ENABLED",
                "Subnets": [_ref("PublicA"), _ref("PublicB")],
                "SecurityGroups": [_att(group, "GroupId")],
            }
        },
        **more,
    }


def _services() -> Template:
    return {
        "Cluster": {
            "Type": "AWS::ECS::Cluster",
            "Properties": {
                "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
            },
        },
        "ApiLogs": _log_group(),
        "ExecutionRole": _role(
            "ecs-tasks.amazonaws.com",
            _policy("secrets", ["secretsmanager:GetSecretValue"], _ref("DatabaseSecret")),
            managed=("service-role/AmazonECSTaskExecutionRolePolicy",),
        ),
        "TaskRole": _role(
            "ecs-tasks.amazonaws.com", _policy("metrics", ["sqs:GetQueueAttributes"], _att("Queue", "Arn"))
        ),
        "ApiTask": _task(_container("api", group="ApiLogs", port=8082, stop_s=120)),
        "Api": {
            "Type": "AWS::ECS::Service",
            "DependsOn": "SecureListener",
            "Properties": _service(
                "ApiTask",
                "ApiGroup",
                LaunchType="FARGATE",
                DesiredCount=2,
                HealthCheckGracePeriodSeconds=60,
                LoadBalancers=[{"ContainerName": "api", "ContainerPort": 8082, "TargetGroupArn": _ref("ApiTargets")}],
            ),
        },
        "ApiScale": _scalable("Api", 2, 6),
        "ApiByProcessor": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": "processor",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": _ref("ApiScale"),
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 60,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                },
            },
        },
    }


def _scalable(service: str, least: int, most: int) -> Template:
    return {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {
            "ServiceNamespace": "ecs",
            "ScalableDimension": "ecs:service:DesiredCount",
            "ResourceId": _sub(f"service/${{Cluster}}/${{{service}.Name}}"),
            "MinCapacity": least,
            "MaxCapacity": most,
        },
    }


def _workers() -> Template:
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    return {
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"SqsManagedSseEnabled": True, "VisibilityTimeout": 900},
        },
        "WorkerLogs": _log_group(),
        "WorkerGroup": _group("workers: nobody comes in"),
        "WorkerTask": _task(_container("worker", group="WorkerLogs", port=None, stop_s=110)),
        "Worker": {
            "Type": "AWS::ECS::Service",
            "Metadata": {"holdfast": {"drain_s": 100}},
            "Properties": _service(
                "WorkerTask",
                "WorkerGroup",
                DesiredCount=0,
                CapacityProviderStrategy=[
                    {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1},
                    {"CapacityProvider": "FARGATE_SPOT", "Weight": 4},
                ],
            ),
        },
        "WorkerScale": _scalable("Worker", 0, 8),
        "WorkerSteps": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": "wake",
                "PolicyType": "StepScaling",
                "ScalingTargetId": _ref("WorkerScale"),
                "StepScalingPolicyConfiguration": {
                    "AdjustmentType": "ChangeInCapacity",
                    "Cooldown": 60,
                    "StepAdjustments": steps,
                },
            },
        },
        "WorkWaits": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": _att("Queue", "QueueName")}],
                "Statistic": "Maximum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 0,
                "ComparisonOperator": "GreaterThanThreshold",
                "AlarmActions": [_ref("WorkerSteps")],
            },
        },
    }


def _functions() -> Template:
    return {
        "ProbeRole": _role("lambda.amazonaws.com", managed=("service-role/AWSLambdaBasicExecutionRole",)),
        "ProbeLogs": _log_group(),
        "Probe": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Role": _att("ProbeRole", "Arn"),
                "PackageType": "Image",
                "Code": {"ImageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/probe@{_DIGEST}"},
                "Timeout": 60,
                "MemorySize": 256,
                "LoggingConfig": {"LogGroup": _ref("ProbeLogs")},
            },
        },
        "ProbeTimer": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "ScheduleExpression": "rate(1 minute)",
                "Targets": [{"Id": "probe", "Arn": _att("Probe", "Arn")}],
            },
        },
        "ProbeMayBeCalled": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": _att("Probe", "Arn"),
                "Principal": "events.amazonaws.com",
                "SourceArn": _att("ProbeTimer", "Arn"),
            },
        },
    }


def _express() -> Template:
    return {
        "ExpressLogs": _log_group(),
        "InfrastructureRole": _role(
            "ecs.amazonaws.com", managed=("service-role/AmazonECSInfrastructureRoleforExpressGatewayServices",)
        ),
        "Light": {
            "Type": "AWS::ECS::ExpressGatewayService",
            "Properties": {
                "Cluster": _ref("Cluster"),
                "InfrastructureRoleArn": _att("InfrastructureRole", "Arn"),
                "ExecutionRoleArn": _att("ExecutionRole", "Arn"),
                "TaskRoleArn": _att("TaskRole", "Arn"),
                "Cpu": "1024",
                "Memory": "2048",
                "HealthCheckPath": "/health",
                "PrimaryContainer": {
                    "Image": f"public.ecr.aws/example/holdfast@{_DIGEST}",
                    "ContainerPort": 8082,
                    "AwsLogsConfiguration": {"LogGroup": _ref("ExpressLogs"), "LogStreamPrefix": "task"},
                },
                "ScalingTarget": {
                    "MinTaskCount": 1,
                    "MaxTaskCount": 4,
                    "AutoScalingMetric": "AVERAGE_CPU",
                    "AutoScalingTargetValue": 60,
                },
            },
        },
    }


def _state() -> Template:
    return {
        "DatabaseSecret": {
            "Type": "AWS::SecretsManager::Secret",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "GenerateSecretString": {
                    "SecretStringTemplate": '{"username": "holdfast"}',
                    "GenerateStringKey": "password",
                    "PasswordLength": 40,
                    "ExcludePunctuation": True,
                }
            },
        },
        "DatabaseGroup": _group("database", _from_group("ApiGroup", 5432), _from_group("WorkerGroup", 5432)),
        "DatabaseSubnets": {
            "Type": "AWS::RDS::DBSubnetGroup",
            "Properties": {
                "DBSubnetGroupDescription": "private",
                "SubnetIds": [_ref("PrivateA"), _ref("PrivateB")],
            },
        },
        "Database": {
            "Type": "AWS::RDS::DBInstance",
            "DeletionPolicy": "Snapshot",
            "UpdateReplacePolicy": "Snapshot",
            "Properties": {
                "Engine": "postgres",
                "EngineVersion": "17.11",
                "DBInstanceClass": "db.t4g.micro",
                "AllocatedStorage": "20",
                "StorageType": "gp3",
                "StorageEncrypted": True,
                "PubliclyAccessible": False,
                "DeletionProtection": True,
                "BackupRetentionPeriod": 7,
                "CopyTagsToSnapshot": True,
                "MasterUsername": "holdfast",
                "MasterUserPassword": _sub("{{resolve:secretsmanager:${DatabaseSecret}:SecretString:password}}"),
                "DBSubnetGroupName": _ref("DatabaseSubnets"),
                "VPCSecurityGroups": [_att("DatabaseGroup", "GroupId")],
            },
        },
        "Site": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                }
            },
        },
    }


def scene() -> Template:
    """A fresh copy of the whole template, of which nothing is shared."""
    resources = _network() | _ingress() | _services() | _workers() | _functions() | _express() | _state()
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A small platform that is sound",
        "Resources": resources,
    }
