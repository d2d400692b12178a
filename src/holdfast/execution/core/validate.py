"""What a decoder cannot see: ranges, forms and combinations of execution settings.

Pure: a function from settings to the list of everything that is wrong with them. Files, ports and what the machine
can do are looked at elsewhere.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from typing import Final

from holdfast.execution.core.settings import (
    AdmissionSettings,
    CallbackSettings,
    CeilingSettings,
    CompileLimitSettings,
    ExecutionSettings,
    FairnessSettings,
    LeaseSettings,
    LimitSettings,
    PayloadSettings,
    RetentionSettings,
    ScalingSettings,
    WorkerSettings,
)
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Path, Problem, Section

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,252}))):(?P<port>[0-9]{1,5})"
)
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
"""ISO 4217."""
_WORKER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}")
_LONGEST: Final = Duration(7 * 86_400.0)
_TIME: Final = (Duration(0.001), _LONGEST)
_TIME_OR_OFF: Final = (Duration(0.0), _LONGEST)
_RUN: Final = (Duration(0.1), Duration(86_400.0))
_KEPT: Final = (Duration(60.0), Duration(3_660 * 86_400.0))
_COUNT: Final = (1, 1_000_000)
_PART: Final = (0.001, 1)
_MEMORY: Final = (Size(4 * 2**20), Size(2**40))
_OUTPUT: Final = (Size(2**10), Size(2**30))
_PROCESSES: Final = (1, 32_768)
_LIMITS: Final = {"wall": _RUN, "cpu": _RUN, "memory": _MEMORY, "output": _OUTPUT, "processes": _PROCESSES}

RANGES: Final[dict[type[Section], dict[str, tuple[float, float]]]] = {
    ExecutionSettings: {"cost_per_cpu_hour": (0, 1_000_000), "drain_timeout": _TIME_OR_OFF},
    LimitSettings: _LIMITS,
    CompileLimitSettings: _LIMITS,
    CeilingSettings: _LIMITS,
    PayloadSettings: {
        "source": (Size(1), Size(2**30)),
        "files": (1, 10_000),
        "stdin": (Size(0), Size(2**30)),
        "args": (0, 10_000),
        "env": (0, 10_000),
        "metadata": (Size(2), Size(2**20)),
        "body": (Size(2**10), Size(2**31)),
    },
    FairnessSettings: {
        "tenant_share": _PART,
        "heavy_share": _PART,
        "reserve_share": (0, 0.9),
        "heavy_over": _TIME,
        "quantum": (Duration(0.001), Duration(3_600.0)),
        "ageing": _TIME_OR_OFF,
    },
    AdmissionSettings: {
        "tenant_backlog": _TIME,
        "total_backlog": _TIME,
        "min_free": (Size(0), Size(2**50)),
        "requests_per_s": (0, 1_000_000),
        "submits_per_s": (0, 1_000_000),
        "submit_burst": _COUNT,
        "daily_cpu": (Duration(0.0), Duration(86_400.0 * 10_000)),
    },
    LeaseSettings: {
        "duration": (Duration(0.1), Duration(3_600.0)),
        "renew": (Duration(0.01), Duration(3_600.0)),
        "attempts": (1, 100),
        "backoff_min": _TIME_OR_OFF,
        "backoff_max": _TIME_OR_OFF,
    },
    RetentionSettings: {"results": _KEPT, "jobs": _KEPT, "costs": _KEPT, "audit": _KEPT},
    CallbackSettings: {
        "attempts": (1, 100),
        "backoff_min": _TIME_OR_OFF,
        "backoff_max": _TIME_OR_OFF,
        "timeout": (Duration(0.1), Duration(300.0)),
        "concurrency": (1, 1_000),
    },
    ScalingSettings: {
        "target_backlog": _TIME,
        "min_workers": (0, 100_000),
        "max_workers": _COUNT,
        "slots_per_worker": (1, 1_000),
        "up_cooldown": _TIME_OR_OFF,
        "down_cooldown": _TIME_OR_OFF,
    },
    WorkerSettings: {
        "count": (0, 256),
        "slots": (0, 1_000),
        "uid_base": (65_536, 2**32 - 2_000),
        "cache_size": (Size(0), Size(2**50)),
        "work_size": (Size(2**20), Size(2**40)),
        "work_files": (16, 10_000_000),
        "recycle_after": _COUNT,
        "drain_timeout": _TIME_OR_OFF,
    },
}
"""Lowest and highest value, both allowed. The upper bounds catch slips and keep the arithmetic of the policies far from
overflow. Uids below 65,536 are people and services, and the highest one stands for an error."""

_SHORTER: Final = (
    (("admission",), "tenant_backlog", "total_backlog", "or one tenant alone could have everybody refused"),
    (("lease",), "backoff_min", "backoff_max", ""),
    (("callbacks",), "backoff_min", "backoff_max", ""),
    (("retention",), "results", "jobs", "because a result goes when its job does"),
    (("scaling",), "min_workers", "max_workers", ""),
)
"""Settings of one section of which the first may not be more than the second, and why if it is not plain."""


def validate(settings: ExecutionSettings) -> list[Problem]:
    """Everything that is wrong with the section, in the order of the settings; empty means sound."""
    return [
        *_ranges((), settings),
        *_addresses(settings),
        *_limits(settings),
        *_payload(settings),
        *_fairness(settings.fairness),
        *_lease(settings.lease),
        *_order(settings),
        *_worker(settings.worker),
        *_currency(settings),
    ]


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``; port 0 lets the kernel choose.

    Raises:
        ValueError: With what is wrong.
    """
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


