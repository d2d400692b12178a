"""``holdfast up`` without a file: see it hold within a minute.

The balancer in front of three small backends of which one (c) fails for 6 s of every 20, and
a heartbeat of our own requests, so that something moves before the newcomer sends any.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from holdfast.app.child import Service, Sink
from holdfast.app.config import load
from holdfast.app.ports import bind_problem, free_ports
from holdfast.app.services import command, services
from holdfast.app.supervisor import Addresses, Supervisor, to_stderr
from holdfast.kernel import HoldfastError

HOST: Final = "127.0.0.1"
HEARTBEAT_PER_S: Final = 8.0
"""Enough for a bad backend to be found out within a second, too little to notice on a laptop."""
CYCLE_S: Final = 20.0
BAD_S: Final = 6.0
_ANSWER_BYTES: Final = 2**20

_CONFIGURATION: Final = """\
# The configuration of the demo. Copy it, change the backends, and run `holdfast up -c FILE`.
balancer:
  listen: ["{host}:{front}"]
  admin: "{host}:{admin}"
  pools:
    demo:
      backends:
        - {{id: a, url: "http://{host}:{a}"}}
        - {{id: b, url: "http://{host}:{b}"}}
        - {{id: c, url: "http://{host}:{c}"}}      # fails for {bad:g} s of every {cycle:g}
      health: {{interval: 500ms, timeout: 250ms}}
      breaker: {{open_min: 2s, ramp: 3s}}          # quick, so that there is something to see
  access_log: {{enabled: false}}
  drain_timeout: 5s
"""


class DemoError(HoldfastError):
    """The demo cannot start here."""

    exit_code = 2


@dataclass(slots=True)
class Heartbeat:
    """What our own requests met."""

    sent: int = 0
    answered: int = 0
    errors: int = 0
    backends: str = ""

    def line(self) -> str:
        """``requests 412, answered 412, errors 0; backend c: open, retry in 4 s``."""
        counts = f"requests {self.sent}, answered {self.answered}, errors {self.errors}"
        return f"{counts}; {self.backends}" if self.backends else counts


def configuration(front: int, admin: int, backends: Sequence[int]) -> str:
    """The demo's ``holdfast.yaml`` for these ports."""
    a, b, c = backends
    return _CONFIGURATION.format(host=HOST, front=front, admin=admin, a=a, b=b, c=c, bad=BAD_S, cycle=CYCLE_S)


def check_ports(port_base: int) -> tuple[int, int]:
    """The two public ports of the demo. Raises :class:`DemoError` when one cannot be had."""
    for port in (port_base, port_base + 1):
        if problem := bind_problem(HOST, port):
            other = port_base + 10_000 if port_base < 50_000 else port_base - 10_000
            raise DemoError(f"{HOST}:{port}: {problem[0]}; stop that program, or run `holdfast up --port-base {other}`")
    return port_base, port_base + 1


async def run(
    *,
    environ: Mapping[str, str],
    port_base: int = 8080,
    sink: Sink = to_stderr,
    on_up: Callable[[Sequence[Service], Addresses, Path], None] | None = None,
    on_beat: Callable[[str], None] | None = None,
) -> None:
    """Run the demo until told to stop.

    ``environ`` is added to that of the services.
    ``on_up`` is called when everything runs, with the path of the configuration in force;
    ``on_beat`` every second with a line of status.
    """
    front, admin = check_ports(port_base)
    ports = free_ports(3)
    urls = (f"http://{HOST}:{front}", f"http://{HOST}:{admin}")
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as directory:
        file = Path(directory, "holdfast.yaml")
        file.write_text(configuration(front, admin, ports), encoding="utf-8")  # noqa: ASYNC240 - before anything runs
        config = load(file, environ={}, ports=False).config
        all_services = [_backend(name, port, urls, environ) for name, port in zip("abc", ports, strict=True)]
        all_services += services(config, file, environ)
        beating: list[asyncio.Task[None]] = []

        def up(addresses: Addresses) -> None:
            if on_up is not None:
                on_up(all_services, addresses, file)
            beating.append(asyncio.create_task(_beat(front, admin, on_beat), name="heartbeat"))

        supervisor = Supervisor(all_services, config.supervisor, rng=Random(), sink=sink, on_up=up)
        try:
            await supervisor.run()
        finally:
            for task in beating:
                task.cancel()
            await asyncio.gather(*beating, return_exceptions=True)


