"""``holdfast up`` without a file: see it hold within a minute.

Everything behind one front door: the console at ``/``, the AI gateway at ``/ai/`` in front of two scripted providers,
code execution at ``/run/``, NetPulse's API at ``/pulse/``, the blog at ``/blog/``, and at ``/demo/`` three small
backends of which one (c) fails for 6 s of every 20, with a heartbeat of our own requests, so that something moves
before the newcomer sends any. NetPulse watches all of it from three regions, and its pages arrive at a receiver of
ours that shows them. The store is a temporary file.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import tempfile
import time
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
from holdfast.evidence import project_root
from holdfast.execution import examine_sandbox
from holdfast.identity import Identities
from holdfast.kernel import HoldfastError
from holdfast.store import StoreSettings, open_database

HOST: Final = "127.0.0.1"
HEARTBEAT_PER_S: Final = 8.0
"""Enough for a bad backend to be found out within a second, too little to notice on a laptop."""
PUSH_EVERY_S: Final = 10.0
CYCLE_S: Final = 20.0
BAD_S: Final = 6.0
_ANSWER_BYTES: Final = 2**20

TENANT: Final = "demo"
DEMO_KEY: Final = "HOLDFAST_DEMO_KEY"
"""Environment variable that brings the demo's API key to the console."""
DEMO_SECRETS: Final = ("HOLDFAST_DEMO_WEBHOOK", "HOLDFAST_DEMO_HEARTBEAT")
"""Environment variables with what is made anew for each run: the webhook's signing key, the heartbeat's token."""
AWAY_S: Final = 45.0
"""A backend that was killed stays away for so long, to be noticed and paged about."""

_CONFIGURATION: Final = """\
# The configuration of the demo. Copy it, change what is yours, and run `holdfast up -c FILE`.
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
    gateway:
      backends: [{{id: gateway, url: "http://{host}:{gateway}"}}]
      health: {{path: /readyz}}
      timeout: 130s                               # models think before they speak
      retry: {{per_try_timeout: 130s}}
    execution:
      backends: [{{id: api, url: "http://{host}:{execution}"}}]
      health: {{path: /readyz}}
      timeout: 70s                                # answers that wait for a job to end,
      retry: {{per_try_timeout: 70s}}              # of which none may count as a failure
    netpulse:
      backends: [{{id: netpulse, url: "http://{host}:{netpulse}"}}]
      health: {{path: /readyz}}
      timeout: 70s                                # its live events come as they happen
      retry: {{per_try_timeout: 70s}}
    console:
      backends: [{{id: console, url: "http://{host}:{console}"}}]
      health: {{path: /healthz}}
      timeout: 30s                                # the page of a job waits for its end when there is no script
      retry: {{per_try_timeout: 30s}}
    blog:
      backends: [{{id: blog, url: "http://{host}:{blog}"}}]
      health: {{path: /healthz}}
  routes:
    - {{path: /demo/, pool: demo, strip_prefix: true}}
    - {{path: /ai/, pool: gateway, strip_prefix: true}}
    - {{path: /run/, pool: execution, strip_prefix: true}}
    - {{path: /pulse/, pool: netpulse, strip_prefix: true}}
    - {{path: /blog/, pool: blog, strip_prefix: true}}
    - {{pool: console}}
  access_log: {{enabled: false}}
  drain_timeout: 5s

store:
  url: "sqlite:{directory}/demo.db"

gateway:
  listen: "{host}:{gateway}"
  providers:                                      # scripted ones, so that it works without a key and a network;
    mock-a:                                       # a real one is `openai: {{key: "${{OPENAI_API_KEY}}"}}`
      {{protocol: openai, url: "http://{host}:{mock_a}/v1", private: true, auth: none, responses: true}}
    mock-b: {{protocol: anthropic, url: "http://{host}:{mock_b}/v1", private: true, auth: none}}
  models:
    demo:
      description: Echoes; one answer in ten of the first provider fails, which nobody notices
      deployments: [{{provider: mock-a, model: mock-small, price: {{input: 0.15, output: 0.60}}}}]
      fallbacks: [demo-large]
    demo-large:
      deployments: [{{provider: mock-b, model: mock-large, price: {{input: 3.00, output: 15.00}}}}]
    demo-embedding:
      deployments: [{{provider: mock-a, model: mock-embedding, price: {{input: 0.02, output: 0}}}}]
  anonymous: {{tenant: demo, limit: {{daily_usd: 5}}}}  # any key will do, because only this machine gets here
  ledger: {{path: "{directory}/gateway"}}
  log: {{requests: false}}
  drain_timeout: 5s

execution:
  listen: "{host}:{execution}"
  drain_timeout: 5s
  worker:
    count: {workers}
    cache: "{directory}/cache"
    drain_timeout: 5s

netpulse:
  listen: "{host}:{netpulse}"
  public_url: "http://{host}:{front}/pulse"
  console_url: "http://{host}:{front}"
  tenant: demo
  regions:                                        # three, with a provider each; here they are processes
    eu: {{domain: provider-a, embedded: true}}
    us: {{domain: provider-b, embedded: true}}
    ap: {{domain: provider-c, embedded: true}}
  agents:
    listen: "{host}:{agents}"
    certificates: "{directory}/certificates"
    spool: "{directory}/spool"
    allow_private: true                           # what is watched here is on this machine
  monitors:
    front: {{name: Front door, {platform}, http: {{url: "http://{host}:{front}/demo/"}}, {often}}}
    code: {{name: Code execution, {platform}, http: {{url: "http://{host}:{execution}/readyz"}}, {often}}}
    console: {{name: Console, {platform}, http: {{url: "http://{host}:{console}/healthz"}}, {often}}}
    backend-a: {{name: Backend a, group: Demo, http: {{url: "http://{host}:{a}/"}}, {often}}}
    backend-b: {{name: Backend b, group: Demo, tcp: {{address: "{host}:{b}"}}, {often}}}
    backend-c: {{name: Backend c, group: Demo, severity: ticket, http: {{url: "http://{host}:{c}/"}}, {often}}}
    traffic:
      name: Our own requests
      group: Demo
      heartbeat: {{period: 10s, grace: 20s, token: "${{{heartbeat_token}}}"}}
      objective: {{target: 0.99}}
  channels:
    pager: {{allow_private: true, webhook: {{url: "http://{host}:{sink}/", secret: "${{{webhook_secret}}}"}}}}
  routes:
    - {{steps: [{{channels: [pager]}}]}}
  status:
    directory: "{directory}/status"
    listen: "{host}:{status}"
    title: Demo status
    url: "http://{host}:{status}"
  drain_timeout: 5s

console:
  listen: "{host}:{console}"
  execution: "http://{host}:{execution}"
  netpulse: "http://{host}:{netpulse}"
  balancer: "http://{host}:{admin}"
  blog: "http://{host}:{blog}"
  demo_api_key: "${{{key}}}"                    # signs visitors on this machine in

blog:
  listen: "{host}:{blog}"
  content: "{project}/content"                    # where it is absent, the blog says how to begin
  evidence: "{project}/evidence"
  output: "{directory}/blog"
  url: "http://{host}:{front}/blog/"
  stale: mark                                     # in a checkout that has moved on since the drills were run

deploy:                                           # nothing of this runs here: `holdfast deploy fit` reads it
  region: us-east-1
  account: {{quotas: {{ecs-fargate: 64}}}}          # vCPU; a new account begins with 6
  workloads:
    agents: {{regions: [us-east-1, eu-central-1, ap-southeast-2]}}
    blog:
      summary: pages that change once a week
      package: files
      protocols: [http/1.1, http/2]
      traffic: {{rate: 0.5, bytes_out: 60KiB}}
"""


