"""What a decoder cannot see: ranges, forms, references and combinations of balancer settings.

Pure: a function from settings to the list of everything that is wrong with them. Files and
ports are looked at elsewhere, because that needs the machine.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from typing import Final

from holdfast.balancer.core.addresses import Address, parse_authority, parse_listen, valid_host
from holdfast.balancer.core.settings import (
    AccessLogSettings,
    AdmissionSettings,
    BackendSettings,
    BalancerSettings,
    BreakerSettings,
    DampingSettings,
    DiscoverySettings,
    HealthSettings,
    LimitsSettings,
    OutlierSettings,
    PoolSettings,
    RetrySettings,
    RouteSettings,
    TimeoutSettings,
    UpstreamTlsSettings,
)
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Path, Problem, Section

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._\-]{0,62}[A-Za-z0-9])?")
_FIELD_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""A token, RFC 9110, section 5.6.2."""
_HASH_ON: Final = re.compile(rf"client|path|header:{_FIELD_NAME}|cookie:{_FIELD_NAME}")
_REQUEST_PATH: Final = re.compile(r"/[!$-;=?-~]*")
"""Visible ASCII without quotes, ``#``, ``<`` and ``>``."""
_BEARER: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1: what a client can send after ``Bearer``."""
_LONGEST: Final = Duration(7 * 86400.0)
_TIME: Final = (Duration(0.001), _LONGEST)
_TIME_OR_OFF: Final = (Duration(0.0), _LONGEST)
_COUNT: Final = (1, 1_000_000)

RANGES: Final[dict[type[Section], dict[str, tuple[float, float]]]] = {
    BalancerSettings: {"workers": (1, 256), "drain_timeout": _TIME_OR_OFF},
    BackendSettings: {"weight": (0, 1_000_000)},
    DiscoverySettings: {"min_interval": _TIME, "max_interval": _TIME},
    HealthSettings: {"interval": _TIME, "timeout": _TIME, "rise": (1, 1000), "fall": (1, 1000)},
    RetrySettings: {
        "attempts": (1, 20),
        "budget_percent": (0, 1000),
        "budget_floor_per_s": (0, 1_000_000),
        "per_try_timeout": _TIME,
        "buffer": (Size(0), Size(64 * 2**20)),
    },
    OutlierSettings: {
        "consecutive": _COUNT,
        "sustained": _TIME_OR_OFF,
        "success_ratio": (0, 1),
        "bucket": (Duration(0.01), Duration(3600.0)),
        "buckets": (1, 1000),
        "minimum_volume": _COUNT,
    },
    BreakerSettings: {
        "open_min": _TIME,
        "open_max": _TIME,
        "trials": (1, 1000),
        "trial_successes": (1, 1000),
        "ramp": _TIME_OR_OFF,
    },
    DampingSettings: {
        "penalty": (1, 1e9),
        "half_life": _TIME,
        "suppress": (1, 1e9),
        "reuse": (1, 1e9),
        "max_suppress": _TIME,
    },
    AdmissionSettings: {
        "max_in_flight": _COUNT,
        "max_in_flight_per_backend": _COUNT,
        "queue": (0, 1_000_000),
        "queue_timeout": _TIME,
        "panic_threshold": (0, 1),
    },
    PoolSettings: {
        "timeout": _TIME,
        "connect_timeout": _TIME,
        "stall_timeout": _TIME,
        "idle_connections": (0, 65_536),
        "idle_timeout": _TIME,
    },
    LimitsSettings: {
        "request_line": (Size(64), Size(2**20)),
        "header_block": (Size(256), Size(2**20)),
        "headers": (1, 10_000),
        "body": (Size(0), Size(2**50)),
        "pipelined": (1, 1000),
        "connections": _COUNT,
    },
    TimeoutSettings: {"header": _TIME, "body": _TIME, "write": _TIME, "idle": _TIME, "tunnel": _TIME},
    AccessLogSettings: {"sample": (0, 1)},
}
"""Lowest and highest value, both allowed. The upper bounds catch slips (a timeout of 10d for 10s
is legal, 10 weeks is not) and keep the arithmetic of the policies far from overflow."""


def validate(settings: BalancerSettings) -> list[Problem]:
    """Everything that is wrong with the section, in the order of the settings; empty means sound."""
    return [*_ranges((), settings), *_listeners(settings), *_pools(settings), *_routes(settings)]


def _ranges(path: Path, section: Section) -> Iterator[Problem]:
    for name, (low, high) in RANGES.get(type(section), {}).items():
        value = getattr(section, name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            yield Problem(
                path=(*path, name),
                value=value,
                message="out of range",
                remedy=f"write a value from {low} to {high}",
            )
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _ranges((*path, name), value)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _ranges((*path, name, index), item)
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, Section):
                    yield from _ranges((*path, name, key), item)


def _listeners(settings: BalancerSettings) -> Iterator[Problem]:
    form = "write HOST:PORT, [IPV6]:PORT or https://HOST:PORT; 0.0.0.0 and [::] mean every address"
    if not settings.listen:
        yield Problem(path=("listen",), value=settings.listen, message="no address to listen on", remedy=form)
    bound: list[tuple[Path, Address]] = []
    entries: list[tuple[Path, str]] = [(("listen", index), text) for index, text in enumerate(settings.listen)]
    if settings.admin is not None:
        entries.append((("admin",), settings.admin))
    for path, text in entries:
        try:
            address = parse_listen(text)
        except ValueError as error:
            yield Problem(path=path, value=text, message=str(error), remedy=form)
            continue
        if path == ("admin",):
            yield from _admin(settings, address)
        elif address.tls and not settings.certificates:
            yield Problem(
                path=path,
                value=text,
                message="TLS without a certificate",
                remedy="add `certificates:` with cert and key, or listen without https://",
                related=(("certificates",),),
            )
        for other_path, other in bound:
            if address.port and address.overlaps(other):
                yield Problem(
                    path=path,
                    value=text,
                    message=f"the same address as {_place(other_path)}",
                    remedy="give each its own port",
                    related=(other_path,),
                )
                break
        bound.append((path, address))
    yield from _token(settings.admin_token)
    for index, network in enumerate(settings.trusted_proxies):
        yield from _network(("trusted_proxies", index), network)
    if not settings.access_log.path:
        yield Problem(path=("access_log", "path"), value="", message="no file", remedy="write a file, or - for stdout")
    for index, certificate in enumerate(settings.certificates):
        for name in ("cert", "key"):
            if not getattr(certificate, name):
                path = ("certificates", index, name)
                yield Problem(path=path, value="", message="no file", remedy="write the path of a PEM file")


def _admin(settings: BalancerSettings, address: Address) -> Iterator[Problem]:
    if address.tls:
        yield Problem(
            path=("admin",),
            value=settings.admin,
            message="the admin plane does not speak TLS",
            remedy="write HOST:PORT, and put it behind a listener if it must be reached from outside",
        )
    if settings.admin_token is None and not address.loopback:
        yield Problem(
            path=("admin",),
            value=settings.admin,
            message="reachable from other machines without a token",
            remedy="set admin_token: ${HOLDFAST_ADMIN_TOKEN}, or listen on 127.0.0.1",
            related=(("admin_token",),),
        )


def _token(token: str | None) -> Iterator[Problem]:
    if token is not None and set(token) == {"*"}:
        yield Problem(
            path=("admin_token",),
            value=token,
            message="the mask that `holdfast check` prints, not a token",
            remedy="set admin_token: ${HOLDFAST_ADMIN_TOKEN}",
        )
    elif token is not None and not _BEARER.fullmatch(token):
        yield Problem(
            path=("admin_token",),
            value=token,
            message="not a bearer token",
            remedy="use letters, digits and - . _ ~ + / only, at least one",
        )


def _network(path: Path, text: str) -> Iterator[Problem]:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        remedy = "write a network like 10.0.0.0/8 or 2001:db8::/32"
        try:
            remedy = f"did you mean {ipaddress.ip_network(text, strict=False)}?"
        except ValueError:
            pass
        yield Problem(path=path, value=text, message="not a network", remedy=remedy)


def _pools(settings: BalancerSettings) -> Iterator[Problem]:
    if not settings.pools:
        yield Problem(path=("pools",), value=None, message="no pool", remedy="add a pool with a list of backends")
    for name, pool in settings.pools.items():
        path = ("pools", name)
        yield from _named(path, name)
        yield from _backends(path, pool, settings)
        yield from _checks(path, pool)
        yield from _policies(path, pool)
        yield from _upstream_tls((*path, "tls"), pool.tls)
        if not _HASH_ON.fullmatch(pool.hash_on):
            yield Problem(
                path=(*path, "hash_on"),
                value=pool.hash_on,
                message="not a hash key",
                remedy="write client, path, header:NAME or cookie:NAME",
            )


def _named(path: Path, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(
            path=path,
            value=name,
            message="not a name",
            remedy="use 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit at both ends",
        )


def _backends(path: Path, pool: PoolSettings, settings: BalancerSettings) -> Iterator[Problem]:
    here: Path = (*path, "backends")
    if not pool.backends and pool.discovery is None:
        yield Problem(
            path=path,
            value=None,
            message="no backends",
            remedy="add `backends:` with id and url, or `discovery:`",
            related=(here, (*path, "discovery")),
        )
    elif pool.backends and pool.discovery is None and all(backend.weight == 0 for backend in pool.backends):
        yield Problem(
            path=here,
            value=None,
            message="every backend has weight 0",
            remedy="give one a weight above 0",
            related=tuple((*here, index, "weight") for index in range(len(pool.backends))),
        )
    first: dict[str, int] = {}
    for index, backend in enumerate(pool.backends):
        yield from _named((*here, index, "id"), backend.id)
        if backend.id in first:
            yield Problem(
                path=(*here, index, "id"),
                value=backend.id,
                message=f"duplicate id, first at backends[{first[backend.id]}]",
                remedy="give every backend of a pool its own id",
                related=((*here, first[backend.id], "id"),),
            )
        first.setdefault(backend.id, index)
        yield from _url((*here, index, "url"), backend.url)
        yield from _loop((*here, index, "url"), backend.url, settings)
    if pool.discovery is not None:
        yield from _discovery((*path, "discovery"), pool.discovery)


def _url(path: Path, url: str) -> Iterator[Problem]:
    scheme, separator, rest = url.partition("://")
    try:
        if not separator or scheme not in ("http", "https"):
            raise ValueError("not an http:// or https:// URL")
        if "@" in rest:
            raise ValueError("credentials in a URL")
        if rest.rstrip("/") != rest.partition("/")[0]:
            raise ValueError("a backend URL has no path")
        parse_authority(rest.rstrip("/"))
    except ValueError as error:
        remedy = "write http://HOST:PORT or https://HOST:PORT"
        yield Problem(path=path, value=url, message=str(error), remedy=remedy)


def _loop(path: Path, url: str, settings: BalancerSettings) -> Iterator[Problem]:
    try:
        backend = Address(*parse_authority(url.partition("://")[2].rstrip("/")))
    except ValueError:
        return  # said elsewhere
    for index, text in enumerate(settings.listen):
        try:
            listener = parse_listen(text)
        except ValueError:
            continue
        if listener.port == backend.port and (
            listener.host == backend.host or (listener.wildcard and backend.loopback)
        ):
            yield Problem(
                path=path,
                value=url,
                message=f"the balancer itself, which listens there (listen[{index}])",
                remedy="write the address of the server behind it",
                related=(("listen", index),),
            )
            return


def _discovery(path: Path, discovery: DiscoverySettings) -> Iterator[Problem]:
    try:
        parse_authority(discovery.dns)
    except ValueError as error:
        yield Problem(path=(*path, "dns"), value=discovery.dns, message=str(error), remedy="write HOST:PORT")
    if discovery.max_interval < discovery.min_interval:
        yield Problem(
            path=(*path, "max_interval"),
            value=discovery.max_interval,
            message=f"shorter than min_interval ({discovery.min_interval})",
            remedy="raise max_interval or lower min_interval",
            related=((*path, "min_interval"),),
        )


def _request_path(path: Path, value: str) -> Iterator[Problem]:
    if not value.startswith("/"):
        yield Problem(path=path, value=value, message='does not begin with "/"', remedy=f'write "/{value}"')
    elif not _REQUEST_PATH.fullmatch(value):
        yield Problem(
            path=path, value=value, message="not a request path", remedy="percent-encode spaces and other characters"
        )


def _is_host_header(text: str) -> bool:
    try:
        return valid_host(text) or bool(parse_authority(text))
    except ValueError:
        return False


def _checks(path: Path, pool: PoolSettings) -> Iterator[Problem]:
    health, here = pool.health, (*path, "health")
    yield from _request_path((*here, "path"), health.path)
    if health.host is not None and not _is_host_header(health.host):
        yield Problem(
            path=(*here, "host"),
            value=health.host,
            message="not a host",
            remedy="write a host name, with :PORT if need be",
        )
    if health.timeout > health.interval:
        yield Problem(
            path=(*here, "timeout"),
            value=health.timeout,
            message=f"longer than the interval ({health.interval})",
            remedy="a check must end before the next begins: lower timeout or raise interval",
            related=((*here, "interval"),),
        )
    expect = health.expect
    if len(expect) != 2 or not 100 <= expect[0] <= expect[1] <= 599:
        yield Problem(
            path=(*here, "expect"),
            value=expect,
            message="not a range of statuses",
            remedy="write the lowest and the highest status that pass, like [200, 299]",
            related=tuple((*here, "expect", index) for index in range(len(expect))),
        )


def _policies(path: Path, pool: PoolSettings) -> Iterator[Problem]:
    for index, status in enumerate(pool.retry.statuses):
        if not 400 <= status <= 599:
            yield Problem(
                path=(*path, "retry", "statuses", index),
                value=status,
                message="not the status of a failure",
                remedy="write statuses from 400 to 599",
            )
    breaker = pool.breaker
    if breaker.open_max < breaker.open_min:
        yield Problem(
            path=(*path, "breaker", "open_max"),
            value=breaker.open_max,
            message=f"shorter than open_min ({breaker.open_min})",
            remedy="raise open_max or lower open_min",
            related=((*path, "breaker", "open_min"),),
        )
    yield from _damping((*path, "damping"), pool.damping)


def _damping(path: Path, damping: DampingSettings) -> Iterator[Problem]:
    if min(damping.penalty, damping.half_life, damping.suppress, damping.reuse, damping.max_suppress) <= 0:
        return  # out of range, said elsewhere; the formula below needs positive figures
    if damping.reuse >= damping.suppress:
        yield Problem(
            path=(*path, "reuse"),
            value=damping.reuse,
            message=f"not below suppress ({damping.suppress:g})",
            remedy="lower reuse or raise suppress",
            related=((*path, "suppress"),),
        )
        return
    # RFC 2439, section 4.2: the penalty is capped where it decays to reuse within max_suppress.
    ceiling = damping.reuse * 2.0 ** min(damping.max_suppress / damping.half_life, 1000.0)
    if damping.enabled and ceiling < damping.suppress:
        needed = Duration(math.ceil(damping.half_life * math.log2(damping.suppress / damping.reuse)))
        yield Problem(
            path=(*path, "suppress"),
            value=damping.suppress,
            message=f"can never suppress: the penalty is capped at {ceiling:.0f}",
            remedy=f"lower suppress, raise max_suppress to {needed} or more, or shorten half_life",
            related=tuple((*path, name) for name in ("reuse", "half_life", "max_suppress", "enabled")),
        )


def _upstream_tls(path: Path, tls: UpstreamTlsSettings) -> Iterator[Problem]:
    for name, other in (("cert", "key"), ("key", "cert")):
        if getattr(tls, name) and not getattr(tls, other):
            yield Problem(
                path=(*path, name),
                value=getattr(tls, name),
                message=f"{name} without {other}",
                remedy=f"add `{other}:`",
                related=((*path, other),),
            )
    if tls.ca is not None and not tls.verify:
        yield Problem(
            path=(*path, "ca"),
            value=tls.ca,
            message="unused, because verify is false",
            remedy="remove ca or verify: false",
        )
    if tls.server_name is not None and not valid_host(tls.server_name):
        yield Problem(
            path=(*path, "server_name"),
            value=tls.server_name,
            message="not a host name",
            remedy="write the name to expect",
        )


def _routes(settings: BalancerSettings) -> Iterator[Problem]:
    if not settings.routes and len(settings.pools) > 1:
        yield Problem(
            path=("routes",),
            value=None,
            message=f"{len(settings.pools)} pools and no route",
            remedy="say which pool serves what, like `- {path: /api/, pool: NAME}`",
            related=(("pools",), ("routes",)),
        )
    seen: dict[tuple[str, str], int] = {}
    for index, route in enumerate(settings.routes):
        yield from _route(("routes", index), route, settings)
        # As the router compares them: the case of a host, its final dot and a final slash tell nothing apart.
        first = seen.setdefault((route.host.lower().removesuffix("."), route.path.rstrip("/")), index)
        if first != index:
            yield Problem(
                path=("routes", index),
                value=None,
                message=f"the same host and path as routes[{first}]",
                remedy="keep one of them",
                related=tuple(("routes", number, name) for number in (first, index) for name in ("host", "path")),
            )


def _route(path: Path, route: RouteSettings, settings: BalancerSettings) -> Iterator[Problem]:
    if route.pool not in settings.pools:
        yield Problem(
            path=(*path, "pool"),
            value=route.pool,
            message="no such pool",
            remedy=f"configured pools: {', '.join(settings.pools) or 'none'}",
            related=(("pools",),),
        )
    suffix = route.host.removeprefix("*.")
    literal = route.host.startswith("[") and route.host.endswith("]")
    if not (route.host == "*" or valid_host(suffix) or literal):
        yield Problem(
            path=(*path, "host"),
            value=route.host,
            message="not a host pattern",
            remedy="write a name without port, *.suffix, or *",
        )
    yield from _request_path((*path, "path"), route.path)
    if "?" in route.path:
        yield Problem(
            path=(*path, "path"), value=route.path, message="a route has no query", remedy="end it before the ?"
        )


def _place(path: Path) -> str:
    head, *rest = path
    return str(head) + "".join(f"[{part}]" for part in rest)
