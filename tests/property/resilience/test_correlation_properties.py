"""Poison, failures of all, and one bad backend, in any interleaving."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from holdfast.resilience import Correlation, CorrelationPolicy, OutlierPolicy

BACKENDS = ("a", "b", "c", "d")


AT_ONCE = OutlierPolicy(sustained_s=0.0)  # a run counts however short, so that tests need not wait


def pool(size: int = 4) -> Correlation:
    correlation = Correlation(AT_ONCE, CorrelationPolicy())
    for backend in BACKENDS[:size]:
        correlation.add(backend)
    return correlation


@st.composite
def poison(draw: st.DrawFn) -> tuple[float, list[tuple[float, str]]]:
    """When a request arrives, and at which backends it fails how long after the failure before."""
    order = draw(st.permutations(BACKENDS))[: draw(st.integers(2, 4))]
    gaps = draw(st.lists(st.floats(0, 0.49), min_size=len(order), max_size=len(order)))
    return draw(st.floats(0, 2)), list(zip(gaps, order, strict=True))


@given(
    requests=st.lists(poison(), max_size=30),
    served=st.lists(st.tuples(st.floats(0, 4), st.sampled_from(BACKENDS)), max_size=20),
    kind=st.sampled_from(("reset", "timeout", "status", "protocol")),
)
@settings(deadline=None)
def test_poison_ejects_nobody_in_any_interleaving(
    requests: list[tuple[float, list[tuple[float, str]]]], served: list[tuple[float, str]], kind: str
) -> None:
    correlation = pool()
    events: list[tuple[float, str, int | None]] = [(at, backend, None) for at, backend in served]
    for number, (at, failures) in enumerate(requests):
        failed_at = at
        for gap_s, backend in failures:
            failed_at += gap_s
            events.append((failed_at, backend, number))
    for now, backend, request in [*sorted(events, key=lambda event: event[0]), (60.0, "a", None)]:
        correlation.settle(now)
        if request is None:
            correlation.succeeded(backend, 1, (), now)
        else:
            correlation.failed(backend, kind, 1, (request,), now)
        assert not [j for j in correlation.judge(BACKENDS, (), now) if j.eject]
        assert all(correlation.window(peer).totals(now).failures == 0 for peer in BACKENDS)


@given(
    failures=st.lists(
        st.tuples(st.sampled_from(BACKENDS), st.sampled_from(("connect", "reset")), st.integers(1, 7)), max_size=80
    ),
    size=st.integers(1, 4),
    gap_s=st.sampled_from((0.001, 0.05, 0.4)),
)
@settings(deadline=None)
def test_a_failure_of_all_leaves_backends_in_rotation_in_any_interleaving(
    failures: list[tuple[str, str, int]], size: int, gap_s: float
) -> None:
    """However the failures interleave, the last one in rotation stays."""
    correlation = pool(size)
    active, out = set(BACKENDS[:size]), set[str]()
    for backend in active:
        correlation.succeeded(backend, 50, (), 0.0)
    for step, (backend, kind, count) in enumerate(failures):
        now = 0.01 + step * gap_s
        if backend in active:
            numbers = tuple(range(step * 10, step * 10 + count))
            correlation.failed(backend, kind, count, numbers, now)
        correlation.settle(now)
        for judgement in correlation.judge(sorted(active), sorted(out), now):
            if judgement.eject:
                active.remove(judgement.backend)
                out.add(judgement.backend)
        assert active


@given(
    bad=st.sampled_from(BACKENDS),
    served=st.lists(st.sampled_from(BACKENDS), min_size=40, max_size=80),
    numbered=st.booleans(),
)
@settings(deadline=None)
def test_one_bad_backend_is_out_whatever_the_order(bad: str, served: list[str], numbered: bool) -> None:
    correlation = pool()
    ejected: set[str] = set()
    peers = [backend for backend in BACKENDS if backend != bad]
    now = 0.0
    for number, backend in enumerate(served):
        now = number * 0.02
        if backend == bad:
            correlation.failed(bad, "reset", 1, (number,), now)
            correlation.succeeded(peers[number % 3], 1, (number,) if numbered else (), now)
        else:
            correlation.succeeded(backend, 1, (), now)
        correlation.settle(now)
        ejected |= {j.backend for j in correlation.judge(BACKENDS, (), now) if j.eject}
    correlation.settle(now + 1.0)
    ejected |= {j.backend for j in correlation.judge(BACKENDS, (), now + 1.0) if j.eject}
    assert ejected == ({bad} if served.count(bad) >= 5 else set())