def _backend(name: str, port: int, urls: tuple[str, str], environ: Mapping[str, str]) -> Service:
    rhythm = ("--cycle", str(CYCLE_S), "--bad", str(BAD_S)) if name == "c" else ()
    return Service(
        name=f"backend {name}",
        about="demo backend" + (f", fails for {BAD_S:g} s of every {CYCLE_S:g}" if rhythm else ""),
        argv=command(
            "run", "demo-backend", "--id", name, "--port", str(port), "--front", urls[0], "--admin", urls[1], *rhythm
        ),
        drain_s=2.0,
        environ=environ,
    )


async def _beat(front: int, admin: int, on_beat: Callable[[str], None] | None) -> None:
    """Send requests at a steady rate whatever the answers take, and look at the states once a second."""
    loop = asyncio.get_running_loop()
    heartbeat = Heartbeat()
    in_flight: set[asyncio.Task[None]] = set()
    beat, due = 0, loop.time()
    try:
        while True:
            if len(in_flight) < 64:
                task = asyncio.create_task(_one(front, heartbeat))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
            beat += 1
            if on_beat is not None and beat % round(HEARTBEAT_PER_S) == 0:
                with contextlib.suppress(OSError, TimeoutError, ValueError, EOFError):
                    heartbeat.backends = await states(admin)
                on_beat(heartbeat.line())
            due += 1 / HEARTBEAT_PER_S
            await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        for task in tuple(in_flight):
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _one(front: int, heartbeat: Heartbeat) -> None:
    heartbeat.sent += 1
    try:
        await get(front, "/")
    except (OSError, TimeoutError, ValueError, EOFError):
        heartbeat.errors += 1
    else:
        heartbeat.answered += 1


async def get(port: int, path: str, *, timeout_s: float = 5.0) -> bytes:
    """The body of a small answer.

    Raises ``OSError``, ``TimeoutError``, ``EOFError``, or ``ValueError`` for anything but a success.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(HOST, port, limit=_ANSWER_BYTES)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            except asyncio.LimitOverrunError as error:
                raise ValueError("the head is too long") from error
            version, _, rest = head.partition(b" ")
            status = int(rest[:3]) if version.startswith(b"http/1.") else 0
            if not 200 <= status < 400:
                raise ValueError(f"status {status}")
            if b"\r\ntransfer-encoding: chunked" in head:
                return await _chunks(reader)
            _, found, rest = head.partition(b"\r\ncontent-length:")
            return (
                await reader.readexactly(int(rest.split(b"\r\n", 1)[0])) if found else await reader.read(_ANSWER_BYTES)
            )
        finally:
            writer.close()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if len(body) > _ANSWER_BYTES:
            raise ValueError("too long")
    return body


async def states(admin: int) -> str:
    """The backends in a few words, those in trouble by name: ``backend c: open, retry in 4 s``.

    Raises what :func:`get` raises.
    """
    backends = _backends_in(json.loads(await get(admin, "/admin/backends")))
    troubled = [backend for backend in backends if backend["state"] != "up"]
    if not troubled:
        return f"all {len(backends)} backends up" if backends else ""
    return ", ".join([await _trouble(admin, backend) for backend in troubled])


async def _trouble(admin: int, backend: Mapping[str, Any]) -> str:
    name, state = backend.get("id") or backend.get("backend"), str(backend["state"]).replace("_", "-")
    why = json.loads(await get(admin, f"/admin/explain?pool=demo&backend={name}"))
    until = why.get("until_s") if isinstance(why, dict) else None
    if not isinstance(until, (int, float)) or until <= 0:
        return f"backend {name}: {state}"
    return f"backend {name}: {state}, {'full weight' if state == 'ramping' else 'retry'} in {until:.0f} s"


def _backends_in(document: Any) -> list[Mapping[str, Any]]:
    """Every object with a state and a name, however the document groups them."""
    if isinstance(document, dict):
        if "state" in document and ("id" in document or "backend" in document):
            return [document]
        return [found for value in document.values() for found in _backends_in(value)]
    if isinstance(document, list):
        return [found for value in document for found in _backends_in(value)]
    return []
