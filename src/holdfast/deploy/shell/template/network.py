"""The network that a stack stands in: a VPC of its own, or one that is there.

Load balancers, and tasks that must reach the internet, stand in public subnets; databases and what nobody outside
calls stand in private ones. Without a NAT gateway (``account.nat``) a private subnet has no way out at all, so tasks
then get public addresses: cheaper by a gateway per zone, and safe only because their security groups let nobody in
but the load balancer.
"""

from __future__ import annotations

import re
from typing import Any, Final

from troposphere import Cidr, GetAtt, GetAZs, Parameter, Ref, Select, Sub, Tags, ec2

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.stack import Network, Stack

RANGE: Final = "10.64.0.0/16"
"""Of a VPC that is made. Change it where it would meet a network that is to be peered."""
SUBNET_BITS: Final = 12
"""Host bits of a subnet: 4,091 addresses, of which each task takes one."""
ZONES: Final = (2, 3)
ENDPOINTS: Final = {
    "Registry": "ecr.api",
    "Images": "ecr.dkr",
    "Logs": "logs",
    "Secrets": "secretsmanager",
}
"""What a task on Fargate needs to start; layers of images come from S3, which has a gateway of its own."""
_VPC: Final = re.compile(r"vpc-[0-9a-f]{8,17}")
_SUBNET: Final = re.compile(r"subnet-[0-9a-f]{8,17}")


def add_network(stack: Stack, *, instances: bool = False) -> Network:
    """Make the network, or refer to the one that ``template.vpc`` names.

    ``instances``: machines of our own will stand there, which get their public addresses from the subnet (a task on
    Fargate asks for one itself). Raises :class:`Invalid` for a network that load balancers or databases refuse.
    """
    settings = stack.plan.settings.template
    return _existing(stack) if settings.vpc else _new(stack, instances=instances)


def _existing(stack: Stack) -> Network:
    settings = stack.plan.settings.template
    if not _VPC.fullmatch(settings.vpc):
        raise Invalid(f"deploy.template.vpc: {settings.vpc!r} is not the id of a VPC (vpc-0123456789abcdef0)")
    kinds: dict[str, tuple[Any, ...]] = {}
    for kind, subnets in (("public_subnets", settings.public_subnets), ("private_subnets", settings.private_subnets)):
        where = f"deploy.template.{kind}"
        if len(set(subnets)) < ZONES[0]:
            # Both an application load balancer and a database subnet group are refused with fewer.
            raise Invalid(f"{where}: load balancers and databases need two subnets in different zones; write two")
        if strange := [subnet for subnet in subnets if not _SUBNET.fullmatch(subnet)]:
            raise Invalid(f"{where}: {strange[0]!r} is not the id of a subnet (subnet-0123456789abcdef0)")
        kinds[kind] = subnets
    if both := set(settings.public_subnets) & set(settings.private_subnets):
        raise Invalid(f"deploy.template: {min(both)} cannot be public and private at once")
    # As parameters with types of their own the ids are looked up by CloudFormation before anything is made.
    vpc = stack.template.add_parameter(
        Parameter("Vpc", Type="AWS::EC2::VPC::Id", Default=settings.vpc, Description="VPC that everything stands in.")
    )
    found = {}
    for kind, title in (("public_subnets", "PublicSubnets"), ("private_subnets", "PrivateSubnets")):
        stack.template.add_parameter(
            Parameter(
                title,
                Type="List<AWS::EC2::Subnet::Id>",
                Default=",".join(kinds[kind]),
                Description=f"{title[:-7]} subnets of that VPC, each in another zone.",
            )
        )
        found[kind] = tuple(Select(index, Ref(title)) for index in range(len(kinds[kind])))
    return Network(
        vpc=Ref(vpc),
        public_subnets=found["public_subnets"],
        private_subnets=found["private_subnets"],
        tasks_public=not stack.plan.settings.account.nat,
    )


