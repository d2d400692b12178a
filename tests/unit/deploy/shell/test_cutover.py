"""The rehearsal: what moto would take and Route 53 would not is never called."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
import pytest
from moto import mock_aws

from holdfast.deploy.core.cutover.plan import plan
from holdfast.deploy.core.cutover.records import Alias, Batch, Change, Record, Refused
from holdfast.deploy.core.cutover.settings import CutoverRequest
from holdfast.deploy.core.cutover.text import render
from holdfast.deploy.errors import ToolFailed
from holdfast.deploy.shell import cutover
from holdfast.deploy.shell.cutover import Unexpected, dry_run, records_of
from tests.unit.deploy.core.cutover.requests import CNAME, REQUESTS

NAME = "ai.example.com"
ALIAS = Alias(dns="new.elb.amazonaws.com", zone="Z32O12XQLNTSW2")
SIMPLE = Record(name=NAME, type="A", alias=ALIAS)
FOUND = Record(name=NAME, type="CNAME", ttl=300, values=("old.awsapprunner.com",))
OLD = Record(name=NAME, type="A", alias=ALIAS, set_id="old", weight=100)


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        made = boto3.client("route53", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        yield made
        made.close()


@pytest.fixture
def balancing() -> Iterator[Any]:
    with mock_aws():
        nobody = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        made = [boto3.client(name, region_name="us-east-1", **nobody) for name in ("ec2", "elbv2")]
        yield made
        for one in made:
            one.close()


@pytest.fixture
def zone(client: Any) -> str:
    made: str = client.create_hosted_zone(Name="example.com", CallerReference="test")["HostedZone"]["Id"]
    return made.rpartition("/")[2]


class Counted:
    """A client that counts the changes that reach it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.changes = 0

    def list_resource_record_sets(self, **request: Any) -> Any:
        return self.client.list_resource_record_sets(**request)

    def change_resource_record_sets(self, **request: Any) -> Any:
        self.changes += 1
        return self.client.change_resource_record_sets(**request)


def create(*records: Record) -> Batch:
    return Batch(comment="test", changes=tuple(Change(action="CREATE", record=record) for record in records))


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_every_step_comes_out_as_planned_and_its_way_back_restores_the_records(request_: CutoverRequest) -> None:
    of = plan(request_)
    done = dry_run(of)
    assert [one.step for one in done] == [step.id for step in of.steps]
    assert [one.step for one in done if not one.undone] == ["delete"]
    assert all(one.records == of.after(step) for one, step in zip(done, of.steps, strict=True))


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (FOUND, create(SIMPLE)),
        (SIMPLE, create(OLD)),
        (SIMPLE, create(Record(name=NAME, type="CNAME", ttl=60, values=("new.example.net",)))),
        (OLD, create(Record(name=NAME, type="A", alias=ALIAS, set_id="new", weight=300))),
        (
            OLD,
            Batch(
                comment="",
                changes=(
                    Change(action="UPSERT", record=Record(name=NAME, type="A", alias=ALIAS, set_id="old", weight=0)),
                ),
            ),
        ),
        (
            OLD,
            Batch(
                comment="",
                changes=(
                    Change(action="DELETE", record=Record(name=NAME, type="A", alias=ALIAS, set_id="old", weight=99)),
                ),
            ),
        ),
    ],
    ids=["a beside cname", "weighted beside simple", "cname beside a", "weight 300", "all zero", "delete inexact"],
)
def test_what_moto_would_take_and_route_53_would_not_is_not_called(
    client: Any, zone: str, there: Record, then: Batch
) -> None:
    counted = Counted(client)
    first = Batch(comment="", changes=(Change(action="UPSERT", record=there),))
    cutover.change(counted, zone, NAME, first, apex="example.com")
    with pytest.raises(Refused):
        cutover.change(counted, zone, NAME, then, apex="example.com")
    assert counted.changes == 1
    assert records_of(client, zone, NAME) == {there}


