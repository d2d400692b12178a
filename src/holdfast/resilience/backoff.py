"""How long to wait before trying again.

Waiting doubles with each failed attempt up to a cap, and is spread at random so that
clients which failed together do not come back together.

    ceiling      = min(cap_s, base_s * 2 ** attempt)
    full jitter  = uniform(0, ceiling)
    equal jitter = ceiling / 2 + uniform(0, ceiling / 2)

Full jitter needs the fewest calls to get the work of many contenders done and is the
choice for retries of requests; equal jitter keeps at least half of the wait and is the
choice where coming back at once would be pointless (a breaker that just opened).

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_LARGEST_EXPONENT: Final = 63
"""Doubling any sensible base that often is beyond any cap, and the float cannot overflow."""


def full_jitter(attempt: int, rng: Random, *, base_s: float = 0.025, cap_s: float = 1.0) -> float:
    """Seconds to wait, anywhere between nothing and the ceiling.

    Args:
        attempt: 0 before the first retry, 1 before the second, and so on.
        rng: Source of chance.
        base_s: Ceiling before the first retry. 25 ms is a few service times of a fast
            backend: long enough for a dropped connection or a restart of one process in a
            pool to be over, short against any client's patience.
        cap_s: Longest ceiling.

    Raises:
        ValueError: ``attempt`` is negative, or not ``0 <= base_s <= cap_s``.
    """
    return rng.random() * _ceiling(attempt, base_s, cap_s)


def equal_jitter(attempt: int, rng: Random, *, base_s: float = 0.025, cap_s: float = 1.0) -> float:
    """Seconds to wait, between half of the ceiling and all of it. Arguments as :func:`full_jitter`."""
    half = _ceiling(attempt, base_s, cap_s) / 2
    return half + rng.random() * half


def _ceiling(attempt: int, base_s: float, cap_s: float) -> float:
    if attempt < 0 or not 0 <= base_s <= cap_s:
        raise ValueError(f"backoff needs attempt >= 0 and 0 <= base_s <= cap_s; got {attempt=}, {base_s=}, {cap_s=}")
    return min(cap_s, base_s * (1 << min(attempt, _LARGEST_EXPONENT)))
