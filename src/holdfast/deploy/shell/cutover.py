"""A cut-over rehearsed against moto, in this process: every change, every check of records, and every way back.

moto takes batches that Route 53 refuses (a CNAME beside another record, a simple record beside weighted ones, a weight
of 300, a DELETE that names other weights than there are), so each batch is first held against the records that are
there, by the rules of :mod:`holdfast.deploy.core.cutover.records`. What is then called is read back and compared.

There is no rehearsal against AWS, and no run: a program that moves traffic for hours needs somebody who watches it, and
whoever watches can paste a line. The plan is the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from holdfast.deploy.core.cutover.records import Batch, Change, Record, Zone, apply, from_api, to_api
from holdfast.deploy.core.cutover.steps import CutoverPlan, Step
from holdfast.deploy.core.cutover.text import render
from holdfast.deploy.errors import DeployError, ToolFailed
from holdfast.deploy.shell.charts import write_chart

_PAGES: Final = 10


class Unexpected(DeployError):
    """The zone is not what the plan says it is."""


class Route53(Protocol):
    """What is needed of ``boto3.client("route53")``."""

    def change_resource_record_sets(self, *, HostedZoneId: str, ChangeBatch: Mapping[str, Any]) -> Any:  # noqa: N803
        """As the API reference has it."""
        ...

    def list_resource_record_sets(self, **request: Any) -> Any:
        """As the API reference has it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One step, carried out and taken back."""

    step: str
    records: Zone
    """Of the name, once it was done."""
    undone: bool
    """Its way back restored the records of the start exactly; false: the step has no way back."""


def records_of(client: Route53, zone_id: str, name: str) -> Zone:
    """All record sets of one name. Raises :class:`Unexpected` for routing that is neither simple nor weighted."""
    found: set[Record] = set()
    where: dict[str, Any] = {"StartRecordName": name}
    for _ in range(_PAGES):
        page = client.list_resource_record_sets(HostedZoneId=zone_id, **where)
        told = [one for one in page["ResourceRecordSets"] if one["Name"].removesuffix(".").lower() == name]
        for one in told:
            if strange := {"Region", "GeoLocation", "Failover", "MultiValueAnswer"} & set(one):
                raise Unexpected(
                    f"{one['Type']} {name} is routed by {', '.join(strange)}; a cut-over by weight needs a"
                    " simple record: move the name by hand, or make it simple first"
                )
            found.add(from_api(one))
        if not page.get("IsTruncated") or len(told) < len(page["ResourceRecordSets"]):
            return frozenset(found)
        where = {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
        if "NextRecordIdentifier" in page:
            where["StartRecordIdentifier"] = page["NextRecordIdentifier"]
    raise Unexpected(f"{name} has more than {_PAGES} pages of records; nothing that this plan could move")


def change(client: Route53, zone_id: str, name: str, batch: Batch, *, apex: str) -> Zone:
    """Hand in one batch, if Route 53 would take it, and return the records that are there afterwards.

    Raises :class:`~holdfast.deploy.core.cutover.records.Refused` before anything is called, and :class:`Unexpected`
    when the zone does not come out as computed.
    """
    expected = apply(records_of(client, zone_id, name), batch, apex=apex)
    client.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=to_api(batch))
    found = records_of(client, zone_id, name)
    if found != expected:
        raise Unexpected(f"after {batch.comment!r} the zone holds {_said(found)} instead of {_said(expected)}")
    return found


def rehearse(plan: CutoverPlan, client: Any, zone_name: str) -> Iterator[Rehearsed]:
    """Every prefix of the plan in a new hosted zone each, carried out and then taken back by its last step.

    ``client`` is ``boto3.client("route53")``, and is trusted to be a rehearsal's: hosted zones are made. Raises
    :class:`Refused <holdfast.deploy.core.cutover.records.Refused>` and :class:`Unexpected`.
    """
    name = plan.request.name
    for number, step in enumerate(plan.steps):
        made = client.create_hosted_zone(Name=zone_name, CallerReference=f"rehearsal-{number}")
        zone_id = made["HostedZone"]["Id"].rpartition("/")[2]
        first = Batch(
            comment="as it is found", changes=tuple(Change(action="UPSERT", record=one) for one in plan.before)
        )
        found = change(client, zone_id, name, first, apex=zone_name)
        for one in plan.steps[: number + 1]:
            if one.batch is not None:
                found = change(client, zone_id, name, one.batch, apex=zone_name)
        if found != plan.after(step):
            raise Unexpected(f"after {step.id} the zone holds {_said(found)} instead of {_said(plan.after(step))}")
        yield Rehearsed(step=step.id, records=found, undone=_undo(client, zone_id, zone_name, plan, step))


def _undo(client: Route53, zone_id: str, zone_name: str, plan: CutoverPlan, step: Step) -> bool:
    if step.back is None:
        return False
    for batch in step.back.batches:
        change(client, zone_id, plan.request.name, batch, apex=zone_name)
    found = records_of(client, zone_id, plan.request.name)
    if found != plan.before:
        raise Unexpected(f"{step.id} taken back leaves {_said(found)} instead of {_said(plan.before)}")
    return True


def dry_run(plan: CutoverPlan, zone_name: str = "") -> tuple[Rehearsed, ...]:
    """The whole rehearsal against moto. ``zone_name``: of the hosted zone; else the name without its first label.

    Raises :class:`ToolFailed` where moto is not installed, and what :func:`rehearse` raises.
    """
    with _mocked() as client:
        return tuple(rehearse(plan, client, zone_name or plan.request.name.partition(".")[2]))


def write(plan: CutoverPlan, directory: Path) -> tuple[Path, ...]:
    """Write ``plan.txt`` and the files that its lines name, each completely or not at all. Raises ``OSError``.

    Returns their paths, the plan first. The lines are to be run in that directory.
    """
    paths = []
    for name, text in {"plan.txt": render(plan), **plan.files}.items():
        paths.append(directory / name)
        write_chart(paths[-1], text)
    return tuple(paths)


@contextmanager
def _mocked() -> Iterator[Any]:
    try:
        import boto3
        from moto import mock_aws
    except ImportError as error:
        raise ToolFailed(f"a rehearsal needs moto: pip install 'holdfast[deploy]' ({error})") from error
    # With keys that are nobody's, nothing can reach an account even if a call slipped past moto.
    with mock_aws():
        nobody = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}
        client = boto3.client("route53", region_name="us-east-1", **nobody)
        try:
            yield client
        finally:
            client.close()


def _said(zone: Zone) -> str:
    parts = [
        f"{one.type}={one.alias.dns if one.alias else ','.join(one.values)}"
        + (f" weight {one.weight}" if one.weight is not None else "")
        + (f" TTL {one.ttl}" if one.ttl is not None else "")
        for one in zone
    ]
    return "; ".join(sorted(parts)) or "nothing"
