"""What this machine can do for Holdfast, and what to change where it cannot."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

from holdfast.app.ports import bind_problem
from holdfast.app.settings import Config

Level = Literal["ok", "warn", "fail"]
"""``fail`` stops Holdfast from running; ``warn`` costs speed, capacity or a drill."""

DEFAULT_PORTS: Final = {
    8080: "front door",
    8081: "admin plane",
    8082: "AI gateway",
    8083: "code execution",
    8084: "NetPulse",
    8085: "console",
    8086: "blog",
    8087: "status page",
    8088: "pages of the demo",
    8094: "NetPulse's agents",
}
_PACKAGES: Final = {"ip": "iproute2", "nft": "nftables"}
_DESCRIPTORS_PER_CONNECTION: Final = 2
"""One to the client, one to a backend."""
_DESCRIPTORS_SPARE: Final = 256
"""Listeners, logs, pipes, and files being opened."""
_DEFAULT_CONNECTIONS: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    level: Level
    detail: str
    remedy: str = ""


def examine(config: Config | None = None) -> list[Finding]:
    """Look at the machine; with a configuration, hold its figures against it."""
    return [
        _python(),
        _uvloop(),
        _cores(config),
        _descriptors(config),
        _reuse_port(),
        _ipv6(),
        _icmp(),
        _state_directory(),
        *(() if config is not None else _default_ports()),
        *_drill_tools(),
    ]


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.release()}"
    if sys.platform != "linux":
        remedy = "run it on Linux; several parts read /proc and use Linux sockets"
        return Finding(name="python", level="warn", detail=found, remedy=remedy)
    return Finding(name="python", level="ok", detail=found)


def _uvloop() -> Finding:
    try:
        return Finding(name="uvloop", level="ok", detail=version("uvloop"))
    except PackageNotFoundError:
        remedy = "pip install uvloop; without it every request costs about twice the CPU time"
        return Finding(name="uvloop", level="warn", detail="not installed", remedy=remedy)


def _cores(config: Config | None) -> Finding:
    usable = len(os.sched_getaffinity(0))
    workers = config.balancer.workers if config and config.balancer else None
    if workers is not None and workers > usable:
        detail = f"{usable} usable, {workers} workers configured"
        return Finding(name="cpu", level="warn", detail=detail, remedy=f"set balancer.workers to {usable} or fewer")
    return Finding(name="cpu", level="ok", detail=f"{usable} usable of {os.cpu_count()}")


def _descriptors(config: Config | None) -> Finding:
    connections = config.balancer.limits.connections if config and config.balancer else _DEFAULT_CONNECTIONS
    needed = connections * _DESCRIPTORS_PER_CONNECTION + _DESCRIPTORS_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Finding(name="open files", level="ok", detail=f"limit {soft}, {needed} wanted per worker")
    fits = max((soft - _DESCRIPTORS_SPARE) // _DESCRIPTORS_PER_CONNECTION, 1)
    raisable = hard == resource.RLIM_INFINITY or hard >= needed
    first = f"ulimit -n {needed}" if raisable else f"raise the hard limit ({hard}; LimitNOFILE= in a systemd unit)"
    return Finding(
        name="open files",
        level="warn",
        detail=f"limit {soft}, but {connections} connections per worker want {needed}",
        remedy=f"{first}, or set balancer.limits.connections to {fits}",
    )


def _reuse_port() -> Finding:
    try:
        with socket.socket() as first, socket.socket() as second:
            for probe in (first, second):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.bind(("127.0.0.1", 0))
            second.bind(first.getsockname())
    except (OSError, AttributeError) as error:
        remedy = "use Linux 3.9 or later; until then set balancer.workers to 1"
        return Finding(name="SO_REUSEPORT", level="fail", detail=f"does not work: {error}", remedy=remedy)
    return Finding(name="SO_REUSEPORT", level="ok", detail="several workers can share a port")


def _ipv6() -> Finding:
    if bind_problem("::1", 0) is None:
        return Finding(name="IPv6", level="ok", detail="loopback works")
    remedy = "sysctl net.ipv6.conf.lo.disable_ipv6=0, if you want to listen on or reach IPv6"
    return Finding(name="IPv6", level="warn", detail="no loopback address ::1", remedy=remedy)


def _icmp() -> Finding:
    kinds = ((socket.SOCK_DGRAM, "without privileges"), (socket.SOCK_RAW, "by a raw socket"))
    for kind, how in kinds:
        try:
            with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP):
                return Finding(name="ICMP", level="ok", detail=f"echo requests can be sent {how}")
        except OSError:
            continue
    remedy = f'sysctl net.ipv4.ping_group_range="{os.getgid()} {os.getgid()}", if you want checks by ICMP'
    return Finding(name="ICMP", level="warn", detail="this user may not send echo requests", remedy=remedy)


def state_directory() -> Path:
    """Where Holdfast keeps state between runs (XDG base directories): ``$XDG_STATE_HOME/holdfast``."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base, "holdfast")


def _state_directory() -> Finding:
    directory = state_directory()
    nearest = next(parent for parent in (directory, *directory.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        remedy = "make it writable for this user, or set XDG_STATE_HOME"
        return Finding(name="state", level="warn", detail=f"{directory}: {error.strerror}", remedy=remedy)
    return Finding(name="state", level="ok", detail=f"{directory} is writable")


def _default_ports() -> Iterator[Finding]:
    for port, what in DEFAULT_PORTS.items():
        name = f"port {port}"
        if problem := bind_problem("127.0.0.1", port):
            remedy = "`holdfast up --port-base 18080`, or other addresses in your file"
            yield Finding(name=name, level="warn", detail=f"{what}: {problem[0]}", remedy=remedy)
        else:
            yield Finding(name=name, level="ok", detail=f"{what}: free")


def _drill_tools() -> Iterator[Finding]:
    tools = {
        "haproxy": "a peer in drills",
        "nginx": "a peer in drills",
        "wrk": "closed-loop load",
        "ip": "cut networks",
        "nft": "lose packets",
        "prometheus": "a peer in drills",
        "prometheus-alertmanager": "a peer in drills",
        "prometheus-blackbox-exporter": "a peer in drills",
    }
    for tool, why in tools.items():
        found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")
        if found:
            yield Finding(name=tool, level="ok", detail=f"{found}: {why}")
        else:
            remedy = f"apt-get install {_PACKAGES.get(tool, tool)}, if you want to run drills"
            yield Finding(name=tool, level="warn", detail=f"not installed: {why}", remedy=remedy)
