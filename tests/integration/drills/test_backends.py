"""Every fault, through real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from holdfast.drills.faults import BackendSpec, Fault, FaultKind, FleetSpec
from holdfast.drills.fleet import Fleet


@contextmanager
def running(*schedule: Fault, seed: int = 1) -> Iterator[Fleet]:
    spec = BackendSpec(name="x", slots=2, service_s=0.02, schedule=schedule)
    with Fleet(FleetSpec(seed=seed, backends=(spec,))) as fleet:
        fleet.begin()
        yield fleet


def ask(fleet: Fleet, path: str = "/drill", *, number: int = 1, timeout_s: float = 5.0) -> bytes:
    with socket.create_connection(("127.0.0.1", fleet.ports["x"]), timeout=timeout_s) as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nX-Drill-Id: %d\r\n\r\n" % (path.encode(), number))
        return sock.recv(4096)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def wait_until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("kind", "traffic", "health"),
    [
        ("healthy", 200, 200),
        ("hidden", 503, 200),
        ("unavailable", 503, 503),
        ("error500", 500, 200),
        ("slow", 200, 200),
    ],
)
def test_a_fault_shows_in_traffic_and_in_health_as_its_table_says(kind: FaultKind, traffic: int, health: int) -> None:
    with running(Fault(kind=kind)) as fleet:
        assert status(ask(fleet)) == traffic
        assert status(ask(fleet, "/health")) == health


def test_a_flapper_is_down_first_and_up_after() -> None:
    with running(Fault(kind="flap", period_s=100.0, down_s=0.3)) as fleet:
        assert status(ask(fleet)) == 503
        assert status(ask(fleet, "/health")) == 503
        wait_until(lambda: status(ask(fleet)) == 200)


def test_a_reset_comes_as_a_reset_after_the_service_time() -> None:
    with running(Fault(kind="reset", share=1.0)) as fleet:
        before = time.monotonic()
        with pytest.raises(ConnectionResetError):
            ask(fleet)
        assert time.monotonic() - before > 0.015
        assert status(ask(fleet, "/health")) == 200


def test_the_same_seed_resets_the_same_requests() -> None:
    fates = []
    for _ in range(2):
        with running(Fault(kind="reset", share=0.5), seed=9) as fleet:
            for number in range(20):
                try:
                    ask(fleet, number=number)
                except ConnectionResetError:
                    continue
            fates.append([(entry.id, entry.answered) for entry in fleet.ledger().attempts["x"]])
    assert fates[0] == fates[1]
    assert {answered for _, answered in fates[0]} == {"ok", "reset"}


def test_a_hang_accepts_reads_and_never_answers() -> None:
    with running(Fault(kind="hang")) as fleet:
        for path in ("/drill", "/health"):
            with pytest.raises(TimeoutError):
                ask(fleet, path, timeout_s=0.2)
        assert [entry.answered for entry in fleet.ledger().attempts["x"]] == ["hang"]


def test_a_refusing_backend_cuts_its_connections_closes_its_port_and_opens_it_again() -> None:
    with running(Fault(kind="refuse", at_s=0.2), Fault(kind="healthy", at_s=0.6)) as fleet:
        address = ("127.0.0.1", fleet.ports["x"])
        with socket.create_connection(address, timeout=5) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            ask(fleet)

        def answers() -> bool:
            try:
                return status(ask(fleet)) == 200
            except ConnectionRefusedError:
                return False

        wait_until(answers)


def test_requests_beyond_the_slots_wait_their_turn() -> None:
    with running() as fleet:
        before = time.monotonic()
        sockets = [socket.create_connection(("127.0.0.1", fleet.ports["x"]), timeout=5) for _ in range(6)]
        for sock in sockets:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for sock in sockets:
            assert status(sock.recv(4096)) == 200
            sock.close()
        assert time.monotonic() - before > 0.055  # three rounds of two at 20 ms


def test_the_ledger_has_every_attempt_but_no_health_check_and_is_emptied_at_the_epoch() -> None:
    with running() as fleet:
        ask(fleet, number=7)
        ask(fleet, "/health")
        ask(fleet, number=7)
        entries = fleet.ledger().attempts["x"]
        assert [entry.id for entry in entries] == [7, 7]
        assert entries[0].at < entries[1].at <= time.monotonic()
        fleet.begin()
        assert fleet.ledger().attempts == {"x": []}


def test_healing_ends_every_fault() -> None:
    with running(Fault(kind="hidden"), Fault(kind="refuse", at_s=0.3)) as fleet:
        assert status(ask(fleet)) == 503
        fleet.heal()
        assert status(ask(fleet)) == 200
