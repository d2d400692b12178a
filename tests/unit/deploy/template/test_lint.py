"""cfn-lint has nothing to say: no error, no warning, no hint, in any region that the templates are for."""

from __future__ import annotations

import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.helpers import REGIONS

from holdfast.deploy.shell.template.build import build, render
from tests.measuring import unmeasured
from tests.unit.deploy.template import demo

APART = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
"""Partitions with accounts, services and names of their own."""
SUPPORTED = sorted(region for region in REGIONS if not region.startswith(APART))


def _complaints(text: str, regions: list[str]) -> list[str]:
    with unmeasured():  # half the time of these tests would be coverage looking away from cfn-lint
        found = lint(text, config=ManualArgs(regions=regions, ignore_checks=[], include_checks=["I"]))
    return sorted({f"{match.rule.id} {match.message}" for match in found})


@pytest.mark.usefixtures("at_full_speed")
@pytest.mark.parametrize("name", demo.variants())
def test_every_path_through_the_templates_is_clean(name: str) -> None:
    for stack in build(demo.variants()[name]):
        if "-agents-" in stack.name or stack.name.endswith("-blog"):
            continue  # the same in all variants, and looked at beside their makers
        assert _complaints(render(stack), [stack.region]) == [], stack.name


@pytest.mark.usefixtures("at_full_speed")
def test_the_whole_demo_is_clean_in_every_region() -> None:
    stack = build(demo.everything(**demo.SECURE))[0]
    assert len(SUPPORTED) >= 30
    assert _complaints(render(stack), SUPPORTED) == []
