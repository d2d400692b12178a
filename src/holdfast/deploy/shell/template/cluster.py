"""The ECS cluster, and the capacity that its services run on.

Fargate and Fargate Spot are always attached: they cost nothing until a task runs there. Machines are attached where a
placement needs a kernel that lets sandboxes be made: Managed Instances, which AWS patches and replaces, or an Auto
Scaling group of our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from troposphere import Base64, GetAtt, Parameter, Ref, Sub, autoscaling, ec2, ecs, iam

from holdfast.deploy.core.plan import Placement
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.roles import managed_instances_roles
from holdfast.deploy.shell.template.stack import Network, Stack

ON_DEMAND_BASE: Final = 1
"""Tasks that are never interrupted. ECS does not fall back when Spot is dry: tasks that are assigned to it wait. So
the first one is on demand, and the work goes on, slowly, whatever the Spot market does."""
SPOT_WEIGHT: Final = 4
"""Of five further tasks, four are on Spot, and one more is not interrupted with them."""
MACHINE_DISK_GB: Final = 50
"""For images and the scratch of sandboxes."""
MACHINES_MOST: Final = 8
"""Default ceiling of an Auto Scaling group, which is a parameter of the stack."""
AMI: Final = "/aws/service/ecs/optimized-ami/amazon-linux-2023/{}recommended/image_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster and its capacity providers."""

    resource: Any
    attached: Any
    """What services have to wait for: before it a capacity provider is not known to the cluster."""
    machines: dict[str, Any]
    """Capacity provider by the name of the platform: ``ecs-ec2``."""

    def strategy(self, compute: str) -> list[Any]:
        """Where the tasks of a service go."""
        if compute == "ecs-fargate":
            return [_share("FARGATE", weight=1)]
        if compute == "ecs-fargate-spot":
            return [
                _share("FARGATE", weight=1, base=ON_DEMAND_BASE),
                _share("FARGATE_SPOT", weight=SPOT_WEIGHT),
            ]
        return [_share(Ref(self.machines[compute]), weight=1)]


def add_cluster(stack: Stack, network: Network, placements: Iterable[Placement]) -> Cluster:
    """Make the cluster for these placements."""
    template = stack.template
    cluster = template.add_resource(
        ecs.Cluster("Cluster", ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value="enabled")])
    )
    by_platform: dict[str, list[Placement]] = {}
    for placement in placements:
        by_platform.setdefault(placement.candidate.compute, []).append(placement)
    machines: dict[str, Any] = {}
    if managed := by_platform.get("ecs-managed-instances"):
        machines["ecs-managed-instances"] = _managed_instances(stack, cluster, network, managed)
    if own := by_platform.get("ecs-ec2"):
        machines["ecs-ec2"] = _auto_scaling_group(stack, network, own)
    attached = template.add_resource(
        ecs.ClusterCapacityProviderAssociations(
            "CapacityProviders",
            Cluster=Ref(cluster),
            CapacityProviders=["FARGATE", "FARGATE_SPOT", *(Ref(provider) for provider in machines.values())],
            DefaultCapacityProviderStrategy=[ecs.CapacityProviderStrategy(CapacityProvider="FARGATE", Weight=1)],
        )
    )
    stack.shared["cluster"] = Ref(cluster)
    return Cluster(resource=cluster, attached=attached, machines=machines)


def _share(provider: Any, *, weight: int, base: int = 0) -> Any:
    optional = {"Base": base} if base else {}
    return ecs.CapacityProviderStrategyItem(CapacityProvider=provider, Weight=weight, **optional)


def _machine_group(stack: Stack, network: Network, name: str) -> Any:
    """Machines are called by nobody: tasks have network interfaces, and security groups, of their own."""
    return stack.template.add_resource(
        ec2.SecurityGroup(
            logical_id(name, "group"),
            GroupDescription="Machines that run tasks: nobody comes in",
            VpcId=network.vpc,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp",
                    FromPort=443,
                    ToPort=443,
                    CidrIp="0.0.0.0/0",
                    Description="ECS, the registry, logs and secrets",
                )
            ],
        )
    )


def _machine_subnets(network: Network) -> list[Any]:
    # The agent on the machine pulls images and writes logs, so the machine needs a way out. Its tasks do not get one
    # by it: their interfaces have no public address, and a sandbox without internet is what one wants.
    return list(network.public_subnets if network.tasks_public else network.private_subnets)


