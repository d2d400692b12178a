"""Attempts for tests of the ledger."""

from __future__ import annotations

from typing import Final

from holdfast.gateway.core.ports import AttemptBegun, AttemptEnded, Holder
from holdfast.gateway.core.usage import Usage

WALL: Final = 1_795_350_000.0
"""2026-11-22T13:40:00Z."""
HOLDER: Final = Holder(tenant="acme", key_id="k1", team="ml", user="ann", tags=("blue",))


def begun(attempt: str, holder: Holder = HOLDER, *, reserved: int = 10, wall: float = WALL) -> AttemptBegun:
    """An attempt that starts."""
    return AttemptBegun(
        attempt=attempt,
        request=attempt.partition(".")[0],
        holder=holder,
        model="fast",
        deployment="fast/0",
        upstream_model="gpt-4o-mini",
        wall=wall,
        reserved_nano=reserved,
        input_tokens=1,
    )


def ended(attempt: str, cost: int | None, *, wall: float = WALL, outcome: str = "ok") -> AttemptEnded:
    """Its end."""
    return AttemptEnded(
        attempt=attempt,
        wall=wall,
        outcome=outcome,
        status=200,
        usage=Usage(input_tokens=100, output_tokens=20, cache_read_tokens=50),
        cost_nano=cost,
        first_token_s=0.1,
        duration_s=1.0,
    )