def _new(stack: Stack, *, instances: bool) -> Network:
    settings, template = stack.plan.settings, stack.template
    zones = settings.template.zones
    if zones not in ZONES:
        raise Invalid(f"deploy.template.zones: {zones} is neither 2 nor 3; two survive the loss of one")
    template.add_parameter(
        Parameter(
            "VpcRange",
            Type="String",
            Default=RANGE,
            AllowedPattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/16$",
            ConstraintDescription="a /16 such as 10.64.0.0/16",
            Description="Addresses of the VPC.",
        )
    )
    vpc = template.add_resource(
        ec2.VPC("Vpc", CidrBlock=Ref("VpcRange"), EnableDnsSupport=True, EnableDnsHostnames=True, Tags=_named("vpc"))
    )
    gateway = template.add_resource(ec2.InternetGateway("InternetGateway", Tags=_named("internet")))
    attached = template.add_resource(
        ec2.VPCGatewayAttachment("InternetAttachment", VpcId=Ref(vpc), InternetGatewayId=Ref(gateway))
    )
    outside = template.add_resource(ec2.RouteTable("PublicRoutes", VpcId=Ref(vpc), Tags=_named("public")))
    template.add_resource(
        ec2.Route(
            "PublicRoute",
            RouteTableId=Ref(outside),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=Ref(gateway),
            DependsOn=attached.title,
        )
    )
    tasks_public = not settings.account.nat
    public, private, tables, ready = [], [], [Ref(outside)], ["PublicRoute"]
    for index in range(zones):
        letter = "ABC"[index]
        public.append(
            template.add_resource(
                ec2.Subnet(
                    f"PublicSubnet{letter}",
                    VpcId=Ref(vpc),
                    AvailabilityZone=Select(index, GetAZs("")),
                    CidrBlock=_range(index, zones),
                    MapPublicIpOnLaunch=instances and tasks_public,
                    Tags=_named(f"public-{letter.lower()}"),
                )
            )
        )
        private.append(
            template.add_resource(
                ec2.Subnet(
                    f"PrivateSubnet{letter}",
                    VpcId=Ref(vpc),
                    AvailabilityZone=Select(index, GetAZs("")),
                    CidrBlock=_range(zones + index, zones),
                    MapPublicIpOnLaunch=False,
                    Tags=_named(f"private-{letter.lower()}"),
                )
            )
        )
        # A table for each zone, with or without NAT: turning it on later changes routes and not subnets.
        table = template.add_resource(
            ec2.RouteTable(f"PrivateRoutes{letter}", VpcId=Ref(vpc), Tags=_named(f"private-{letter.lower()}"))
        )
        tables.append(Ref(table))
        for subnet, routes in ((public[-1], outside), (private[-1], table)):
            associated = template.add_resource(
                ec2.SubnetRouteTableAssociation(f"{subnet.title}Routes", SubnetId=Ref(subnet), RouteTableId=Ref(routes))
            )
            ready.append(associated.title)
        if not tasks_public:
            ready.append(f"PrivateRoute{letter}")
            _nat(stack, letter, subnet=public[-1], table=table, attached=attached.title)
    template.add_resource(
        ec2.VPCEndpoint(
            "S3Endpoint",
            VpcId=Ref(vpc),
            ServiceName=Sub("com.amazonaws.${AWS::Region}.s3"),
            VpcEndpointType="Gateway",
            # Layers of images come from S3: a gateway endpoint is free, a gigabyte through NAT is not.
            RouteTableIds=tables,
        )
    )
    return Network(
        vpc=Ref(vpc),
        public_subnets=tuple(Ref(subnet) for subnet in public),
        private_subnets=tuple(Ref(subnet) for subnet in private),
        ready=tuple(ready),
        tasks_public=tasks_public,
    )


def add_endpoints(stack: Stack, network: Network) -> None:
    """Let tasks in private subnets start where there is no NAT: image, log and secrets come through the network itself.

    For what stands there because its ingress is private and the platform asks no public address for it. Four
    interfaces a zone are charged by the hour; ``account.nat`` costs about as much and opens the internet besides. A
    network that was there already has its own ways, so nothing is added to it.
    """
    settings, template = stack.plan.settings.template, stack.template
    if settings.vpc or "EndpointGroup" in template.resources:
        return
    group = template.add_resource(
        ec2.SecurityGroup(
            "EndpointGroup",
            GroupDescription="Ways to AWS from private subnets",
            VpcId=network.vpc,
            SecurityGroupIngress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp=Ref("VpcRange"), Description="The network itself"
                )
            ],
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="127.0.0.1/32", Description="Nowhere else")
            ],
        )
    )
    for title, service in ENDPOINTS.items():
        template.add_resource(
            ec2.VPCEndpoint(
                f"{title}Endpoint",
                VpcId=network.vpc,
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                VpcEndpointType="Interface",
                PrivateDnsEnabled=True,
                SubnetIds=list(network.private_subnets),
                SecurityGroupIds=[GetAtt(group, "GroupId")],
            )
        )


def _nat(stack: Stack, letter: str, *, subnet: Any, table: Any, attached: str) -> None:
    """One per zone: the loss of a zone must not take the others' way out with it."""
    address = stack.template.add_resource(
        ec2.EIP(f"NatAddress{letter}", Domain="vpc", DependsOn=attached, Tags=_named(f"nat-{letter.lower()}"))
    )
    gateway = stack.template.add_resource(
        ec2.NatGateway(
            f"Nat{letter}",
            AllocationId=GetAtt(address, "AllocationId"),
            SubnetId=Ref(subnet),
            Tags=_named(f"nat-{letter.lower()}"),
        )
    )
    stack.template.add_resource(
        ec2.Route(
            f"PrivateRoute{letter}",
            RouteTableId=Ref(table),
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=Ref(gateway),
        )
    )


def _range(index: int, zones: int) -> Any:
    return Select(index, Cidr(Ref("VpcRange"), 2 * zones, SUBNET_BITS))


def _named(name: str) -> Any:
    """``Name`` is what the console shows; the stack's other tags come from ``create-stack --tags``."""
    return Tags(Name=Sub(f"${{AWS::StackName}}-{name}"))
