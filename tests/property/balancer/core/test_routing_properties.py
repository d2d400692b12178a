"""Routing agrees with the definition: filter what matches, take the most specific."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.balancer.core.routing import Route, Router
from holdfast.balancer.core.settings import RouteSettings

_LABELS = st.sampled_from(["a", "b", "api", "A"])
_NAMES = st.lists(_LABELS, min_size=1, max_size=3).map(".".join)
_PATTERNS = st.one_of(st.just("*"), _NAMES, _NAMES.map(lambda name: f"*.{name}"))
_SEGMENTS = st.sampled_from(["a", "b", "ab", "a.b", "%2F", "", ".", "a+", "(", "é"])
_PATHS = st.lists(_SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
_TARGETS = st.tuples(_PATHS, st.sampled_from(["", "?", "?x=/a/b", "/"])).map("".join)
_HOSTS = st.tuples(_NAMES, st.sampled_from(["", ":80", "."])).map("".join)


def _routes(keys: list[tuple[str, str]]) -> list[RouteSettings]:
    unique = {(host.lower(), path.rstrip("/")): (host, path) for host, path in keys}
    return [RouteSettings(pool=f"p{n}", host=h, path=p) for n, (h, p) in enumerate(unique.values())]


def _oracle(routes: list[RouteSettings], host: str, target: str) -> str | None:
    name = host.split(":", maxsplit=1)[0].lower().rstrip(".")

    def host_rank(pattern: str) -> tuple[int, int] | None:
        pattern = pattern.lower()
        if pattern == "*":
            return (0, 0)
        if pattern.startswith("*."):
            return (1, len(pattern)) if name.endswith(pattern[1:]) else None
        return (2, 0) if name == pattern else None

    def path_rank(prefix: str) -> int | None:
        prefix = prefix.rstrip("/")
        covers = target.startswith(prefix) and (not prefix or target[len(prefix) :][:1] in ("", "/", "?"))
        return len(prefix) if covers else None

    ranked = []
    for route in routes:
        by_host, by_path = host_rank(route.host), path_rank(route.path)
        if by_host is not None and by_path is not None:
            ranked.append((by_host, by_path, route.pool))
    return max(ranked)[2] if ranked else None


@given(st.lists(st.tuples(_PATTERNS, _PATHS), max_size=8), st.lists(st.tuples(_HOSTS, _TARGETS), max_size=8))
def test_the_most_specific_matching_route_wins_whatever_the_order(
    keys: list[tuple[str, str]], requests: list[tuple[str, str]]
) -> None:
    """The compiled tables choose what the naive definition chooses, in any order of routes."""
    routes = _routes(keys)
    forwards, backwards = Router(routes), Router(routes[::-1])
    for host, target in requests:
        expected = _oracle(routes, host, target)
        for router in (forwards, backwards):
            found = router.match(host, target)
            assert (found and found.pool) == expected


@given(_PATHS, _TARGETS)
def test_what_is_forwarded_is_an_origin_form_that_ends_like_the_request(prefix: str, target: str) -> None:
    """Stripping cuts exactly the prefix and never makes a target that begins without a slash."""
    found = Router([RouteSettings(pool="web", path=prefix, strip_prefix=True)]).match("a", target)
    if found is not None:
        forwarded = found.forwarded(target)
        assert forwarded.startswith("/")
        assert forwarded.removeprefix("/") == target[len(found.path) :].removeprefix("/")
    assert Route("web", False, prefix).forwarded(target) == target