def _ranges(path: Path, section: Section) -> Iterator[Problem]:
    for name, (low, high) in RANGES.get(type(section), {}).items():
        value = getattr(section, name)
        if not (math.isfinite(value) and low <= value <= high):
            yield Problem(
                path=(*path, name), value=value, message="out of range", remedy=f"write a value from {low} to {high}"
            )
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _ranges((*path, name), value)


def _addresses(settings: ExecutionSettings) -> Iterator[Problem]:
    remedy = "write HOST:PORT or [IPV6]:PORT; 0.0.0.0 and [::] mean every address"
    try:
        parse_listen(settings.listen)
    except ValueError as error:
        yield Problem(path=("listen",), value=settings.listen, message=str(error), remedy=remedy)


def _limits(settings: ExecutionSettings) -> Iterator[Problem]:
    for name in settings.limits.__struct_fields__:
        default, most = getattr(settings.limits, name), getattr(settings.ceilings, name)
        if default > most:
            yield Problem(
                path=("limits", name),
                value=default,
                message=f"more than a request may ask for (ceilings.{name} is {most})",
                remedy=f"lower it, or raise ceilings.{name}",
                related=(("ceilings", name),),
            )


def _payload(settings: ExecutionSettings) -> Iterator[Problem]:
    payload = settings.payload
    for name in ("source", "stdin", "metadata"):
        if getattr(payload, name) > payload.body:
            yield Problem(
                path=("payload", name),
                value=getattr(payload, name),
                message=f"more than a whole request may have (body is {payload.body})",
                remedy="lower it, or raise body",
                related=(("payload", "body"),),
            )


def _fairness(fairness: FairnessSettings) -> Iterator[Problem]:
    for tenant, weight in fairness.weights.items():
        if not (math.isfinite(weight) and 0.001 <= weight <= 1_000_000):
            yield Problem(
                path=("fairness", "weights", tenant),
                value=weight,
                message="out of range",
                remedy="write a weight from 0.001 to 1000000; 1 is that of a tenant that is not listed",
            )


def _lease(lease: LeaseSettings) -> Iterator[Problem]:
    if not lease.renew < lease.duration / 2:
        yield Problem(
            path=("lease", "renew"),
            value=lease.renew,
            message=f"not less than half of the duration ({lease.duration})",
            remedy="a lease must survive one renewal that is lost: lower renew or raise duration",
            related=(("lease", "duration"),),
        )


def _order(settings: ExecutionSettings) -> Iterator[Problem]:
    for path, less, more, why in _SHORTER:
        section = getattr(settings, path[0])
        low, high = getattr(section, less), getattr(section, more)
        if low > high:
            yield Problem(
                path=(*path, less),
                value=low,
                message=f"more than {more} ({high})" + (f", {why}" if why else ""),
                remedy=f"lower {less} or raise {more}",
                related=((*path, more),),
            )


def _worker(worker: WorkerSettings) -> Iterator[Problem]:
    path: Path = ("worker",)
    if worker.api is not None:
        scheme, separator, rest = worker.api.partition("://")
        try:
            if not separator or scheme not in {"http", "https"}:
                raise ValueError("not an http:// or https:// URL")
            if parse_listen(rest.removesuffix("/"))[1] == 0:
                raise ValueError("port 0 cannot be called")
        except ValueError as error:
            yield Problem(
                path=(*path, "api"),
                value=worker.api,
                message=str(error),
                remedy="write http://HOST:PORT without a path",
            )
    if worker.name is not None and not _WORKER_NAME.fullmatch(worker.name):
        yield Problem(
            path=(*path, "name"),
            value=worker.name,
            message="not a name",
            remedy="use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first",
        )
    if worker.name is not None and worker.count > 1:
        yield Problem(
            path=(*path, "name"),
            value=worker.name,
            message=f"the same for {worker.count} workers, which would take each other's leases",
            remedy="leave name out, or set count to 1",
            related=((*path, "count"),),
        )
    if worker.api_key is not None and not worker.api_key.startswith("hf_"):
        yield Problem(
            path=(*path, "api_key"),
            value="***",
            message="not an API key",
            remedy="make one with `holdfast key create --role worker` and set api_key: ${HOLDFAST_WORKER_KEY}",
        )
    if not worker.cache:
        yield Problem(path=(*path, "cache"), value="", message="no directory", remedy="write the path of a directory")


def _currency(settings: ExecutionSettings) -> Iterator[Problem]:
    if not _CURRENCY.fullmatch(settings.currency):
        yield Problem(
            path=("currency",),
            value=settings.currency,
            message="not a currency",
            remedy="write three capital letters, like USD or EUR",
        )
