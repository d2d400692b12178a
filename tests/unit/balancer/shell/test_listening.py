"""Addresses are taken before anything starts."""

from __future__ import annotations

import asyncio
import socket

import pytest

from holdfast.balancer.errors import AddressError
from holdfast.balancer.shell.listening import reserve, split_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8080", ("", "127.0.0.1", 8080)),
        ("[::1]:0", ("", "::1", 0)),
        ("https://example.com:443", ("https://", "example.com", 443)),
        (":8080", ("", "", 8080)),
    ],
)
def test_an_address_has_scheme_host_and_port(address: str, parts: tuple[str, str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["8080", "localhost", "a:b", "a:70000", "a:-1", "a:٣"])
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(AddressError, match="write HOST:PORT"):
        split_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "https://127.0.0.1"])
def test_port_0_becomes_the_port_that_the_kernel_chose_and_workers_can_share_it(host: str) -> None:
    async def scenario() -> None:
        held = await reserve(f"{host}:0", listen=False)
        with held.sock:
            assert held.address.startswith(f"{host}:")
            assert not held.address.endswith(":0")
            first, second = [await reserve(held.address, listen=False) for _ in range(2)]
            with first.sock, second.sock:
                assert first.address == second.address == held.address

    asyncio.run(scenario())


def test_the_reserving_socket_gets_no_connections() -> None:
    """Every connection goes to the socket that listens, although two are bound."""

    async def scenario() -> None:
        held = await reserve("127.0.0.1:0", listen=False)
        worker = await reserve(held.address, listen=False)
        with held.sock, worker.sock:
            worker.sock.listen(64)
            address = worker.sock.getsockname()
            for _ in range(32):
                with socket.create_connection(address, timeout=5):
                    connection, _ = worker.sock.accept()
                    connection.close()

    asyncio.run(scenario())


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1:0: .*choose another port"):
        asyncio.run(reserve("192.0.2.1:0", listen=False))
