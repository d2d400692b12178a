"""What is wrong with a monitor: its kind of check, references and forms."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import jsonpath

from holdfast.kernel.settings import Path, Problem
from holdfast.netpulse.core.forms import HOST, ID, LABEL, address, problem, ranges, regex, url
from holdfast.netpulse.core.matching import PATTERN_LIMIT
from holdfast.netpulse.core.settings import (
    CommandCheck,
    DnsCheck,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    MonitorSettings,
    NetpulseSettings,
    TcpCheck,
    TlsCheck,
    WebSocketCheck,
)

KINDS: Final = ("http", "tcp", "tls", "dns", "icmp", "websocket", "grpc", "heartbeat", "command")
"""Fields of :class:`MonitorSettings` of which exactly one is set."""
LONGEST_NAME: Final = 200
_STATUS: Final = re.compile(r"[1-5]xx|[1-5][0-9]{2}(?:-[1-5][0-9]{2})?")
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,100}")


def kind_of(monitor: MonitorSettings) -> str:
    """Which of :data:`KINDS` it is."""
    return next(kind for kind in KINDS if getattr(monitor, kind) is not None)


def validate_monitor(
    name: str,
    monitor: MonitorSettings,
    settings: NetpulseSettings,
    *,
    known: Collection[str] | None = None,
    path: Path = (),
) -> list[Problem]:
    """What is wrong with one monitor. ``known`` are the ids that it may depend on; ``None`` does not look."""
    found: list[Problem] = []
    if not ID.fullmatch(name):
        remedy = "use up to 64 lower-case letters, digits, dots, hyphens and underscores"
        found.append(problem(path, name, "not an id", remedy))
    kinds = [kind for kind in KINDS if getattr(monitor, kind) is not None]
    if len(kinds) != 1:
        message = "nothing is checked" if not kinds else f"more than one kind of check: {', '.join(kinds)}"
        found.append(problem(path, None, message, f"write exactly one of {', '.join(KINDS)}"))
    found += ranges(path, monitor)
    if monitor.timeout > monitor.interval and monitor.heartbeat is None:
        remedy = "a check has to end before the next begins: lower timeout or raise interval"
        found.append(
            problem(
                (*path, "timeout"),
                monitor.timeout,
                f"longer than the interval ({monitor.interval})",
                remedy,
                (*path, "interval"),
            )
        )
    if large := list(_large(path, monitor)):
        return [*found, *large]
    for index, region in enumerate(monitor.regions):
        if region not in settings.regions:
            remedy = f"known: {', '.join(settings.regions) or 'none; add it to regions'}"
            found.append(problem((*path, "regions", index), region, "no such region", remedy))
    if monitor.heartbeat is None and not settings.regions:
        remedy = "add `regions: {local: {embedded: true}}`"
        found.append(problem(path, None, "nobody to watch it: there are no regions", remedy))
    for index, parent in enumerate(monitor.depends_on):
        if known is not None and parent not in known:
            found.append(problem((*path, "depends_on", index), parent, "no such monitor", "write the id of a monitor"))
    for key in monitor.tags:
        if not LABEL.fullmatch(key) or key in {"monitor", "group", "severity", "condition"}:
            remedy = (
                "use another name: letters, digits, dots, hyphens, underscores; not monitor, group, severity, condition"
            )
            found.append(problem((*path, "tags", key), None, "not the name of a tag", remedy))
    if monitor.rule is not None and monitor.rule.regions > len(monitor.regions or settings.regions):
        remedy = "lower it, or let more regions watch"
        found.append(
            problem((*path, "rule", "regions"), monitor.rule.regions, "more than the regions that watch", remedy)
        )
    for kind in kinds:
        found += _CHECKS[kind]((*path, kind), getattr(monitor, kind))
    return found


def _large(path: Path, monitor: MonitorSettings) -> Iterator[Problem]:
    """What is too much of it: every page, message and schedule carries it."""
    for field, most in (("name", LONGEST_NAME), ("group", LONGEST_NAME)):
        if len(getattr(monitor, field)) > most:
            yield problem((*path, field), None, f"longer than {most} characters", "write less")
    for field, most in (("tags", 64), ("regions", 100), ("depends_on", 100)):
        if len(getattr(monitor, field)) > most:
            yield problem((*path, field), None, f"more than {most}", "write fewer")
    for key, value in monitor.tags.items():
        if len(value) > PATTERN_LIMIT:
            yield problem((*path, "tags", key[:64]), None, f"longer than {PATTERN_LIMIT} characters", "write less")


def _http(path: Path, check: HttpCheck) -> Iterator[Problem]:
    yield from url((*path, "url"), check.url, ("http", "https"))
    if not _METHOD.fullmatch(check.method) or check.method in {"CONNECT", "TRACE"}:
        yield problem((*path, "method"), check.method, "not a method for checks", "write GET, HEAD, POST ...")
    if len(check.headers) > 64:
        yield problem((*path, "headers"), None, "more than 64", "send fewer")
        return
    for name, value in check.headers.items():
        if not _FIELD_NAME.fullmatch(name) or not value.isprintable() or not value.isascii() or len(value) > 4096:
            yield problem((*path, "headers", name), "***", "not a header", "use printable ASCII without line breaks")
        elif name.lower() in {"content-length", "transfer-encoding", "connection", "host", "upgrade"}:
            yield problem((*path, "headers", name), "***", "set by the probe itself", "leave it out")
    if len(check.body.encode()) > 64 * 1024:
        yield problem((*path, "body"), None, "more than 64 KiB", "send less")
    for index, text in enumerate(check.status):
        low, _, high = text.partition("-")
        if not _STATUS.fullmatch(text) or (high and low > high):
            yield problem((*path, "status", index), text, "not a status", "write 200, 2xx or 200-204")
    if not check.status:
        yield problem((*path, "status"), None, "no status is well", "write at least one, like 2xx")
    yield from regex((*path, "regex"), check.regex)
    if check.jsonpath:
        try:
            jsonpath.compile(check.jsonpath)
        except (jsonpath.JSONPathError, ValueError, RecursionError) as error:
            yield problem((*path, "jsonpath"), check.jsonpath, f"not a JSONPath: {error}", "see RFC 9535")
    elif check.equals:
        yield problem((*path, "equals"), check.equals, "nothing to compare with", "add jsonpath", (*path, "jsonpath"))
    if check.bearer_token and (check.username or check.password):
        remedy = "leave one of them out"
        yield problem((*path, "bearer_token"), "***", "and a password: one of them at a time", remedy)


def _at_address(path: Path, check: TcpCheck | TlsCheck | GrpcCheck) -> Iterator[Problem]:
    yield from address((*path, "address"), check.address)


def _dns(path: Path, check: DnsCheck) -> Iterator[Problem]:
    if (
        not check.name
        or len(check.name) > 253
        or any(not 0 < len(part) < 64 for part in check.name.rstrip(".").split("."))
    ):
        yield problem((*path, "name"), check.name, "not a name", "write one like example.com")
    if check.resolver:
        host, _, port = check.resolver.rpartition(":") if check.resolver.count(":") == 1 else (check.resolver, "", "53")
        try:
            ipaddress.ip_address(host.strip("[]") or check.resolver)
            if not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError
        except ValueError:
            yield problem((*path, "resolver"), check.resolver, "not an address", "write IP or IP:PORT")


def _icmp(path: Path, check: IcmpCheck) -> Iterator[Problem]:
    if not HOST.fullmatch(check.host):
        try:
            ipaddress.ip_address(check.host)
        except ValueError:
            yield problem((*path, "host"), check.host, "not a host", "write a name or an address")


def _websocket(path: Path, check: WebSocketCheck) -> Iterator[Problem]:
    yield from url((*path, "url"), check.url, ("ws", "wss"))


def _heartbeat(path: Path, check: HeartbeatCheck) -> Iterator[Problem]:
    if check.token and (len(check.token) < 16 or not re.fullmatch(r"[A-Za-z0-9_\-]{16,128}", check.token)):
        remedy = "use 16 to 128 letters, digits, hyphens and underscores, made by chance"
        yield problem((*path, "token"), "***", "not a token", remedy)


def _command(path: Path, check: CommandCheck) -> Iterator[Problem]:
    if not check.argv:
        yield problem((*path, "argv"), None, "nothing to run", "write a program and its arguments")


_CHECKS: Final[dict[str, Callable[[Path, Any], Iterator[Problem]]]] = {
    "http": _http,
    "tcp": _at_address,
    "tls": _at_address,
    "grpc": _at_address,
    "dns": _dns,
    "icmp": _icmp,
    "websocket": _websocket,
    "heartbeat": _heartbeat,
    "command": _command,
}
