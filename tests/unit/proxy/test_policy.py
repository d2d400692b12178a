"""Whose word about a client is taken."""

from __future__ import annotations

import ipaddress

import pytest

from holdfast.proxy import EdgePolicy

TRUSTING = EdgePolicy(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fe80::/10")))


@pytest.mark.parametrize(
    ("address", "trusted"),
    [("10.1.2.3", True), ("11.1.2.3", False), ("fe80::1%eth0", True), ("::1", False), ("unix", False), ("", False)],
)
def test_only_listed_networks_are_trusted(address: str, trusted: bool) -> None:
    assert TRUSTING.trusts(address) is trusted


def test_nobody_is_trusted_by_default() -> None:
    assert not EdgePolicy().trusts("127.0.0.1")
