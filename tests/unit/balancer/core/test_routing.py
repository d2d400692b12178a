"""Routing by host and path."""

from __future__ import annotations

import pytest

from holdfast.balancer.core.routing import Router, compile_routes
from holdfast.balancer.core.settings import BalancerSettings, PoolSettings, RouteSettings


def _pool(router: Router, host: str, target: str) -> str | None:
    found = router.match(host, target)
    return None if found is None else found.pool


def test_a_prefix_ends_at_a_segment_border() -> None:
    """``/api`` does not cover ``/apix``, with or without a slash in the configuration."""
    for path in ("/api", "/api/"):
        router = Router([RouteSettings(pool="api", path=path)])
        assert [_pool(router, "h", t) for t in ("/api", "/api/", "/api/v1", "/api?x", "/apix", "/")] == [
            *["api"] * 4,
            None,
            None,
        ]


def test_a_host_with_own_routes_falls_back_to_wider_hosts_for_other_paths() -> None:
    """The exact host wins where it says something, and only there."""
    router = Router(
        [
            RouteSettings(pool="any"),
            RouteSettings(pool="suffix", host="*.example.com", path="/app"),
            RouteSettings(pool="exact", host="www.example.com", path="/app/admin"),
        ]
    )
    assert _pool(router, "www.example.com", "/app/admin/x") == "exact"
    assert _pool(router, "www.example.com", "/app/x") == "suffix"
    assert _pool(router, "www.example.com", "/x") == "any"
    assert _pool(router, "example.com", "/app") == "any"


@pytest.mark.parametrize("host", ["Example.COM", "example.com:8080", "example.com.", "EXAMPLE.com.:1"])
def test_hosts_compare_without_port_case_and_trailing_dot(host: str) -> None:
    """These four spell one host."""
    assert _pool(Router([RouteSettings(pool="web", host="example.com")]), host, "/") == "web"


def test_an_ipv6_host_keeps_its_colons() -> None:
    """The port of a bracketed address is cut behind the bracket."""
    assert _pool(Router([RouteSettings(pool="six", host="[::1]")]), "[::1]:8080", "/") == "six"


@pytest.mark.parametrize("target", ["//api/x", "/./api", "/%61pi", "/API", "*"])
def test_nothing_is_normalised(target: str) -> None:
    """Only the literal prefix matches; a look-alike goes to the catch-all unchanged."""
    router = Router([RouteSettings(pool="api", path="/api"), RouteSettings(pool="web")])
    assert _pool(router, "h", target) == "web"


def test_stripping_keeps_the_query_and_the_rest() -> None:
    """What follows the prefix goes upstream byte for byte."""
    route = Router([RouteSettings(pool="ai", path="/ai/", strip_prefix=True)]).match("h", "/ai")
    assert route is not None
    assert [route.forwarded(t) for t in ("/ai", "/ai/", "/ai/v1?q=/ai", "/ai?x=1", "/ai//x")] == [
        "/",
        "/",
        "/v1?q=/ai",
        "/?x=1",
        "//x",
    ]


def test_two_routes_for_the_same_place_are_refused() -> None:
    """A trailing slash and letter case of the host make no difference."""
    with pytest.raises(ValueError, match=r"two routes for host 'a\.com' and path '/x'"):
        Router([RouteSettings(pool="p", host="a.com", path="/x"), RouteSettings(pool="q", host="A.com", path="/x/")])


def test_a_single_pool_without_routes_gets_everything() -> None:
    """And with several pools, no route means no match."""
    one = BalancerSettings(pools={"web": PoolSettings()})
    two = BalancerSettings(pools={"web": PoolSettings(), "api": PoolSettings()})
    assert _pool(compile_routes(one), "h", "/x") == "web"
    assert _pool(compile_routes(two), "h", "/x") is None


def test_the_cache_of_hosts_is_bounded() -> None:
    """A client that invents hosts does not make memory grow."""
    router = Router([RouteSettings(pool="web"), RouteSettings(pool="a", host="a")])
    for n in range(5000):
        assert _pool(router, f"h{n}", "/") == "web"
    assert len(router._seen) <= 1024
    assert _pool(router, "a", "/") == "a"


def test_a_route_is_named_by_what_it_matches() -> None:
    router = Router([RouteSettings(pool="a"), RouteSettings(pool="b", host="*.Example.com", path="/app/")])
    found = [router.match(host, "/app/x") for host in ("h", "www.example.com")]
    assert [route and route.name for route in found] == ["*/", "*.example.com/app"]
