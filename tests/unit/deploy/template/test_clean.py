"""The rules have nothing to say about what we emit: no variant, no region."""

from __future__ import annotations

import json
from datetime import date
from typing import Final

import pytest

from holdfast.deploy.core.rules import check
from holdfast.deploy.shell.files import load_facts
from holdfast.deploy.shell.template.build import build, render
from tests.unit.deploy.template import demo
from tests.unit.deploy.template.test_lint import SUPPORTED

AT: Final = date(2026, 11, 23)
FACTS: Final = load_facts()
ALLOWED: Final = {"HF207", "HF314"}
"""A quota that nobody stated, a load balancer for which nobody named a domain: of the settings, not the template."""
NOT_OFFERED: Final = "HF802"


@pytest.mark.parametrize("name", demo.variants())
def test_no_variant_breaks_a_rule(name: str) -> None:
    plan = demo.variants()[name]
    for stack in build(plan):
        found = check(json.loads(render(stack)), region=stack.region, at=AT, facts=FACTS, plan=plan)
        assert [one for one in found if one.rule not in ALLOWED] == [], stack.name


@pytest.mark.parametrize("region", SUPPORTED)
def test_the_demo_breaks_no_rule_in_any_region(region: str) -> None:
    plan = demo.everything(**demo.SECURE)
    template = json.loads(render(build(plan)[0]))
    found = check(template, region=region, at=AT, facts=FACTS, plan=plan)
    # The placements of this plan are fixed; the planner would not have chosen what a region does not have.
    assert [one for one in found if one.rule not in ALLOWED | {NOT_OFFERED}] == []
