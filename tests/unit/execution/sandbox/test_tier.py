"""How parts make a tier."""

from __future__ import annotations

import pytest

from holdfast.execution.shell.sandbox.tier import Part, Tier, judge


@pytest.mark.parametrize(
    ("broken", "tier"),
    [
        ([], "full"),
        (["full"], "full"),
        (["degraded"], "degraded"),
        (["full", "degraded"], "degraded"),
        (["degraded", "none"], "none"),
    ],
)
def test_the_worst_of_what_is_missing_decides(broken: list[Tier], tier: Tier) -> None:
    parts = [Part(name="works", works=True, detail="", costs="none")]
    parts += [Part(name=costs, works=False, detail="", costs=costs) for costs in broken]
    assert judge(parts) == tier
