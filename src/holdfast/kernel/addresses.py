"""Internet addresses: which of them everybody can reach. Pure.

Whoever sends requests that strangers ask for (callbacks, probes) could reach from its place what they cannot: a
database on loopback, a cloud's metadata service, a neighbour's admin page. The judgement is about the address that
is connected to; a name that is judged and looked up again may lead elsewhere the second time (DNS rebinding).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

# What the IANA registers as not globally reachable, without trusting the Python at hand to have today's list:
# https://www.iana.org/assignments/iana-ipv4-special-registry (2025-10), .../iana-ipv6-special-registry (2025-10).
_CLOSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared between a carrier and its customers; a cloud's metadata at 100.100.100.200
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's agent channel: a public number that ends at the host below
            "169.254.0.0/16",  # link-local; most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_OPEN_6: Final = IPv6Network("2000::/3")
"""All that is given out for the internet; loopback, unique-local, link-local, multicast, mapped are outside of it."""
_CLOSED_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "3fff::/20",
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_THIS_4: Final = IPv4Network("0.0.0.0/8")
_GROUPS_4: Final = IPv4Network("224.0.0.0/3")
"""Multicast, reserved, broadcast."""


def is_public(address: Address) -> bool:
    """Whether an address is reachable for everybody, so that calling it gives away nothing of our place."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:  # on a network without IPv4 this is how all of it looks
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)


def is_host(address: Address) -> bool:
    """Whether an address stands for one machine that can be named, public or not: no group, no "any", no broadcast."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_host(address.ipv4_mapped)
    if isinstance(address, IPv4Address):
        return address not in _THIS_4 and address not in _GROUPS_4
    return not address.is_multicast and not address.is_unspecified
