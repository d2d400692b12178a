"""``holdfast deploy``: what it prints, what it ends with, and what it says about a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main

API = """
region: eu-central-1
workloads:
  api:
    protocols: [http/1.1]
    longest: 20s
    cpu: 0.5
    memory: 1GiB
    traffic: {rate: 5}
"""
CUTOVER = """
name: ai.example.com
zone: Z0123456789ABCDEFGHIJ
region: eu-west-1
from: {kind: app-runner, dns: abcdefghij.eu-west-1.awsapprunner.com}
to:
  kind: alb
  dns: holdfast-1234567890.eu-west-1.elb.amazonaws.com
  zone: Z32O12XQLNTSW2
  service: holdfast/gateway
  load_balancer: app/holdfast/50dc6c495c0c9188
  target_group: targetgroup/gateway/73e2d6bc24d8a067
ttl: 300s
low_ttl: 60s
longest: 10m
health_path: /healthz
rate: 10
preflight:
  stack: holdfast
  template: template.json
  image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/gateway@sha256:DIGEST"
""".replace("DIGEST", "ab" * 32)
AT = ("--at", "2026-11-23")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOLDFAST_DEBUG", raising=False)


@pytest.fixture
def api(tmp_path: Path) -> str:
    file = tmp_path / "workloads.yaml"
    file.write_text(API)
    return str(file)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, ends: int = 0) -> str:
    assert main(["deploy", *arguments]) == ends, capsys.readouterr().err
    return capsys.readouterr().out


def answers(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(printed(capsys, "fit", "--json", *AT, *arguments))
    return found


@pytest.mark.usefixtures("at_full_speed")
def test_the_demo_has_a_place_for_each_of_its_services(capsys: pytest.CaptureFixture[str]) -> None:
    found = {one["workload"]: one["chosen"] for one in answers(capsys)}
    assert found["gateway"] == "ecs-express"
    assert found["balancer"] == "ecs-fargate+alb"
    assert found["execution-worker"] == "ecs-ec2"
    assert found["agents"] == "lambda"
    assert found["blog"] == "s3-cloudfront"
    assert len(set(found.values())) >= 5


def test_an_explanation_has_every_candidate_and_a_source_for_every_rejection(
    api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "fit", "api", "-c", api, "--explain", *AT)
    assert "s3-cloudfront: no" in text
    assert "retrieved 20" in text
    (answer,) = answers(capsys, "api", "-c", api)
    rejected = [one for one in answer["candidates"] if one["verdict"] == "rejected"]
    assert rejected
    for one in rejected:
        assert any(finding["verdict"] == "rejects" for finding in one["findings"]), one["candidate"]


def test_what_if_changes_a_need_before_it_is_asked(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    (before,) = answers(capsys, "api", "-c", api)
    (after,) = answers(capsys, "api", "-c", api, "--what-if", "protocols=udp")
    assert before["chosen"] != after["chosen"]


def test_what_nothing_fits_ends_with_1_and_says_what_comes_closest(
    api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(
        capsys, "fit", "api", "-c", api, "--what-if", "only=app-runner", "--what-if", "protocols=udp", *AT, ends=1
    )
    assert "nothing fits" in text
    assert "near:" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "nobody"), "there are:"),
        (("fit", "--at", "yesterday"), "YYYY-MM-DD"),
        (("fit", "--what-if", "colour=blue"), "colour"),
        (("facts", "heroku"), "no such platform"),
        (("check", "absent.json"), "absent.json"),
        (("fit", "-c", "absent.yaml"), "absent.yaml"),
        (("migrate", "gateway"), "write `on: app-runner`"),
        (("cutover", "run", "-c", "absent.yaml"), "--dry-run"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2_and_a_remedy(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_an_unknown_field_is_named_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "workloads.yaml"
    file.write_text(API.replace("memory:", "memry:"))
    assert main(["deploy", "fit", "-c", str(file)]) == 2
    said = capsys.readouterr().err
    assert "workloads.yaml" in said
    assert "memry" in said


def test_a_migration_says_what_stops_fitting_and_what_remains(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "migrate", "gateway", "--from", "app-runner", *AT)
    assert "2026-04-30" in text
    assert "ecs-express" in text
    since = [line for line in text.splitlines() if "since" in line]
    assert len(since) == len(set(since))


def test_facts_have_sources_and_those_not_known_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "facts", "app-runner", *AT)
    assert "unknown" in text
    assert "retrieved" in text


def test_a_cost_has_its_lines_and_an_unknown_price_makes_it_a_lower_bound(
    api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "cost", "api", "-c", api, "--on", "ecs-fargate+alb", *AT)
    for line in ("load balancer", "public IPv4"):
        assert line.lower() in text.lower()
    assert "what is unknown" in text


def test_a_chart_is_written_where_it_was_asked_for(
    api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, "cost", "api", "-c", api, "--svg", str(tmp_path / "charts"), *AT)
    (chart,) = (tmp_path / "charts").iterdir()
    assert chart.read_text().startswith("<svg")


@pytest.mark.usefixtures("at_full_speed")
def test_templates_of_the_demo_are_written_and_pass_every_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, "template", "-o", str(tmp_path / "out"), *AT)
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) >= 5
    assert f"{len(files)} templates: 0 errors" in said


def test_a_faulty_template_fails_with_file_line_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "faulty.json"
    task = {
        "Family": "api",
        "RequiresCompatibilities": ["FARGATE"],
        "NetworkMode": "awsvpc",
        "Cpu": "256",
        "Memory": "512",
        "ContainerDefinitions": [{"Name": "api", "Image": "api:latest", "Privileged": True}],
    }
    body = {"Resources": {"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": task}}}
    file.write_text(json.dumps(body, indent=1))
    said = printed(capsys, "check", str(file), *AT, ends=1)
    assert "faulty.json:" in said
    assert "Privileged" in said


def test_what_has_no_template_is_said_and_ends_with_1(
    tmp_path: Path, api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = "  site: {package: files, protocols: [http/1.1, http/2]}\n"
    Path(api).write_text(
        API.replace("    cpu", "    only: [lambda+api-gateway]\n    package: zip\n    runtime: python3.13\n    cpu")
        + site
    )
    assert main(["deploy", "template", "-c", api, "-o", str(tmp_path / "out"), "--no-check", *AT]) == 1
    caught = capsys.readouterr()
    assert "no template is made" in caught.err


def test_a_cut_over_is_planned_with_its_files_and_rehearsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cutover.yaml"
    file.write_text(CUTOVER)
    text = printed(capsys, "cutover", "plan", "-c", str(file), "-o", str(tmp_path / "plan"))
    assert "roll back" in text.lower() or "back" in text.lower()
    assert list((tmp_path / "plan").iterdir())
    assert "rehearsed" in printed(capsys, "cutover", "run", "--dry-run", "-c", str(file))
