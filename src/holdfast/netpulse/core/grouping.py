"""What failures have in common: the labels that tie monitors to one cause.

Two monitors are relatives when they have the same value of the same label out of :data:`KEYS`, in this order of
precedence: the first one that all have names the cause. ``host``, ``address`` and ``domain`` say what is asked
(``address`` also by the address that was last seen to answer); the others are tags that an operator writes to say
that things stand and fall together. No other label counts: that two monitors are both ``env=prod`` explains nothing.

Loopback addresses name another machine for every agent, so they tie nothing together.

Labels in common are those of *all* members of an incident, not of some pair. Otherwise a shares a host with b, b a
domain with c, and three unrelated failures become one incident by a chain of coincidences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from holdfast.netpulse.core.incident import Condition

KEYS: Final = ("host", "address", "domain", "cause", "cluster", "zone", "region", "datacenter")
"""Labels that tie causes together, the most telling first."""
OWN_KINDS: Final = frozenset({"host", "address", "domain"})
"""Those that are a kind of cause by themselves; the others are ``tag`` causes."""

FACETS: Final[Mapping[Condition, str]] = {
    Condition.DOWN: "availability",
    Condition.PARTIAL: "availability",
    Condition.SLOW: "availability",
    Condition.CERTIFICATE: "certificate",
    Condition.BURN_FAST: "objective",
    Condition.BURN_SLOW: "objective",
    Condition.AGENT: "agent",
}
"""Conditions of one facet are one incident of a monitor: what is down is not also reported as slow."""

_RANK: Final = tuple(Condition)


def worst(conditions: Iterable[Condition]) -> Condition:
    """The one that says most, by the order in which :class:`Condition` lists them."""
    return min(conditions, key=_RANK.index)


def as_bad(condition: Condition, other: Condition) -> bool:
    """Whether ``condition`` is as bad as ``other``, or worse: then it can be its cause."""
    return _RANK.index(condition) <= _RANK.index(other)


def traits(labels: Mapping[str, str], address: str = "") -> dict[str, str]:
    """The labels that tie a monitor to others.

    Args:
        labels: Of the monitor.
        address: That was last seen to answer for it; its label wins.
    """
    found = {}
    for key in KEYS:
        value = labels.get(key, "") or (address if key == "address" else "")
        if value and not (key in OWN_KINDS and _loopback(value)):
            found[key] = value
    return found


def shared(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """What both have."""
    return {key: value for key, value in ours.items() if theirs.get(key) == value}


def _loopback(value: str) -> bool:
    if value == "localhost" or value.endswith(".localhost"):
        return True
    try:
        address = ip_address(value)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