_OFTEN: Final = "interval: 5s, timeout: 2s, allow_private: true"
"""Quick, so that there is something to see; a monitor of yours is well served by 30 s."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the demo listens; the default addresses of the platform, moved together."""

    front: int
    admin: int
    gateway: int
    execution: int
    netpulse: int
    console: int
    blog: int
    status: int
    sink: int
    agents: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """The front door's port is the base; gaps are the ports of services that the demo does not run."""
        return cls(
            front=base,
            admin=base + 1,
            gateway=base + 2,
            execution=base + 3,
            netpulse=base + 4,
            console=base + 5,
            blog=base + 6,
            status=base + 7,
            sink=base + 8,
            agents=base + 14,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a newcomer needs to know once everything runs."""

    services: Sequence[Service]
    addresses: Addresses
    file: Path
    """The configuration in force."""
    ports: Ports
    key: str
    """An API key of the demo's tenant. It dies with the demo."""
    without_code: str | None
    """Why this machine cannot run code, if it cannot."""


def configuration(
    ports: Ports, backends: Sequence[int], providers: Sequence[int], *, directory: str, workers: int
) -> str:
    """The demo's ``holdfast.yaml``."""
    a, b, c = backends
    mock_a, mock_b = providers
    return _CONFIGURATION.format(
        host=HOST,
        **dataclasses.asdict(ports),
        a=a,
        b=b,
        c=c,
        mock_a=mock_a,
        mock_b=mock_b,
        bad=BAD_S,
        cycle=CYCLE_S,
        directory=directory,
        project=project_root(),
        workers=workers,
        key=DEMO_KEY,
        webhook_secret=DEMO_SECRETS[0],
        heartbeat_token=DEMO_SECRETS[1],
        often=_OFTEN,
        platform="group: Platform, public: true",
    )


def check_ports(port_base: int) -> Ports:
    """The ports of the demo. Raises :class:`DemoError` when one cannot be had."""
    ports = Ports.from_base(port_base)
    for port in dataclasses.astuple(ports):
        if problem := bind_problem(HOST, port):
            other = port_base + 10_000 if port_base < 50_000 else port_base - 10_000
            raise DemoError(f"{HOST}:{port}: {problem[0]}; stop that program, or run `holdfast up --port-base {other}`")
    return ports


async def run(
    *,
    environ: Mapping[str, str],
    port_base: int = 8080,
    sink: Sink = to_stderr,
    on_up: Callable[[Started], None] | None = None,
    on_beat: Callable[[str], None] | None = None,
) -> None:
    """Run the demo until told to stop.

    ``environ`` is added to that of the services.
    ``on_up`` is called when everything runs; ``on_beat`` every second with a line of status.
    """
    ports = check_ports(port_base)
    backends, providers = (found := free_ports(5))[:3], found[3:]
    urls = (f"http://{HOST}:{ports.front}/demo/", f"http://{HOST}:{ports.admin}")
    without_code = await _cannot_run_code()
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as directory:
        file = Path(directory, "holdfast.yaml")
        text = configuration(ports, backends, providers, directory=directory, workers=0 if without_code else 1)
        file.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - before anything runs
        key = await _make_key(StoreSettings(url=f"sqlite:{directory}/demo.db"))
        made = {DEMO_KEY: key, **{name: secrets.token_urlsafe(24) for name in DEMO_SECRETS}}
        config = load(file, environ=made, ports=False).config
        all_services = [_backend(name, port, urls, environ) for name, port in zip("abc", backends, strict=True)]
        all_services += [_provider(name, port, environ) for name, port in zip("ab", providers, strict=True)]
        all_services.append(_sink(ports.sink, {**environ, **made}))
        all_services += services(config, file, {**environ, **made})
        beating: list[asyncio.Task[None]] = []

        def up(addresses: Addresses) -> None:
            started = Started(
                services=all_services, addresses=addresses, file=file, ports=ports, key=key, without_code=without_code
            )
            if on_up is not None:
                on_up(started)
            token = made[DEMO_SECRETS[1]]
            beating.append(asyncio.create_task(_beat(ports, token, on_beat), name="heartbeat"))

        supervisor = Supervisor(all_services, config.supervisor, rng=Random(), sink=sink, on_up=up)
        try:
            await supervisor.run()
        finally:
            for task in beating:
                task.cancel()
            await asyncio.gather(*beating, return_exceptions=True)


async def _make_key(settings: StoreSettings) -> str:
    """A key that may submit and read jobs."""
    async with await open_database(settings) as database:
        identities = Identities(database)
        await identities.open()
        _, key = await identities.create_key(TENANT, role="admin", name="demo", now=time.time())
        await identities.close()
        return key


async def _cannot_run_code() -> str | None:
    found = await examine_sandbox()
    if found.tier == "full":
        return None
    return "; ".join(f"{part.name}: {part.detail}; {part.remedy}" for part in found.parts if not part.works)


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
        rest_s=AWAY_S,
    )


