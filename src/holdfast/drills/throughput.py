"""What one request costs: CPU time of the proxy, all its processes included.

CPU time per request, not requests per second: on a machine that load generator, proxy and
backend share, throughput says as much about the neighbours as about the proxy. The
contenders take turns in rounds, each round with another one first, and the ratio is formed
within a round, so that what disturbs the machine disturbs all of them alike.

The control is Holdfast with health checks, outlier windows, breaker, damping and retries
off: the difference is what failure handling costs.
"""

from __future__ import annotations

import asyncio
import getpass
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.drills.contender import Contender
from holdfast.drills.contenders import field_of
from holdfast.drills.errors import DrillError, ToolMissingError
from holdfast.drills.findings import CONTROL, DATA_PLANE, Findings, Setting
from holdfast.drills.peers import Nginx
from holdfast.drills.process import Child, cpu_s, free_port

BODIES: Final = {"64B": 64, "16KiB": 16 * 1024}
CONNECTIONS: Final = 32
MOST_CPU_RATIO: Final = 1.5
"""Of HAProxy's CPU time per request."""
WORKERS: Final = 1
WITHOUT: Final = {
    "damping": {"enabled": False},
    "breaker": {"enabled": False},
    "outlier": {"enabled": False},
    "health": {"enabled": False},
    "retry": {"attempts": 1},
}

_BACKEND_CONFIG: Final = """\
daemon off;
user {user};
pid {directory}/backend.pid;
error_log {directory}/backend-error.log error;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/backend-body;
    proxy_temp_path {directory}/backend-proxy;
    fastcgi_temp_path {directory}/backend-fastcgi;
    uwsgi_temp_path {directory}/backend-uwsgi;
    scgi_temp_path {directory}/backend-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /64B {{ return 200 "{small}"; }}
        location = /16KiB {{ root {directory}; }}
        location / {{ return 200 "ok"; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What wrk reports of one run."""

    requests: int
    duration_s: float
    errors: int


class Throughput:
    """``holdfast drill run throughput``."""

    name = "throughput"
    title = "How much CPU time does one proxied request cost, beside HAProxy and nginx?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Run rounds over all contenders. Needs wrk, and nginx as the backend."""
        if shutil.which("wrk") is None:
            raise ToolMissingError("wrk", "wrk")
        if Nginx.missing() is not None:
            raise ToolMissingError("nginx", "nginx")
        rounds, burst_s = int(setting.pick(7, 1)), setting.pick(4, 1)
        found = Findings(
            control_what="the same balancer with health checks, outlier windows, breaker, damping and retries off"
        )
        found.parameters |= {
            "rounds": rounds,
            "burst_s": burst_s,
            "connections": CONNECTIONS,
            "workers": WORKERS,
        }
        field, notes = field_of(without=WITHOUT)
        found.notes += notes
        with ExitStack() as stack:
            port = _start_backend(stack, setting.directory)
            proxies = [
                stack.enter_context(make(backends={"nginx": port}, workers=WORKERS, directory=setting.directory))
                for make in field.values()
            ]
            cpu_us, rate = await _rounds(setting, proxies, rounds=rounds, burst_s=burst_s)
        for (name, series), values in (cpu_us | rate).items():
            found.add(name, series, values)
        _conclude(found, list(field))
        return found


async def _rounds(
    setting: Setting, proxies: list[Contender], *, rounds: int, burst_s: float
) -> tuple[dict[tuple[str, str], list[float]], dict[tuple[str, str], list[float]]]:
    cpu_us: dict[tuple[str, str], list[float]] = {}
    rate: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for body in BODIES:
            turn = number % len(proxies)
            for proxy in proxies[turn:] + proxies[:turn]:
                setting.progress(f"throughput: round {number + 1} of {rounds}, {body}, {proxy.name}")
                if number == 0:
                    await wrk(proxy.port, f"/{body}", 1)  # connections open, code warm
                before = cpu_s(proxy.pids())
                burst = await wrk(proxy.port, f"/{body}", burst_s)
                used = cpu_s(proxy.pids()) - before
                if burst.errors or not burst.requests:
                    raise DrillError(f"{proxy.name} failed {burst.errors} of {burst.requests} requests for {body}")
                cpu_us.setdefault((proxy.name, f"cpu_us_{body}"), []).append(used * 1e6 / burst.requests)
                rate.setdefault((proxy.name, f"per_s_{body}"), []).append(burst.requests / burst.duration_s)
    return cpu_us, rate


def _conclude(found: Findings, names: list[str]) -> None:
    for name in names:
        for body in BODIES:
            series = f"$cpu_us_{body}"
            found.metric(
                name,
                f"cpu_us_{body}",
                f"median({series})",
                unit="µs",
                better="lower",
                low=f"min({series})",
                high=f"max({series})",
            )
            found.metric(name, f"per_s_{body}", f"median($per_s_{body})", unit="requests/s", better="higher")
    others = [(name, f"samples.{name}") for name in names if name not in ("holdfast", CONTROL)]
    for other, prefix in [*others, (CONTROL, "control")]:
        for body in BODIES:
            ratio = f"$cpu_us_{body} / {prefix}.cpu_us_{body}"
            found.metric(
                "holdfast",
                f"cpu_ratio_{other}_{body}",
                f"median({ratio})",
                unit="",
                better="lower",
                low=f"min({ratio})",
                high=f"max({ratio})",
            )
    for body in BODIES:
        metric = f"holdfast.cpu_ratio_haproxy_{body}"
        if metric in found.metrics:
            found.claim(f"at most {MOST_CPU_RATIO} times HAProxy's CPU, {body}", metric, "<=", MOST_CPU_RATIO)


def _start_backend(stack: ExitStack, directory: Path) -> int:
    """A fast backend: nginx answers from memory. Returns its port."""
    port = free_port()
    (directory / "16KiB").write_bytes(b"x" * BODIES["16KiB"])
    config = directory / "backend.conf"
    config.write_text(
        _BACKEND_CONFIG.format(directory=directory, port=port, small="x" * BODIES["64B"], user=getpass.getuser())
    )
    child = Child(
        [Nginx.program(), "-p", str(directory), "-e", "backend-error.log", "-c", str(config)],
        log=directory / "backend.log",
    )
    stack.callback(child.stop)
    child.wait_until_listening(port)
    return port


async def wrk(port: int, path: str, duration_s: float) -> Burst:
    """Closed-loop load over keep-alive connections from one thread."""
    # wrk takes whole seconds only.
    seconds = max(1, round(duration_s))
    process = await asyncio.create_subprocess_exec(
        "wrk",
        *("-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", f"http://127.0.0.1:{port}{path}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds + 30):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return parse_wrk(output.decode(errors="replace"))


def parse_wrk(output: str) -> Burst:
    """Read wrk's report. Raises :class:`DrillError` if it is not one."""
    done = re.search(r"(\d+) requests in (\d+(?:\.\d+)?)(us|ms|s|m)\b", output)
    if done is None:
        raise DrillError(f"wrk reported nothing usable: {output[:300]!r}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[done[3]]
    errors = 0
    if sockets := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output):
        errors += sum(int(number) for number in sockets.groups())
    if statuses := re.search(r"Non-2xx or 3xx responses: (\d+)", output):
        errors += int(statuses[1])
    return Burst(requests=int(done[1]), duration_s=float(done[2]) * unit, errors=errors)