def _managed_instances(stack: Stack, cluster: Any, network: Network, placements: list[Placement]) -> Any:
    infrastructure, profile = managed_instances_roles(stack)
    largest_cpu = max(1, *(-(-placement.workload.cpu // 1) for placement in placements), 1)
    largest_mib = max(placement.workload.memory // 2**20 for placement in placements)
    arms = {placement.workload.architecture == "arm64" for placement in placements}
    makers = ["amazon-web-services"] if arms == {True} else ["intel", "amd"] if arms == {False} else []
    optional = {"CpuManufacturers": makers} if makers else {}
    return stack.template.add_resource(
        ecs.CapacityProvider(
            "ManagedInstances",
            ClusterName=Ref(cluster),
            ManagedInstancesProvider=ecs.ManagedInstancesProvider(
                InfrastructureRoleArn=GetAtt(infrastructure, "Arn"),
                PropagateTags="CAPACITY_PROVIDER",
                InstanceLaunchTemplate=ecs.InstanceLaunchTemplate(
                    Ec2InstanceProfileArn=GetAtt(profile, "Arn"),
                    NetworkConfiguration=ecs.ManagedInstancesNetworkConfiguration(
                        SecurityGroups=[GetAtt(_machine_group(stack, network, "managed-instances"), "GroupId")],
                        Subnets=_machine_subnets(network),
                    ),
                    StorageConfiguration=ecs.ManagedInstancesStorageConfiguration(StorageSizeGiB=MACHINE_DISK_GB),
                    InstanceRequirements=ecs.InstanceRequirementsRequest(
                        # Up to twice the largest task: small enough that a replaced machine takes few tasks with it.
                        VCpuCount=ecs.VCpuCountRangeRequest(Min=int(largest_cpu), Max=max(4, int(2 * largest_cpu))),
                        MemoryMiB=ecs.MemoryMiBRequest(Min=max(1024, 2 * largest_mib)),
                        BurstablePerformance="excluded",
                        **optional,
                    ),
                ),
            ),
        )
    )


def _auto_scaling_group(stack: Stack, network: Network, placements: list[Placement]) -> Any:
    template = stack.template
    arm = all(placement.workload.architecture == "arm64" for placement in placements)
    template.add_parameter(
        Parameter(
            "MachineImage",
            Type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            Default=AMI.format("arm64/" if arm else ""),
            Description="ECS-optimized image; the newest at the time of each update of the stack.",
        )
    )
    template.add_parameter(
        Parameter(
            "MachineType",
            Type="String",
            Default="m7g.large" if arm else "m7i.large",
            AllowedPattern=r"^[a-z0-9-]+\.[a-z0-9-]+$",
            ConstraintDescription="an EC2 instance type of the architecture of the image",
            Description="Machines that sandboxes run on.",
        )
    )
    template.add_parameter(
        Parameter(
            "MachinesMost",
            Type="Number",
            Default=MACHINES_MOST,
            MinValue=1,
            MaxValue=1000,
            Description="Most machines at a time.",
        )
    )
    role = template.add_resource(
        iam.Role(
            "MachineRole",
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            ManagedPolicyArns=[
                Sub("arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role")
            ],
        )
    )
    profile = template.add_resource(iam.InstanceProfile("MachineProfile", Roles=[Ref(role)]))
    machine = template.add_resource(
        ec2.LaunchTemplate(
            "Machine",
            LaunchTemplateData=ec2.LaunchTemplateData(
                ImageId=Ref("MachineImage"),
                InstanceType=Ref("MachineType"),
                IamInstanceProfile=ec2.IamInstanceProfile(Arn=GetAtt(profile, "Arn")),
                # One hop: a container that asks for the machine's credentials gets no answer.
                MetadataOptions=ec2.MetadataOptions(HttpTokens="required", HttpPutResponseHopLimit=1),
                BlockDeviceMappings=[
                    ec2.LaunchTemplateBlockDeviceMapping(
                        DeviceName="/dev/xvda",
                        Ebs=ec2.EBSBlockDevice(VolumeSize=MACHINE_DISK_GB, VolumeType="gp3", Encrypted=True),
                    )
                ],
                NetworkInterfaces=[
                    ec2.NetworkInterfaces(
                        DeviceIndex=0,
                        AssociatePublicIpAddress=network.tasks_public,
                        Groups=[GetAtt(_machine_group(stack, network, "machine"), "GroupId")],
                    )
                ],
                UserData=Base64(
                    Sub(
                        "#!/bin/sh\n"
                        "echo ECS_CLUSTER=${Cluster} >> /etc/ecs/ecs.config\n"
                        "echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config\n"
                        "echo ECS_CONTAINER_STOP_TIMEOUT=120s >> /etc/ecs/ecs.config\n"
                    )
                ),
            ),
        )
    )
    group = template.add_resource(
        autoscaling.AutoScalingGroup(
            "Machines",
            MinSize="0",
            MaxSize=Ref("MachinesMost"),
            VPCZoneIdentifier=_machine_subnets(network),
            LaunchTemplate=autoscaling.LaunchTemplateSpecification(
                LaunchTemplateId=Ref(machine), Version=GetAtt(machine, "LatestVersionNumber")
            ),
            # Without it ECS cannot hold back the end of a machine whose tasks still run.
            NewInstancesProtectedFromScaleIn=True,
        )
    )
    return template.add_resource(
        ecs.CapacityProvider(
            "MachineProvider",
            AutoScalingGroupProvider=ecs.AutoScalingGroupProvider(
                AutoScalingGroupArn=Ref(group),
                ManagedDraining="ENABLED",
                ManagedTerminationProtection="ENABLED",
                ManagedScaling=ecs.ManagedScaling(Status="ENABLED", TargetCapacity=100),
            ),
        )
    )
