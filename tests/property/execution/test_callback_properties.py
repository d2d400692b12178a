"""Whatever a stranger writes as a callback URL leads to the public internet or nowhere."""

from __future__ import annotations

import ipaddress
import re

from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.core.callback import Target, judge_addresses, target
from holdfast.kernel.addresses import is_public

CLOSED = st.sampled_from(
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3"),
    ]
).map(ipaddress.IPv4Network)
INNER = st.tuples(CLOSED, st.integers(0, 2**32 - 1)).map(
    lambda drawn: drawn[0].network_address + drawn[1] % drawn[0].num_addresses
)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    number, parts = int(address), str(address).split(".")
    mapped = ipaddress.IPv6Address((0xFFFF << 32) + number)
    return [
        str(address),
        f"{address}.",
        str(number),
        oct(number).replace("o", ""),
        hex(number),
        ".".join(f"0{int(part):o}" for part in parts),
        ".".join(hex(int(part)) for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"[{mapped}]",
        f"[::ffff:{address}]",
        f"[::{address}]",
        f"[64:ff9b::{address}]",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
    ]


@given(INNER)
def test_no_inner_address_is_taken_in_any_spelling(address: ipaddress.IPv4Address) -> None:
    assert not is_public(address)
    assert judge_addresses([str(address)], allow_private=False) is not None
    for host in spellings(address):
        assert isinstance(target(f"http://{host}/", allow_private=False), str), host


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address) | st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_what_python_knows_as_private_is_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = address.is_private or address.is_multicast or address.is_reserved or address.is_loopback
    nat64 = isinstance(address, ipaddress.IPv6Address) and address in ipaddress.IPv6Network("64:ff9b::/96")
    assert nat64 or not (special and is_public(address))


@given(
    st.text(max_size=60)
    | st.text("htps:/@\\[]?#.%0123456789abcdefxX-_ \t\r\n", max_size=60).map(lambda text: f"http://{text}"),
    st.booleans(),
)
def test_any_text_is_read_or_refused_and_what_is_read_is_clean(text: str, private: bool) -> None:
    read = target(text, allow_private=private)
    if isinstance(read, Target):
        assert read.path.startswith("/")
        assert re.fullmatch(r"[!-~]+", f"{read.authority}{read.path}")
        assert not set("@\\/?#%") & set(read.authority)
        again = target(f"{read.scheme}://{read.authority}{read.path}", allow_private=private)
        assert again == read, "what is connected to is what was judged"
