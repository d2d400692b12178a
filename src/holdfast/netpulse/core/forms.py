"""The forms that settings of NetPulse have: addresses, URLs, zones, patterns, ranges."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Path, Problem, Section
from holdfast.netpulse.core.matching import too_large
from holdfast.netpulse.core.settings import (
    AgentSettings,
    ChannelSettings,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    IncidentSettings,
    MaintenanceSettings,
    MonitorSettings,
    NetpulseSettings,
    ObjectiveSettings,
    RetentionSettings,
    RouteSettings,
    SimpleRule,
    StepSettings,
    TlsCheck,
)

LONGEST_REGEX: Final = 500

ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9._\-]{0,62}[a-z0-9])?")
HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,252})")
_ADDRESS: Final = re.compile(rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>{HOST.pattern})):(?P<port>[0-9]{{1,5}})")
LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,62}")
_NESTED_REPEAT: Final = re.compile(r"\([^()]*[+*}][^()]*\)[+*{]")
"""A repetition of a repetition: the usual way for a pattern to take exponential time."""

_YEARS: Final = Duration(3_660 * 86_400.0)
_DAY: Final = 86_400.0
_TIMEOUT: Final = (Duration(0.1), Duration(120.0))
_TIME_OR_OFF: Final = (Duration(0.0), Duration(30 * _DAY))
_KEPT: Final = (Duration(3_600.0), _YEARS)

RANGES: Final[dict[type[Section], dict[str, tuple[float, float]]]] = {
    NetpulseSettings: {"false_pages_per_year": (0.01, 52), "drain_timeout": (Duration(0.0), Duration(300.0))},
    MonitorSettings: {
        "interval": (Duration(1.0), Duration(_DAY)),
        "timeout": _TIMEOUT,
        "false_pages_per_year": (0, 52),
    },
    HttpCheck: {
        "redirects": (0, 20),
        "body_limit": (Size(0), Size(16 * 2**20)),
        "max_time": (Duration(0.0), Duration(120.0)),
        "cert_days": (0, 365),
    },
    TlsCheck: {"cert_days": (0, 365)},
    IcmpCheck: {"count": (1, 10)},
    HeartbeatCheck: {"period": (Duration(5.0), Duration(32 * _DAY)), "grace": (Duration(1.0), Duration(7 * _DAY))},
    SimpleRule: {"regions": (1, 50), "in_a_row": (1, 100)},
    ObjectiveSettings: {"target": (0.5, 0.99999), "window": (Duration(_DAY), Duration(90 * _DAY))},
    AgentSettings: {
        "spool_size": (Size(2**20), Size(2**40)),
        "concurrency": (1, 10_000),
        "heartbeat": (Duration(0.5), Duration(60.0)),
        "clock_tolerance": (Duration(0.1), Duration(60.0)),
        "drain_timeout": (Duration(0.0), Duration(300.0)),
    },
    ChannelSettings: {
        "timeout": (Duration(0.5), Duration(60.0)),
        "attempts": (1, 100),
        "backoff_min": (Duration(0.1), Duration(3_600.0)),
        "backoff_max": (Duration(0.1), Duration(3_600.0)),
    },
    StepSettings: {"after": (Duration(0.0), Duration(7 * _DAY))},
    RouteSettings: {"repeat": _TIME_OR_OFF},
    MaintenanceSettings: {"duration": (Duration(60.0), Duration(30 * _DAY))},
    IncidentSettings: {
        "correlate": (Duration(0.0), Duration(3_600.0)),
        "settle": (Duration(0.0), Duration(600.0)),
        "reopen": (Duration(0.0), Duration(_DAY)),
        "flap_half_life": (Duration(10.0), Duration(7 * _DAY)),
        "flap_suppress": (1001, 100_000),
        "flap_reuse": (1, 100_000),
        "flap_max": (Duration(10.0), Duration(30 * _DAY)),
    },
    RetentionSettings: {
        "raw": _KEPT,
        "minutes": _KEPT,
        "hours": _KEPT,
        "days": _KEPT,
        "incidents": _KEPT,
        "audit": _KEPT,
    },
}
"""Lowest and highest value, both allowed."""


def problem(path: Path, value: object, message: str, remedy: str, *related: Path) -> Problem:
    """A problem at a path."""
    return Problem(path=path, value=value, message=message, remedy=remedy, related=related)


def ranges(path: Path, section: Section) -> Iterator[Problem]:
    """Numbers of a section, and of the sections in it, that are out of their range."""
    for name, (low, high) in RANGES.get(type(section), {}).items():
        value = getattr(section, name)
        if not (math.isfinite(value) and low <= value <= high):
            yield problem((*path, name), value, "out of range", f"write a value from {low} to {high}")
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from ranges((*path, name), value)


def split_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``. Raises ``ValueError`` with what is wrong."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError("not HOST:PORT")
    port = int(match["port"])
    if port > 65_535:
        raise ValueError("port is not from 0 to 65535")
    if match["v6"] is not None:
        try:
            return str(ipaddress.IPv6Address(match["v6"])), port
        except ValueError:
            raise ValueError("not an IPv6 address in brackets") from None
    return match["host"], port


def address(path: Path, text: str, *, zero: bool = False) -> Iterator[Problem]:
    """What is wrong with ``HOST:PORT``."""
    try:
        if split_address(text)[1] == 0 and not zero:
            raise ValueError("port 0 cannot be asked")
    except ValueError as error:
        yield problem(path, text, str(error), "write HOST:PORT or [IPV6]:PORT")


def url(path: Path, text: str, schemes: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a URL."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        port_is_sound = parts.port is None or parts.port > 0
        if parts.scheme not in schemes or not parts.hostname or not port_is_sound:
            raise ValueError
        if any(character.isspace() or not character.isprintable() for character in text):
            raise ValueError
        if "@" in parts.netloc:
            remedy = "take it out; use username and password, bearer_token or headers"
            yield problem(path, "***", "has credentials in the URL", remedy)
    except ValueError:
        yield problem(path, text, "not a URL", f"write one that begins with {wanted}")


def regex(path: Path, text: str) -> Iterator[Problem]:
    """What is wrong with a regular expression that is tried on text of strangers."""
    if not text:
        return
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        yield problem(path, text, f"not a regular expression: {error}", "see the syntax of Python's re")
        return
    if len(text) > LONGEST_REGEX:
        yield problem(path, None, f"longer than {LONGEST_REGEX} characters", "look for less")
    elif _NESTED_REPEAT.search(text):
        remedy = "a repeated group that repeats inside can take for ever: write it without the inner repetition"
        yield problem(path, text, "repeats a repetition", remedy)


def zone(path: Path, name: str) -> Iterator[Problem]:
    """What is wrong with the name of a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        yield problem(path, name, "no such time zone", "write an IANA name, like Europe/Berlin")


def matcher(path: Path, match: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with labels and patterns."""
    if large := too_large(match):
        yield problem(path, None, large, "match fewer, or write several")
    for key, pattern in match.items():
        if not LABEL.fullmatch(key):
            yield problem((*path, key), pattern, "not the name of a label", "write monitor, group, severity or a tag")
        if len(pattern) > 200 or pattern.count("*") > 5:
            yield problem((*path, key), None, "too long a pattern", "use at most 200 characters and five *")
