"""The page on fit says what the rules and the score are."""

from __future__ import annotations

from pathlib import Path

from holdfast.deploy.core.constraints import RULES
from holdfast.deploy.core.score import WEIGHTS

PAGE = (Path(__file__).parents[4] / "docs" / "deploy-fit.md").read_text()


def test_the_page_has_a_row_for_every_rule_in_their_order() -> None:
    _, _, table = PAGE.partition("| rule | what it asks | changed by | facts |\n|---|---|---|---|\n")
    rows = table.partition("\n\n")[0].splitlines()
    assert rows == [
        f"| `{rule.name}` | {rule.text} | {_coded(rule.keys)} | {_coded(rule.properties)} |" for rule in RULES
    ]


def test_the_page_has_the_weights_of_the_score() -> None:
    said = "{low:g} with `operations: low` (would rather pay), {medium:g} with `medium`, {high:g} with `high`"
    assert said.format(**WEIGHTS) in PAGE


def _coded(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
