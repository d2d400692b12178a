"""What an idle keep-alive client costs in memory.

Ten thousand clients connect, each sends one request and then stays. The proportional set
size of all processes of the proxy, before and after, divided by the clients. There is no
control: there is no mechanism here that could be switched off.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from typing import Final

from holdfast.drills.contender import Contender
from holdfast.drills.contenders import field_of
from holdfast.drills.errors import DrillError
from holdfast.drills.faults import BackendSpec, FleetSpec
from holdfast.drills.findings import DATA_PLANE, Findings, Setting
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import Plan, run_plan
from holdfast.drills.peers import HAProxy
from holdfast.drills.process import proportional_memory_bytes

MOST_BYTES: Final = 10 * 1024
WORKERS: Final = 2
BATCH: Final = 200
"""Clients that connect at once; more would overflow nobody's backlog, but measure bursts."""
SPARE_FILES: Final = 300
"""Descriptors that the drill needs for other things than its clients."""
TIMEOUT_S: Final = 15.0


class Idle:
    """``holdfast drill run idle``."""

    name = "idle"
    title = "How much memory does an idle keep-alive client cost?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Measure all contenders, one after another."""
        wanted = int(setting.pick(10_000, 1_000))
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
        clients = min(wanted, allowed)
        found = Findings()
        found.parameters |= {"clients": clients, "workers": WORKERS}
        if clients < wanted:
            found.notes.append(f"{clients} clients instead of {wanted}: raise the limit of open files (ulimit -n)")
        # Enough for all clients on one worker, should the kernel spread them unevenly.
        section = {"limits": {"connections": clients + 1000}, "timeouts": {"idle": "300s"}}
        field, notes = field_of(without=None, section=section)
        found.notes += notes
        spec = FleetSpec(
            seed=setting.seed, backends=tuple(BackendSpec(name=f"fast{n}", slots=64, service_s=0.001) for n in (1, 2))
        )
        for name, contender in field.items():
            setting.progress(f"idle: {name}, {clients} clients")
            with (
                Fleet(spec) as fleet,
                contender(backends=fleet.ports, workers=WORKERS, directory=setting.directory) as proxy,
            ):
                await _measure(found, setting, proxy, clients)
            per_client = "(sum($memory_after_bytes) - sum($memory_before_bytes)) / sum($clients)"
            found.metric(name, "bytes_per_client", per_client, unit="bytes", better="lower")
            found.metric(name, "memory_before_bytes", "sum($memory_before_bytes)", unit="bytes", better="lower")
            found.metric(name, "lost_clients", "sum($lost_clients)", unit="clients", better="lower")
        found.claim("an idle client costs less than 10 KiB", "holdfast.bytes_per_client", "<", MOST_BYTES)
        found.claim("no idle client is cut off", "holdfast.lost_clients", "==", 0, in_quick=True)
        return found


async def _measure(found: Findings, setting: Setting, proxy: Contender, clients: int) -> None:
    if isinstance(proxy, HAProxy) and clients > proxy.max_clients() - 100:
        clients = proxy.max_clients() - 100
        found.notes.append(f"haproxy with {clients} clients: it reserves two open files for each")
    # Warm-up: code, pools and allocator arenas that do not belong to idle clients.
    await run_plan(Plan(rate_per_s=500, duration_s=setting.pick(4, 1), seed=setting.seed), port=proxy.port)
    before = proportional_memory_bytes(proxy.pids())
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < clients:
            await asyncio.to_thread(_connect, proxy.port, min(BATCH, clients - len(sockets)), sockets)
        after = proportional_memory_bytes(proxy.pids())
        lost = sum(_is_closed(sock) for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()
    found.add(proxy.name, "clients", [clients])
    found.add(proxy.name, "memory_before_bytes", [before])
    found.add(proxy.name, "memory_after_bytes", [after])
    found.add(proxy.name, "lost_clients", [lost])


def _connect(port: int, number: int, into: list[socket.socket]) -> None:
    """Open connections, send one request on each, read each answer to its end."""
    fresh = []
    for _ in range(number):
        sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        into.append(sock)
        fresh.append(sock)
        sock.sendall(b"GET /drill HTTP/1.1\r\nHost: drill\r\n\r\n")
    deadline = time.monotonic() + TIMEOUT_S
    for sock in fresh:
        answer = b""
        # The backends of a drill answer with a body of x, which no header line of it ends in.
        while not answer.endswith(b"xxxxxxxx"):
            piece = sock.recv(4096)
            if not piece or time.monotonic() > deadline:
                raise DrillError(f"an idle client got no complete answer, only {answer[:200]!r}")
            answer += piece
        sock.setblocking(False)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
