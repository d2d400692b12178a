"""Regions in the packaged facts."""

from __future__ import annotations

import re

import pytest

from holdfast.deploy.shell.files import load_facts

OFFERED = [fact for (_, name), facts in load_facts().entries.items() if name == "regions" for fact in facts]


@pytest.mark.parametrize("fact", OFFERED, ids=lambda fact: str(fact.platform))
def test_every_region_is_named_in_full(fact: object) -> None:
    """A list that was wrapped within a name reads as another name."""
    named = getattr(fact, "value", None) or frozenset()
    assert [one for one in named if not re.fullmatch(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", one)] == []
