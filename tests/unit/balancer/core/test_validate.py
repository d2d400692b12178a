"""Ranges, forms, references and combinations of the balancer's settings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.balancer.core import validate as module
from holdfast.balancer.core.addresses import parse_listen
from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    BreakerSettings,
    CertificateSettings,
    DampingSettings,
    DiscoverySettings,
    HealthSettings,
    PoolSettings,
    RetrySettings,
    RouteSettings,
    UpstreamTlsSettings,
)
from holdfast.balancer.core.validate import RANGES, validate
from holdfast.kernel import Duration
from holdfast.kernel.settings import Section

A = BackendSettings(id="a", url="http://127.0.0.1:9001")


def balancer(pool: PoolSettings | None = None, **settings: Any) -> BalancerSettings:
    return BalancerSettings(**{"pools": {"web": pool or PoolSettings(backends=(A,))}, **settings})


def found(settings: BalancerSettings) -> list[tuple[str, str]]:
    return [(".".join(map(str, problem.path)), problem.message) for problem in validate(settings)]


def pool(**settings: Any) -> BalancerSettings:
    return balancer(PoolSettings(**{"backends": (A,), **settings}))


def test_the_defaults_are_sound() -> None:
    assert validate(balancer()) == []


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:1",
        "http://127.0.0.1",
        "http://:1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:65536",
        "http://h:1/path",
        "http://h:1?q",
        "http://u:p@h:1",
        "http://[::1:1",
        "http://[1.2.3.4]:1",
        "http://999.1.1.1:1",
        "http://a b:1",
        "ws://h:1",
        "http://h:1\n",
        "http://-h:1",
    ],
)
def test_a_backend_url_of_another_form_is_refused(url: str) -> None:
    assert [path for path, _ in found(pool(backends=(BackendSettings(id="a", url=url),)))] == [
        "pools.web.backends.0.url"
    ]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "https://[::1]:65535", "http://app_1.internal:80", "http://h:1/"]
)
def test_a_backend_url_of_a_good_form_is_accepted(url: str) -> None:
    assert found(pool(backends=(BackendSettings(id="a", url=url),))) == []


@pytest.mark.parametrize(
    "text", [":80", "localhost", "http://127.0.0.1:80", "127.0.0.1:65536", "::1:80", "[::1]", "", "127.0.0.1:8a"]
)
def test_a_listen_address_of_another_form_is_refused(text: str) -> None:
    assert ("listen.0") in [path for path, _ in found(balancer(listen=(text,)))]


@pytest.mark.parametrize(
    ("text", "shown", "loopback", "tls"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True, False),
        ("localhost:0", "localhost:0", True, False),
        ("[0::1]:80", "[::1]:80", True, False),
        ("https://0.0.0.0:443", "0.0.0.0:443", False, True),
        ("127.8.8.8:80", "127.8.8.8:80", True, False),
        ("[::]:80", "[::]:80", False, False),
    ],
)
def test_a_listen_address_is_taken_apart(text: str, shown: str, loopback: bool, tls: bool) -> None:
    address = parse_listen(text)
    assert (str(address), address.loopback, address.tls) == (shown, loopback, tls)


@pytest.mark.parametrize("hash_on", ["client", "path", "header:X-Tenant", "cookie:sid"])
def test_a_hash_key_is_accepted(hash_on: str) -> None:
    assert found(pool(hash_on=hash_on)) == []


@pytest.mark.parametrize(
    "hash_on", ["", "header", "header:", "header:a b", "query:x", "client:x", "cookie:a;b", "path\n"]
)
def test_another_hash_key_is_refused(hash_on: str) -> None:
    assert found(pool(hash_on=hash_on)) == [("pools.web.hash_on", "not a hash key")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (pool(health=HealthSettings(path="health")), ("pools.web.health.path", 'does not begin with "/"')),
        (pool(health=HealthSettings(path="/a b")), ("pools.web.health.path", "not a request path")),
        (pool(health=HealthSettings(path="/\r\nX: y")), ("pools.web.health.path", "not a request path")),
        (pool(health=HealthSettings(host="a b")), ("pools.web.health.host", "not a host")),
        (
            pool(health=HealthSettings(timeout=Duration(2.0))),
            ("pools.web.health.timeout", "longer than the interval (1s)"),
        ),
        (pool(health=HealthSettings(expect=(200,))), ("pools.web.health.expect", "not a range of statuses")),
        (pool(health=HealthSettings(expect=(299, 200))), ("pools.web.health.expect", "not a range of statuses")),
        (pool(retry=RetrySettings(statuses=(503, 200))), ("pools.web.retry.statuses.1", "not the status of a failure")),
        (
            pool(breaker=BreakerSettings(open_max=Duration(1.0))),
            ("pools.web.breaker.open_max", "shorter than open_min (5s)"),
        ),
        (pool(damping=DampingSettings(reuse=3000)), ("pools.web.damping.reuse", "not below suppress (3000)")),
        (pool(tls=UpstreamTlsSettings(cert="x")), ("pools.web.tls.cert", "cert without key")),
        (pool(tls=UpstreamTlsSettings(key="x")), ("pools.web.tls.key", "key without cert")),
        (pool(tls=UpstreamTlsSettings(ca="x", verify=False)), ("pools.web.tls.ca", "unused, because verify is false")),
        (pool(tls=UpstreamTlsSettings(server_name="a b")), ("pools.web.tls.server_name", "not a host name")),
        (pool(discovery=DiscoverySettings(dns="api")), ("pools.web.discovery.dns", "not HOST:PORT")),
        (
            pool(discovery=DiscoverySettings(dns="api:80", max_interval=Duration(0.5))),
            ("pools.web.discovery.max_interval", "shorter than min_interval (1s)"),
        ),
        (
            pool(backends=(msgspec.structs.replace(A, weight=0.0),)),
            ("pools.web.backends", "every backend has weight 0"),
        ),
        (pool(backends=(msgspec.structs.replace(A, id="a b"),)), ("pools.web.backends.0.id", "not a name")),
        (pool(backends=(msgspec.structs.replace(A, id="x" * 65),)), ("pools.web.backends.0.id", "not a name")),
        (balancer(listen=()), ("listen", "no address to listen on")),
        (balancer(listen=("https://127.0.0.1:1",)), ("listen.0", "TLS without a certificate")),
        (balancer(admin="https://127.0.0.1:1"), ("admin", "the admin plane does not speak TLS")),
        (balancer(admin="localhost"), ("admin", "not HOST:PORT")),
        (balancer(admin_token=""), ("admin_token", "not a bearer token")),
        (balancer(trusted_proxies=("10.0.0.1/8",)), ("trusted_proxies.0", "not a network")),
        (balancer(trusted_proxies=("proxy",)), ("trusted_proxies.0", "not a network")),
        (balancer(certificates=(CertificateSettings(cert="", key="k"),)), ("certificates.0.cert", "no file")),
        (balancer(routes=(RouteSettings(pool="wep"),)), ("routes.0.pool", "no such pool")),
        (balancer(routes=(RouteSettings(pool="web", path="api"),)), ("routes.0.path", 'does not begin with "/"')),
        (balancer(routes=(RouteSettings(pool="web", path="/a?b"),)), ("routes.0.path", "a route has no query")),
        (balancer(routes=(RouteSettings(pool="web", host="a:80"),)), ("routes.0.host", "not a host pattern")),
        (balancer(routes=(RouteSettings(pool="web", host="*.*.x"),)), ("routes.0.host", "not a host pattern")),
        (
            balancer(
                routes=(
                    RouteSettings(pool="web", host="A.x", path="/a/"),
                    RouteSettings(pool="web", host="a.x", path="/a"),
                )
            ),
            ("routes.1", "the same host and path as routes[0]"),
        ),
        (balancer(pools={}), ("pools", "no pool")),
        (balancer(pools={"a b": PoolSettings(backends=(A,))}), ("pools.a b", "not a name")),
    ],
)
def test_one_slip_is_one_problem(settings: BalancerSettings, expected: tuple[str, str]) -> None:
    assert found(settings) == [expected]


@pytest.mark.parametrize(
    ("listen", "url", "loops"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("[::]:8080", "http://localhost:8080", True),
        ("127.0.0.1:8080", "http://127.0.0.2:8080", False),
        ("0.0.0.0:8080", "http://10.0.0.1:8080", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8081", False),
    ],
)
def test_a_balancer_that_would_send_requests_to_itself_is_refused(listen: str, url: str, loops: bool) -> None:
    settings = balancer(PoolSettings(backends=(BackendSettings(id="a", url=url),)), listen=(listen,), admin=None)
    expected = [("pools.web.backends.0.url", "the balancer itself, which listens there (listen[0])")]
    assert found(settings) == (expected if loops else [])


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("localhost:1", "127.0.0.1:1", True),
        ("localhost:1", "[::1]:1", True),
        ("localhost:1", "[::]:1", True),
        ("0.0.0.0:1", "[::]:1", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("10.0.0.1:1", "localhost:1", False),
        ("[::]:1", "[::1]:1", True),
    ],
)
def test_two_addresses_overlap_when_both_cannot_be_bound(one: str, other: str, overlap: bool) -> None:
    assert parse_listen(one).overlaps(parse_listen(other)) is overlap
    assert parse_listen(other).overlaps(parse_listen(one)) is overlap


def test_a_network_with_host_bits_gets_the_network_as_remedy() -> None:
    (problem,) = validate(balancer(trusted_proxies=("10.1.2.3/8",)))
    assert problem.remedy == "did you mean 10.0.0.0/8?"


def test_damping_that_can_just_reach_suppress_is_accepted() -> None:
    # 750 doubled twice is 3000: suppressed for exactly max_suppress, two half-lives.
    damping = DampingSettings(max_suppress=Duration(120.0))
    assert found(pool(damping=damping)) == []
    assert found(pool(damping=msgspec.structs.replace(damping, max_suppress=Duration(119.0)))) == [
        ("pools.web.damping.suppress", "can never suppress: the penalty is capped at 2966")
    ]


def test_the_remedy_for_damping_that_never_suppresses_is_sufficient() -> None:
    damping = DampingSettings(suppress=20_000, max_suppress=Duration(60.0))
    (problem,) = validate(pool(damping=damping))
    needed = problem.remedy.split(" or more")[0].rpartition(" ")[2]
    assert found(pool(damping=msgspec.structs.replace(damping, max_suppress=Duration.parse(needed)))) == []


def test_damping_that_is_off_may_be_unreachable() -> None:
    assert found(pool(damping=DampingSettings(suppress=30_000, enabled=False))) == []


@pytest.mark.parametrize(
    ("section", "name", "low", "high"),
    [(section, name, low, high) for section, ranges in RANGES.items() for name, (low, high) in ranges.items()],
)
def test_a_figure_beyond_either_bound_is_out_of_range(
    section: type[Section], name: str, low: float, high: float
) -> None:
    kind = type(low)
    required: dict[str, Any] = {
        "BackendSettings": {"id": "a", "url": "http://h:1"},
        "DiscoverySettings": {"dns": "h:1"},
    }.get(section.__name__, {})
    if section is BalancerSettings:
        required = {"pools": {"web": PoolSettings(backends=(A,))}}
    for value in (kind(low - 1), kind(high + 1), float("nan"), float("inf")):
        problems = list(module._ranges((), section(**{**required, name: value})))
        assert [(problem.path, problem.message) for problem in problems] == [((name,), "out of range")]
    for value in (low, high):
        assert list(module._ranges((), section(**{**required, name: value}))) == []


def test_every_figure_has_a_range() -> None:
    def figures(section: type[Section]) -> set[str]:
        kinds = (msgspec.inspect.IntType, msgspec.inspect.FloatType, msgspec.inspect.CustomType)
        info = msgspec.inspect.type_info(section)
        assert isinstance(info, msgspec.inspect.StructType)
        return {
            item.name
            for item in info.fields
            if isinstance(item.type, kinds)
            or (isinstance(item.type, msgspec.inspect.UnionType) and isinstance(item.type.types[0], kinds))
        }

    unbounded = {
        f"{section.__name__}.{name}"
        for section in Section.__subclasses__()
        if section.__module__.startswith("holdfast.balancer.")
        for name in figures(section) - RANGES.get(section, {}).keys()
    }
    assert unbounded == set()
