"""Which addresses everybody can reach, and which stand for a machine at all."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from holdfast.kernel.addresses import is_host, is_public


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert is_host(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "168.63.129.16"),
        *("::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::10.0.0.1", "2002:7f00:1::"),
    ],
)
def test_an_inner_address_is_a_host_but_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert is_host(ip_address(address))


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "ff02::1", "::ffff:224.0.0.1"]
)
def test_a_group_or_nobody_is_no_host(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not is_host(ip_address(address))