def test_a_zone_that_does_not_come_out_as_computed_ends_the_rehearsal(client: Any, zone: str) -> None:
    class Deaf(Counted):
        def change_resource_record_sets(self, **request: Any) -> Any:
            self.changes += 1

    with pytest.raises(Unexpected, match=r"nothing instead of A=new\.elb"):
        cutover.change(Deaf(client), zone, NAME, create(SIMPLE), apex="example.com")


def test_records_of_other_names_are_left_out(client: Any, zone: str) -> None:
    for name in ("aa.example.com", "zz.example.com"):
        other = Record(name=name, type="A", ttl=60, values=("192.0.2.1",))
        cutover.change(client, zone, name, create(other), apex="example.com")
    assert records_of(client, zone, NAME) == frozenset()


def test_a_name_that_is_routed_otherwise_is_not_moved_by_weight(client: Any, zone: str) -> None:
    geo = {
        "Name": NAME,
        "Type": "A",
        "TTL": 60,
        "SetIdentifier": "eu",
        "GeoLocation": {"ContinentCode": "EU"},
        "ResourceRecords": [{"Value": "192.0.2.1"}],
    }
    client.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": geo}]}
    )
    with pytest.raises(Unexpected, match="GeoLocation"):
        records_of(client, zone, NAME)


def test_a_cname_at_the_apex_is_refused() -> None:
    with pytest.raises(Refused, match="apex"):
        dry_run(plan(CNAME), zone_name=NAME)


def test_without_moto_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(ToolFailed, match=r"pip install 'holdfast\[deploy\]'"):
        dry_run(plan(CNAME))


def test_what_is_written_is_the_plan_and_every_file_that_its_lines_name(tmp_path: Path) -> None:
    of = plan(CNAME)
    first, *others = cutover.write(of, tmp_path / "move")
    assert first.read_text() == render(of)
    assert {path.name: path.read_text() for path in others} == of.files
    named = set(re.findall(r"file://([\w.-]+)", first.read_text()))
    assert named == {path.name for path in others}


def queried(request_: CutoverRequest, words: str, answer: Any) -> Any:
    """What the last ``--query`` of the plan's line with these words makes of an answer."""
    lines = [check.command for step in plan(request_).steps for check in step.checks]
    line = next(one for one in lines if words in one)
    return jmespath.search(shlex.split(line)[-1], answer)


def test_the_printed_query_finds_the_rule_of_a_shared_listener_by_its_host(balancing: Any) -> None:
    ec2, elb = balancing
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{'ab'[n]}")["Subnet"][
            "SubnetId"
        ]
        for n in range(2)
    ]
    balancer = elb.create_load_balancer(Name="holdfast", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {
        name: elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
            "TargetGroupArn"
        ]
        for name in ("neighbour", "gateway")
    }
    refuse = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=443, DefaultActions=[refuse])
    arn = listener["Listeners"][0]["ListenerArn"]
    for number, (name, host) in enumerate([("neighbour", "blog.example.com"), ("gateway", NAME)], 1):
        condition = {"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}
        forward = {"Type": "forward", "TargetGroupArn": groups[name]}
        elb.create_rule(ListenerArn=arn, Priority=number, Conditions=[condition], Actions=[forward])
    assert queried(CNAME, "describe-rules", elb.describe_rules(ListenerArn=arn)) == [groups["gateway"]]


def test_the_printed_query_shows_the_records_of_the_name_alone(client: Any, zone: str) -> None:
    for name in (NAME, "zz.example.com"):
        record = Record(name=name, type="A", ttl=60, values=("192.0.2.1",))
        cutover.change(client, zone, name, create(record), apex="example.com")
    listed = client.list_resource_record_sets(HostedZoneId=zone)
    assert [one["Name"] for one in queried(CNAME, "list-resource-record-sets", listed)] == [f"{NAME}."]
