"""The page about the rules says what they say."""

from __future__ import annotations

from pathlib import Path

from holdfast.deploy.core.rules import RULES

PAGE = Path(__file__).parents[5] / "docs" / "deploy-checks.md"


def test_the_page_has_a_row_for_every_rule_with_its_own_words() -> None:
    rows = {line.split("|")[1].strip(" `"): line for line in PAGE.read_text().splitlines() if line.startswith("| `HF")}
    assert list(rows) == sorted(RULES)
    for rule in RULES.values():
        mark = " (warning)" if rule.severity == "warning" else ""
        said = f"| `{rule.id}` | {rule.title}{mark} | {rule.why} | {rule.remedy} | {rule.source} |"
        assert rows[rule.id] == said
