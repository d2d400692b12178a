"""What Route 53 takes and what it does not, before it is asked."""

from __future__ import annotations

import pytest

from holdfast.deploy.core.cutover.records import Alias, Batch, Change, Record, Refused, Zone, apply, from_api, to_api

TARGET = Alias(dns="new.elb.amazonaws.com", zone="Z32O12XQLNTSW2")
NAME = "ai.example.com"
SIMPLE = Record(name=NAME, type="A", alias=TARGET)
CNAME = Record(name=NAME, type="CNAME", ttl=300, values=("old.awsapprunner.com",))


def weighted(side: str, weight: int, ttl: int | None = None) -> Record:
    if ttl is not None:
        return Record(name=NAME, type="CNAME", ttl=ttl, values=(f"{side}.example.net",), set_id=side, weight=weight)
    return Record(name=NAME, type="A", alias=TARGET, set_id=side, weight=weight)


def batch(*changes: Change) -> Batch:
    return Batch(comment="", changes=changes)


def create(*records: Record) -> Batch:
    return batch(*(Change(action="CREATE", record=record) for record in records))


def test_a_cname_gives_way_to_an_alias_in_one_batch() -> None:
    swap = batch(Change(action="DELETE", record=CNAME), Change(action="CREATE", record=SIMPLE))
    assert apply(frozenset({CNAME}), swap) == {SIMPLE}


def test_a_simple_record_gives_way_to_weighted_ones_in_one_batch() -> None:
    pair = [weighted("old", 100), weighted("new", 0)]
    swap = batch(Change(action="DELETE", record=SIMPLE), *(Change(action="CREATE", record=record) for record in pair))
    assert apply(frozenset({SIMPLE}), swap) == set(pair)


@pytest.mark.parametrize(
    ("zone", "change", "says"),
    [
        ({CNAME}, create(SIMPLE), "a CNAME stands alone"),
        ({SIMPLE}, create(weighted("new", 1)), "simple record beside others"),
        (set(), create(weighted("old", 0), weighted("new", 0)), "equally often"),
        (set(), create(weighted("old", 0)), "equally often"),
        (set(), create(weighted("old", 300)), "not within 0 to 255"),
        (set(), create(weighted("old", -1)), "not within 0 to 255"),
        (set(), create(weighted("old", 99, 60), weighted("new", 1, 300)), "different TTLs"),
        ({SIMPLE}, create(SIMPLE), "CREATE of A ai.example.com"),
        (set(), batch(Change(action="DELETE", record=CNAME)), "must name what is there"),
        ({weighted("old", 9)}, batch(Change(action="DELETE", record=weighted("old", 8))), "must name what is there"),
        (set(), batch(), "1 to 1000 changes"),
        (set(), create(Record(name=NAME, type="A", alias=TARGET, ttl=60)), "has no TTL"),
        (set(), create(Record(name=NAME, type="CNAME", alias=TARGET)), "of the target's type"),
        (set(), create(Record(name=NAME, type="A")), "an alias, or values"),
        (set(), create(Record(name=NAME, type="A", alias=TARGET, weight=1)), "both a weight and an identifier"),
        (set(), create(Record(name=NAME, type="CNAME", ttl=60, values=("a.b", "c.d"))), "exactly one value"),
        (set(), create(Record(name="example.com", type="CNAME", ttl=60, values=("a.b",))), "apex"),
    ],
)
def test_what_route_53_would_refuse_or_must_not_be_given_is_refused(
    zone: set[Record], change: Batch, says: str
) -> None:
    before: Zone = frozenset(zone)
    with pytest.raises(Refused, match=says):
        apply(before, change, apex="example.com")


def test_the_same_record_is_not_deleted_twice_in_a_batch() -> None:
    with pytest.raises(Refused, match="must name what is there"):
        apply(frozenset({CNAME}), batch(*[Change(action="DELETE", record=CNAME)] * 2))


@pytest.mark.parametrize("record", [SIMPLE, CNAME, weighted("old", 7), weighted("new", 7, 60)])
def test_what_is_handed_to_the_api_is_read_back_the_same(record: Record) -> None:
    (told,) = to_api(create(record))["Changes"]
    assert from_api(told["ResourceRecordSet"]) == record
