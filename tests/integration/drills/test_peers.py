"""The peers start from their templates, serve, and report their flips."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from holdfast.drills.contender import fetch
from holdfast.drills.faults import BackendSpec, Fault, FleetSpec
from holdfast.drills.fleet import Fleet
from holdfast.drills.peers import PEERS, HAProxy, Nginx
from holdfast.drills.process import cpu_s, proportional_memory_bytes
from tests.machine import require_tool


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_hides_a_sick_backend_and_reports_that_it_took_it_out(
    peer: type[HAProxy | Nginx], tmp_path: Path
) -> None:
    require_tool(peer.program_name)
    sick = BackendSpec(name="sick", schedule=(Fault(kind="unavailable"),))
    spec = FleetSpec(seed=1, backends=(BackendSpec(name="good", service_s=0.001), sick))
    with Fleet(spec) as fleet, peer(backends=fleet.ports, workers=1, directory=tmp_path) as proxy:
        fleet.begin()
        deadline = time.monotonic() + 15
        while proxy.flips() == 0:
            assert fetch(proxy.port, "GET", "/drill")[0] == 200
            assert time.monotonic() < deadline, f"{proxy.name} kept the sick backend"
        assert cpu_s(proxy.pids()) >= 0
        assert proportional_memory_bytes(proxy.pids()) > 100_000
