"""docs/deploy-cutover.md against the plan that it describes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import yaml

from holdfast.deploy.core.cutover.plan import PROPAGATION_S, plan
from holdfast.deploy.core.cutover.settings import CutoverRequest, Thresholds
from holdfast.deploy.core.cutover.steps import in_words
from holdfast.deploy.core.cutover.world import FAULTS
from holdfast.kernel import Duration
from tests.unit.deploy.core.cutover.requests import CNAME

ROOT = Path(__file__).parents[5]
PAGE = (ROOT / "docs" / "deploy-cutover.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


def test_the_example_is_a_request_that_plans() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    request = msgspec.convert(
        yaml.safe_load(text), CutoverRequest, dec_hook=lambda type, value: type.parse(value), strict=True
    )
    assert msgspec.structs.replace(request, preflight=CNAME.preflight) == CNAME
    assert request.longest == Duration(600.0)


def without_percent(ids: list[str]) -> list[str]:
    return list(dict.fromkeys("shift" if id.startswith("shift-") else id for id in ids))


def test_both_tables_name_every_step_in_its_order() -> None:
    steps = without_percent([step.id for step in plan(CNAME).steps])
    assert without_percent(first_cells("The steps")) == steps
    assert without_percent(first_cells("The way back")) == steps


def test_the_ways_back_take_as_long_as_the_page_says() -> None:
    back_s = {step.id: step.back.effect_s for step in plan(CNAME).steps if step.back}
    assert back_s["shift-25"] == back_s["keep-warm"] == PROPAGATION_S + CNAME.low_ttl
    assert back_s["settle"] == PROPAGATION_S + CNAME.ttl
    assert back_s["pause"] > back_s["settle"]


def test_the_thresholds_are_the_defaults() -> None:
    limits = Thresholds()
    words = section("When to go back")
    assert f"`thresholds.errors` ({limits.errors:.0%}".replace("%", " %") in words
    assert f"`thresholds.p99` ({limits.p99:g})" in words
    assert f"`thresholds.requests` ({limits.requests})" in words
    assert in_words(limits.requests / (10 * 0.01)) == "1 h 24 min"
    assert "84 minutes" in words


def test_the_page_on_drills_names_every_fault() -> None:
    drills = (ROOT / "docs" / "drills.md").read_text().partition("### deploy-cutover\n")[2]
    assert [fault for fault in FAULTS if f"`{fault}`" not in drills] == []
