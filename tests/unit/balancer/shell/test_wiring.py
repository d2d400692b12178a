"""What stays of pools and backends, and of what is counted there, through any number of reloads."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trustme

from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    PoolSettings,
    UpstreamTlsSettings,
)
from holdfast.balancer.shell.wiring import PoolSet
from holdfast.proxy import TlsError


def settings(*pools: str, port: int = 80, ca: Path | None = None) -> BalancerSettings:
    scheme, tls = ("http", UpstreamTlsSettings()) if ca is None else ("https", UpstreamTlsSettings(ca=str(ca)))
    pool = PoolSettings(backends=(BackendSettings(id="a", url=f"{scheme}://127.0.0.1:{port}"),), tls=tls)
    return BalancerSettings(pools=dict.fromkeys(pools, pool))


def answered(pools: PoolSet, pool: str) -> int:
    """Answers with status 200 that are counted for the backend of a pool."""
    found = pools.pools.get(pool) or pools.gone[pool]
    return sum(backend.codes.get(200, 0) for backend in (*found.retired, *found.backends))


def test_what_stays_is_the_same_and_another_url_is_another_backend() -> None:
    pools = PoolSet(Random(1))
    first = pools.reconfigure(settings("web"), (), {}, 1)["web"]
    (backend,) = first.backends
    assert pools.reconfigure(settings("web"), (), {}, 1)["web"] is first
    assert first.backends == (backend,)
    pools.reconfigure(settings("web", port=81), (), {}, 1)
    assert first.backends != (backend,)
    assert backend.retired


def test_no_count_is_lost_however_often_a_backend_moves() -> None:
    pools = PoolSet(Random(1))
    for move in range(1000):
        (backend,) = pools.reconfigure(settings("web", port=1 + move), (), {}, 1)["web"].backends
        backend.codes[200] = backend.codes.get(200, 0) + 1
        assert answered(pools, "web") == move + 1
    assert len(pools.pools["web"].retired) == 1


def test_a_backend_that_still_answers_when_it_moved_twice_is_counted_too() -> None:
    pools = PoolSet(Random(1))
    (slow,) = pools.reconfigure(settings("web", port=1), (), {}, 1)["web"].backends
    slow.in_flight = 1
    for port in (2, 3, 4):
        pools.reconfigure(settings("web", port=port), (), {}, 1)
    slow.in_flight = 0
    slow.codes[200] = 1
    pools.reconfigure(settings("web", port=5), (), {}, 1)
    assert answered(pools, "web") == 1


def test_a_pool_that_comes_back_counts_on() -> None:
    pools = PoolSet(Random(1))
    for turn in range(1, 4):
        (backend,) = pools.reconfigure(settings("web", "now-and-then"), (), {}, 1)["now-and-then"].backends
        backend.codes[200] = 1
        assert answered(pools, "now-and-then") == turn
        pools.reconfigure(settings("web"), (), {}, 1)
        assert answered(pools, "now-and-then") == turn
        assert list(pools.gone) == ["now-and-then"]


def test_pools_that_never_come_back_are_forgotten_in_the_end() -> None:
    pools = PoolSet(Random(1))
    for number in range(300):
        pools.reconfigure(settings(f"pool-{number}"), (), {}, 1)
    assert len(pools.gone) == 256
    assert "pool-298" in pools.gone


def test_a_broken_authority_is_refused_as_often_as_it_is_tried(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    pools = PoolSet(Random(1))
    before = pools.reconfigure(settings("web", ca=ca), (), {}, 1)
    ca.write_text("nothing")
    for _ in range(2):
        with pytest.raises(TlsError, match="CA file cannot be used"):
            pools.reconfigure(settings("web", ca=ca), (), {}, 1)
    assert pools.pools is before
