"""The report of all checks over rendered templates."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.workload import Account, DeploySettings
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.checks import Rendered, Report, check_templates, read_template
from holdfast.deploy.shell.files import load_facts
from holdfast.drills.deploy_mutations import container, properties
from holdfast.drills.deploy_scene import REGION, Template, scene

AT = date(2026, 11, 22)
GROWN = Plan(settings=DeploySettings(account=Account(quotas={"ecs-fargate": 32.0})), placements=(), unplaced=())
"""A new account begins with 6 vCPU, which the scene is too large for."""


def report(text: str | Template) -> Report:
    body = text if isinstance(text, str) else json.dumps(text, indent=1)
    rendered = Rendered(name="platform.json", region=REGION, text=body)
    return check_templates([rendered], at=AT, facts=load_facts(), plan=GROWN)


def test_a_sound_template_passes_both_checkers() -> None:
    found = report(scene())
    assert found.problems == ()
    assert found.passed
    assert found.text() == "1 templates: 0 errors, 0 warnings, 0 suppressed"


def test_an_error_names_file_line_resource_remedy_and_the_source_of_its_fact() -> None:
    template = scene()
    container(template)["Privileged"] = True
    text = json.dumps(template, indent=1)
    (problem,) = report(text).problems
    assert problem.line is not None
    assert '"Privileged"' in text.splitlines()[problem.line - 1]
    assert problem.where == "ApiTask.Properties.ContainerDefinitions.0.Privileged"
    assert str(problem).startswith(f"platform.json:{problem.line}: error HF101 ApiTask.")
    assert "retrieved 2026" in problem.cited
    assert problem.remedy in str(problem)


def test_both_checkers_are_in_one_report() -> None:
    template = scene()
    properties(template, "Probe")["Timeout"] = 1200
    assert {problem.checker for problem in report(template).problems} == {"holdfast", "cfn-lint"}


def test_a_warning_does_not_fail() -> None:
    template = scene()
    del properties(template, "SecureListener")["SslPolicy"]
    found = report(template)
    assert (found.errors, found.warnings, found.passed) == (0, 1, True)


def test_what_is_suppressed_is_said_with_its_reason() -> None:
    template = scene()
    ignore = {"id": "HF106", "reason": "built on the same machine"}
    template["Resources"]["ApiTask"]["Metadata"] = {"holdfast": {"ignore": [ignore]}}
    container(template)["Image"] = "example:1"
    found = report(template)
    assert found.passed
    assert "HF106 is suppressed on ApiTask: built on the same machine" in found.text()
    assert json.loads(json.dumps(found.json()))["suppressed"][0]["rule"] == "HF106"


def test_short_forms_of_yaml_are_read() -> None:
    text = """
Parameters: {Image: {Type: String}}
Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      RequiresCompatibilities: [FARGATE]
      NetworkMode: awsvpc
      Cpu: "256"
      Memory: "512"
      ContainerDefinitions:
        - Name: a
          Image: !Ref Image
          LogConfiguration: {LogDriver: none}
"""
    assert [(one.rule, one.line) for one in report(text).problems if one.checker == "holdfast"] == [("HF106", 13)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "a: [", "just words", '{"Resources": {}}', "{" * 100_000, '{"a":' * 50_000]
)
def test_what_is_no_template_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(Invalid):
        report(text)


def test_a_text_of_aliases_that_stands_for_millions_of_values_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    body = "\n".join((*levels, "Resources: {Site: {Type: 'AWS::S3::Bucket', Properties: {Tags: *a8}}}"))
    with pytest.raises(Invalid, match="aliases"):
        report(body)


def test_a_file_that_is_not_there_is_said_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"none\.json: No such file"):
        read_template(tmp_path / "none.json", region=REGION)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * 1_000_001)
    with pytest.raises(Invalid, match="split the stack"):
        read_template(path, region=REGION)
