"""Why an address cannot be had, and who has it."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from holdfast.app.ports import bind_problem, free_ports, holder


def listener(host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens on a free port."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    sock.listen()
    return sock


def test_a_free_address_is_no_problem_and_stays_free() -> None:
    (port,) = free_ports(1)
    assert bind_problem("127.0.0.1", port) is None
    assert bind_problem("127.0.0.1", port) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_listener_on_the_same_port_is_in_the_way(host: str) -> None:
    with listener() as sock:
        problem = bind_problem(host, sock.getsockname()[1])
    assert problem is not None
    assert f"(pid {os.getpid()})" in problem[0]


def test_a_listener_of_the_other_family_is_not() -> None:
    with listener("::1") as sock:
        assert bind_problem("127.0.0.1", sock.getsockname()[1]) is None


def test_a_name_that_does_not_resolve_is_said() -> None:
    assert bind_problem("no-such-host.invalid", 80) == (
        "no-such-host.invalid does not resolve",
        "write an IP address of this machine",
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "port 80 needs a privilege"),
        (errno.EAFNOSUPPORT, "this machine has no IPv4"),
        (errno.EADDRNOTAVAIL, "127.0.0.1 is not an address of this machine"),
        (errno.ENOBUFS, "cannot be bound: no buffer space available"),
    ],
)
def test_each_refusal_of_the_kernel_has_words_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    class Refusing(socket.socket):
        def bind(self, _: object, /) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Refusing)
    problem = bind_problem("127.0.0.1", 80)
    assert problem is not None
    assert problem[0] == message
    assert problem[1]


def test_nobody_holds_a_port_that_is_only_bound() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert holder(bound.getsockname()[1]) is None


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(50))) == 50
