"""The records of each stage of a cut-over, and the batches that lead from one to the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from holdfast.deploy.core.cutover.records import Alias, Batch, Change, Record
from holdfast.deploy.core.cutover.settings import CutoverRequest, Target

WHOLE: Final = 100
"""Weights are percent: they sum to 100, well within Route 53's 255."""


def start(request: CutoverRequest) -> tuple[Record, ...]:
    """The simple records that the name is expected to have today."""
    return simple(request, request.source, ttl=request.ttl_s, by_cname=request.was_cname)


def simple(request: CutoverRequest, target: Target, *, ttl: int, by_cname: bool) -> tuple[Record, ...]:
    """Everybody is sent to one target; ``ttl`` in seconds, for a CNAME."""
    return _records(request, target, ttl=ttl, by_cname=by_cname, side=None, weight=None)


def lowered(request: CutoverRequest) -> tuple[Record, ...]:
    """Those of the start, with the TTL that they have while traffic is moved."""
    ttl = min(request.ttl_s, int(request.low_ttl)) if request.was_cname else request.ttl_s
    return simple(request, request.source, ttl=ttl, by_cname=request.was_cname)


def settled(request: CutoverRequest) -> tuple[Record, ...]:
    """Those of the end: everybody is sent to the new target, with the TTL of before."""
    return simple(request, request.target, ttl=request.ttl_s, by_cname=request.by_cname)


def weighted(request: CutoverRequest, percent: int) -> tuple[Record, ...]:
    """``percent`` of the answers name the new target, the others the old one."""
    ttl, by_cname = request.low_ttl_s, request.by_cname
    old = _records(request, request.source, ttl=ttl, by_cname=by_cname, side="old", weight=WHOLE - percent)
    return old + _records(request, request.target, ttl=ttl, by_cname=by_cname, side="new", weight=percent)


def _records(
    request: CutoverRequest, target: Target, *, ttl: int, by_cname: bool, side: str | None, weight: int | None
) -> tuple[Record, ...]:
    def identifier(type: str) -> str | None:
        return None if side is None else f"{side}-{type.lower()}"

    if by_cname:
        only = Record(
            name=request.name, type="CNAME", ttl=ttl, values=(target.dns,), set_id=identifier("cname"), weight=weight
        )
        return (only,)
    # Health is not evaluated while weights are moved: if every target of weight above zero were found unhealthy,
    # Route 53 would turn to those of weight zero, and a dark target would get everybody.
    alias = Alias(dns=target.dns, zone=target.zone, evaluates=target.evaluates and side is None)
    return tuple(
        Record(name=request.name, type=type, alias=alias, set_id=identifier(type), weight=weight)
        for type in request.types
    )


def replace(comment: str, old: Iterable[Record], new: Iterable[Record]) -> Batch:
    """These go and those come, in one transaction."""
    gone = tuple(Change(action="DELETE", record=record) for record in old)
    return Batch(comment=comment, changes=gone + tuple(Change(action="CREATE", record=record) for record in new))


def upsert(comment: str, records: Iterable[Record]) -> Batch:
    """These are changed in place, or made."""
    return Batch(comment=comment, changes=tuple(Change(action="UPSERT", record=record) for record in records))
