"""HF4xx: records of Route 53, and certificates for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from holdfast.deploy.core.rules.resolve import list_of, mapping_of, number_of, target_of, text_of
from holdfast.deploy.core.rules.violation import Found, Path, Subject, rule

_WEIGHT_MOST: Final = 255
_TTL_MOST_S: Final = 300
"""A weight that changes is seen by a client after as long. 60 s is usual during a cut-over."""
_ROUTING: Final = (
    "Weight",
    "Region",
    "Failover",
    "GeoLocation",
    "GeoProximityLocation",
    "MultiValueAnswer",
    "CidrRoutingConfig",
)
_VALUES: Final = "Amazon Route 53, values specific for weighted records"


class _Record(NamedTuple):
    id: str
    path: Path
    body: Mapping[str, Any]
    name: str
    """Without the last dot, in lower case, together with its zone."""

    @property
    def type(self) -> str:
        return text_of(self.body.get("Type")) or ""

    @property
    def weight(self) -> float | None:
        return number_of(self.body.get("Weight"))


def _records(subject: Subject) -> Iterator[_Record]:
    for one in subject.template.of("AWS::Route53::RecordSet"):
        yield _Record(one.id, ("Properties",), one.properties, _name(one.properties, one.properties))
    for group in subject.template.of("AWS::Route53::RecordSetGroup"):
        for number, entry in enumerate(list_of(group.at("RecordSets"))):
            body = mapping_of(entry)
            yield _Record(group.id, ("Properties", "RecordSets", number), body, _name(body, group.properties))


def _name(body: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    zone = next((str(v) for k in ("HostedZoneId", "HostedZoneName") if (v := body.get(k) or owner.get(k))), "")
    name = text_of(body.get("Name"))
    return f"{(name if name is not None else repr(body.get('Name'))).rstrip('.').lower()} {zone.rstrip('.')}"


def _by_name(subject: Subject, *, by_type: bool) -> Iterator[list[_Record]]:
    found: dict[tuple[str, str], list[_Record]] = defaultdict(list)
    for record in _records(subject):
        found[record.name, record.type if by_type else ""].append(record)
    yield from found.values()


def _plain(record: _Record) -> str:
    return record.name.split(" ")[0]


@rule(
    "HF401",
    "all weights are zero",
    why="Route 53 does not stop then: it spreads traffic equally over all of the records.",
    remedy="give one record a weight above 0; to take a service off the air, delete the record",
    source=_VALUES,
)
def _all_zero(subject: Subject) -> Iterator[Found]:
    for records in _by_name(subject, by_type=True):
        weighted = [record for record in records if record.body.get("Weight") is not None]
        if weighted and all(record.weight == 0 for record in weighted):
            text = f"all weights of {_plain(weighted[0])} are zero, so all its records get the same"
            yield weighted[0].id, (*weighted[0].path, "Weight"), text


@rule(
    "HF402",
    "weight out of range",
    why="The change batch is refused, and the stack rolls back: weights are integers from 0 to 255.",
    remedy="scale the weights down; only their ratio counts",
    source=_VALUES,
)
def _weight_range(subject: Subject) -> Iterator[Found]:
    for record in _records(subject):
        weight = record.weight
        if weight is not None and (not 0 <= weight <= _WEIGHT_MOST or weight != int(weight)):
            yield record.id, (*record.path, "Weight"), f"{weight:g} is no weight: 0 to {_WEIGHT_MOST}"


@rule(
    "HF403",
    "CNAME beside another record",
    why="The change batch is refused: at the name of a CNAME there is nothing else.",
    remedy="use an alias record (type A with AliasTarget), or remove the other record in the same batch",
    source="RFC 1034 section 3.6.2; Amazon Route 53, supported DNS record types",
)
def _cname(subject: Subject) -> Iterator[Found]:
    for records in _by_name(subject, by_type=False):
        types = {record.type for record in records}
        for record in records:
            if record.type == "CNAME" and len(types) > 1:
                others = ", ".join(sorted(types - {"CNAME"}))
                yield record.id, (*record.path, "Type"), f"{_plain(record)} has a CNAME and {others}"


@rule(
    "HF404",
    "simple record beside weighted ones",
    why="The change batch is refused: the records of one name and type use one routing policy.",
    remedy="make the simple record a weighted one, with a SetIdentifier, in the same batch",
    source="Amazon Route 53, choosing a routing policy",
)
def _simple_beside(subject: Subject) -> Iterator[Found]:
    for records in _by_name(subject, by_type=True):
        policies = [next((key for key in _ROUTING if key in record.body), "") for record in records]
        if len(set(policies)) > 1:
            odd = records[policies.index("") if "" in policies else 0]
            yield odd.id, odd.path, f"{_plain(odd)} has records of {len(set(policies))} routing policies"


@rule(
    "HF405",
    "records that cannot be told apart",
    why="The batch is refused, or one record silently replaces the other.",
    remedy="give each weighted record of a name its own SetIdentifier; merge simple records into one",
    source=_VALUES,
)
def _same_identifier(subject: Subject) -> Iterator[Found]:
    for records in _by_name(subject, by_type=True):
        seen: set[str | None] = set()
        for record in records:
            routed = any(key in record.body for key in _ROUTING)
            identifier = text_of(record.body.get("SetIdentifier"))
            if routed and record.body.get("SetIdentifier") is None:
                yield record.id, record.path, "a record with a routing policy needs a SetIdentifier"
            elif (identifier is not None or not routed) and identifier in seen:
                yield record.id, record.path, f"there is another {identifier or record.type} of {_plain(record)}"
            seen.add(identifier)


@rule(
    "HF406",
    "CNAME at the top of a zone",
    why="The batch is refused: the zone's own name has SOA and NS records.",
    remedy="use an alias record",
    source="Amazon Route 53, choosing between alias and non-alias records",
)
def _apex(subject: Subject) -> Iterator[Found]:
    for record in _records(subject):
        zone = text_of(record.body.get("HostedZoneName"))
        if record.type == "CNAME" and zone is not None and zone.rstrip(".").lower() == _plain(record):
            yield record.id, (*record.path, "Type"), f"{_plain(record)} is the zone itself"


@rule(
    "HF407",
    "long TTL beside weights",
    why="Resolvers keep the old answer for so long: a roll-back takes that long too.",
    remedy="lower the TTL to 60 s and wait the old one out before the first weight is moved",
    source=_VALUES,
)
def _long_ttl(subject: Subject) -> Iterator[Found]:
    for record in _records(subject):
        ttl = number_of(record.body.get("TTL"))
        if record.body.get("Weight") is not None and ttl is not None and ttl > _TTL_MOST_S:
            yield record.id, (*record.path, "TTL"), f"clients keep to the old weights for up to {ttl:g} s"


@rule(
    "HF408",
    "alias with a TTL",
    why="The batch is refused: an alias has the TTL of what it points to.",
    remedy="drop the TTL and the ResourceRecords",
    source="Amazon Route 53, values common for alias records",
)
def _alias_ttl(subject: Subject) -> Iterator[Found]:
    for record in _records(subject):
        if record.body.get("AliasTarget") is not None and {"TTL", "ResourceRecords"} & set(record.body):
            yield record.id, record.path, "an alias with a TTL or with values of its own"


@rule(
    "HF409",
    "alias into the zone of another load balancer",
    why="The batch is refused, or the name leads nowhere: the zone has to be that of the load balancer that is named.",
    remedy="take DNSName and CanonicalHostedZoneID from the same load balancer",
    source="Amazon Route 53, values specific for alias records",
)
def _alias_zone(subject: Subject) -> Iterator[Found]:
    for record in _records(subject):
        alias = mapping_of(record.body.get("AliasTarget"))
        name, zone = target_of(alias.get("DNSName")), target_of(alias.get("HostedZoneId"))
        if name is not None and zone is not None and name != zone and zone not in subject.template.parameters:
            yield record.id, (*record.path, "AliasTarget"), f"the name is of {name}, the zone of {zone}"


@rule(
    "HF410",
    "certificate that nobody validates",
    why="The stack waits until somebody enters the record by hand or answers a mail, and fails after 72 h.",
    remedy="set ValidationMethod: DNS and DomainValidationOptions with the HostedZoneId of each name",
    source="AWS::CertificateManager::Certificate; AWS Certificate Manager, DNS validation",
)
def _certificate(subject: Subject) -> Iterator[Found]:
    for certificate in subject.template.of("AWS::CertificateManager::Certificate"):
        options = [mapping_of(one) for one in list_of(certificate.at("DomainValidationOptions"))]
        if certificate.at("ValidationMethod") != "DNS":
            yield certificate.id, ("Properties",), "is validated by mail"
        elif not options or any(one.get("HostedZoneId") is None for one in options):
            yield certificate.id, ("Properties", "DomainValidationOptions"), "no zone is named that proves the name"
