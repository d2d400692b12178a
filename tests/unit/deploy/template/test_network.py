"""The network: one that is made, or one that is there."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.build import build
from tests.unit.deploy.template import demo
from tests.unit.deploy.template.making import resources


def made(*placements: Any, **settings: Any) -> dict[str, Any]:
    return {
        title: each["Properties"] for title, each in resources(build(demo.plan(*placements, **settings))[0]).items()
    }


@pytest.mark.parametrize("zones", [2, 3])
def test_each_zone_has_a_public_and_a_private_subnet_that_do_not_overlap(zones: int) -> None:
    found = made(demo.balancer(), zones=zones)
    subnets = {title: each for title, each in found.items() if "CidrBlock" in each and title != "Vpc"}
    assert len(subnets) == 2 * zones
    ranges = [each["CidrBlock"]["Fn::Select"][0] for each in subnets.values()]
    assert sorted(ranges) == list(range(2 * zones))


def test_without_nat_tasks_have_addresses_and_with_it_they_have_none() -> None:
    network = [
        made(demo.balancer(), nat=nat)["BalancerService"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        for nat in (False, True)
    ]
    assert [each["AssignPublicIp"] for each in network] == ["ENABLED", "DISABLED"]
    assert network[1]["Subnets"] == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]


def test_the_loss_of_a_zone_takes_nobody_elses_way_out() -> None:
    found = made(demo.balancer(), nat=True, zones=3)
    gateways = {found[f"PrivateRoute{zone}"]["NatGatewayId"]["Ref"] for zone in "ABC"}
    assert gateways == {"NatA", "NatB", "NatC"}


def test_subnets_give_out_addresses_only_where_machines_need_them() -> None:
    alone, with_machines = made(demo.balancer()), made(demo.workers())
    assert alone["PublicSubnetA"]["MapPublicIpOnLaunch"] is False
    assert with_machines["PublicSubnetA"]["MapPublicIpOnLaunch"] is True
    assert with_machines["PrivateSubnetA"]["MapPublicIpOnLaunch"] is False


def test_a_network_that_is_there_is_looked_up_and_not_changed() -> None:
    stack = build(demo.plan(demo.balancer(), **demo.EXISTING))[0]
    assert not resources(stack, "::Subnet")
    assert not resources(stack, "::VPC")
    parameters = {title: each.to_dict() for title, each in stack.template.parameters.items()}
    assert parameters["Vpc"]["Type"] == "AWS::EC2::VPC::Id"
    assert parameters["PublicSubnets"]["Type"] == "List<AWS::EC2::Subnet::Id>"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"vpc": "vpc-xyz"}, "'vpc-xyz' is not the id of a VPC"),
        ({"public_subnets": ("subnet-0000000000000000a",)}, "public_subnets: .* need two subnets"),
        ({"private_subnets": ()}, "private_subnets: .* need two subnets"),
        ({"private_subnets": ("subnet-0000000000000000c", "private")}, "'private' is not the id of a subnet"),
        (
            {"private_subnets": ("subnet-0000000000000000a", "subnet-0000000000000000d")},
            "cannot be public and private at once",
        ),
    ],
)
def test_a_network_that_aws_would_refuse_is_refused_here(change: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        build(demo.plan(demo.balancer(), **{**demo.EXISTING, **change}))


def test_one_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="1 is neither 2 nor 3"):
        build(demo.plan(demo.balancer(), zones=1))