def _provider(name: str, port: int, environ: Mapping[str, str]) -> Service:
    fault = ("--fault", "share=0.1,status=529") if name == "a" else ()
    return Service(
        name=f"provider {name}",
        about="scripted AI provider" + (", fails one request in ten" if fault else ""),
        argv=command(
            "run", "mock-provider", "--listen", f"{HOST}:{port}", "--tokens-per-s", "40", "--first-token", "0.1", *fault
        ),
        drain_s=2.0,
        environ=environ,
    )


def _sink(port: int, environ: Mapping[str, str]) -> Service:
    return Service(
        name="pager",
        about="shows the pages that NetPulse sends",
        argv=command("run", "demo-pager", "--port", str(port)),
        drain_s=2.0,
        environ=environ,
    )


async def _beat(ports: Ports, token: str, on_beat: Callable[[str], None] | None) -> None:
    """Send requests at a steady rate whatever the answers take; look at the states every second; push now and then."""
    loop = asyncio.get_running_loop()
    heartbeat = Heartbeat()
    in_flight: set[asyncio.Task[None]] = set()
    beat, due = 0, loop.time()
    try:
        while True:
            if len(in_flight) < 64:
                task = asyncio.create_task(_one(ports.front, heartbeat))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
            beat += 1
            if on_beat is not None and beat % round(HEARTBEAT_PER_S) == 0:
                with contextlib.suppress(OSError, TimeoutError, ValueError, EOFError):
                    heartbeat.backends = await states(ports.admin)
                on_beat(heartbeat.line())
            if beat % round(HEARTBEAT_PER_S * PUSH_EVERY_S) == 1:
                with contextlib.suppress(OSError, TimeoutError, ValueError, EOFError):
                    await get(ports.netpulse, f"/v1/heartbeats/{token}", timeout_s=1.0)
            due += 1 / HEARTBEAT_PER_S
            await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        for task in tuple(in_flight):
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _one(front: int, heartbeat: Heartbeat) -> None:
    heartbeat.sent += 1
    try:
        await get(front, "/demo/")
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
    document = json.loads(await get(admin, "/admin/backends"))
    pools = document.get("pools") if isinstance(document, dict) else None
    backends = _backends_in(pools.get("demo") if isinstance(pools, dict) else None)
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
