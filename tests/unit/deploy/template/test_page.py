"""docs/deploy-templates.md against the templates."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.deploy.shell.template.build import build, render
from tests.unit.deploy.template import demo

PAGE = (Path(__file__).parents[4] / "docs" / "deploy-templates.md").read_text()
NAMED = [
    re.compile(re.escape(word).replace(r"\.\.\.", "[A-Za-z0-9]+"))
    for word in re.findall(r"`((?:\.\.\.)?[A-Z][A-Za-z0-9]+(?:\.\.\.)?|\.\.\.[A-Za-z]+)`", PAGE)
]


@pytest.fixture(scope="module")
def templates() -> dict[str, dict[str, Any]]:
    plan = demo.everything(
        alarm_email="pager@example.com", monthly_budget=100.0, domain="ai.example.com", hosted_zone="Z0123456789ABC"
    )
    return {stack.name: json.loads(render(stack)) for stack in build(plan)}


def is_named(title: str) -> bool:
    return any(name.fullmatch(title) for name in NAMED)


def test_every_parameter_is_on_the_page(templates: dict[str, dict[str, Any]]) -> None:
    titles = {title for template in templates.values() for title in template.get("Parameters", {})}
    assert titles
    assert sorted(title for title in titles if not is_named(title)) == []


def test_every_role_is_on_the_page(templates: dict[str, dict[str, Any]]) -> None:
    titles = {
        title
        for template in templates.values()
        for title, each in template["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
    }
    assert sorted(title for title in titles if not is_named(title)) == []


def test_every_stateful_resource_says_what_becomes_of_it(templates: dict[str, dict[str, Any]]) -> None:
    kinds = {
        "AWS::RDS::DBInstance",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
        "AWS::Logs::LogGroup",
        "AWS::SQS::Queue",
    }
    kept = {
        each["Type"]: (each.get("DeletionPolicy"), each.get("UpdateReplacePolicy"))
        for template in templates.values()
        for each in template["Resources"].values()
        if each["Type"] in kinds
    }
    assert set(kept) == kinds
    assert all(None not in policies for policies in kept.values())


def test_no_template_has_a_value_that_ought_to_be_a_secret(templates: dict[str, dict[str, Any]]) -> None:
    for template in templates.values():
        for each in template["Resources"].values():
            for container in each.get("Properties", {}).get("ContainerDefinitions", ()):
                names = {entry["Name"] for entry in container.get("Environment", ())}
                assert not {name for name in names if name.endswith(("KEY", "PASSWORD", "TOKEN", "SECRET"))}


def test_the_page_names_no_stack_that_is_not_made(templates: dict[str, dict[str, Any]]) -> None:
    assert list(templates) == [
        "holdfast",
        "holdfast-agents-us-east-1",
        "holdfast-agents-eu-west-1",
        "holdfast-agents-ap-southeast-2",
        "holdfast-blog",
        "holdfast-budget",
    ]
