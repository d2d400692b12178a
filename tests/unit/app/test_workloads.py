"""What a configuration file says of workloads: its own services', and others'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.app.diagnostics import ConfigError
from holdfast.app.workloads import demo_workloads, load_workloads

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = """
gateway:
  listen: 127.0.0.1:8082
  providers: {openai: {key: "${OPENAI_API_KEY}"}}
  models: {small: {deployments: [{provider: openai, model: gpt-4o-mini}]}}
  timeouts: {request: 9m}
store: {url: "${DATABASE_URL}"}
"""


def written(directory: Path, text: str) -> Path:
    file = directory / "file.yaml"
    file.write_text(text)
    return file


def problems(directory: Path, text: str) -> str:
    with pytest.raises(ConfigError) as wrong:
        load_workloads(written(directory, text), environ={})
    return str(wrong.value).replace(str(directory), "")


def test_the_demo_has_a_workload_for_each_of_its_services_and_the_blog() -> None:
    found = demo_workloads().workloads
    assert list(found) == [
        *("balancer", "gateway", "execution-api", "execution-worker", "netpulse", "agents", "console", "blog"),
    ]
    assert found["agents"].regions == ("us-east-1", "eu-central-1", "ap-southeast-2")
    assert found["agents"].schedule == 60.0, "what the section does not say stays as the service has it"
    assert found["console"].secrets == ("HOLDFAST_DEMO_KEY",)
    assert "user-namespaces" in found["execution-worker"].needs


def test_needs_follow_from_settings_and_secrets_need_not_be_here(tmp_path: Path) -> None:
    found = load_workloads(written(tmp_path, GATEWAY), environ={}).workloads["gateway"]
    assert found.longest == 540.0
    assert found.secrets == ("DATABASE_URL", "OPENAI_API_KEY")
    assert found.port == 8082


def test_a_section_says_only_what_differs(tmp_path: Path) -> None:
    text = GATEWAY + "deploy: {workloads: {gateway: {cpu: 2, traffic: {rate: 40}}, cron: {schedule: 1h}}}\n"
    found = load_workloads(written(tmp_path, text), environ={}).workloads
    assert (found["gateway"].cpu, found["gateway"].traffic.rate, found["gateway"].longest) == (2.0, 40.0, 540.0)
    assert found["cron"].schedule == 3600.0


def test_anybodys_services_are_in_a_file_of_their_own(tmp_path: Path) -> None:
    found = load_workloads(written(tmp_path, "workloads: {shop: {protocols: [http/1.1], longest: 30s}}\n"), environ={})
    assert found.region == "us-east-1"
    assert found.workloads["shop"].longest == 30.0


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("{protocols: [udp, http/1.1]}", "protocols: udp beside HTTP; make two workloads of it"),
        ("{protocols: [sse]}", "protocols: sse and websocket without HTTP; add http/1.1"),
        ("{protocols: [http/1.1], ingress: none}", "ingress: none: none, but it has protocols"),
        ("{ingress: public}", "protocols: missing for a public ingress"),
        ("{scale: {min: 3, max: 1}}", 'scale.min: "3": above max (1)'),
        ("{scale: {signal: schedule}}", "schedule: missing for a workload that is scaled by it"),
        ("{longest: 1m, silence: 2m}", 'silence: "2m": longer than longest (1m)'),
        ("{package: zip}", "runtime: missing for a zip"),
        ("{runtime: python3.13}", "runtime: python3.13: set for a container"),
        ("{package: files, needs: [gpu]}", "package: files: files with needs, state or a schedule"),
        ("{package: files, protocols: [tcp]}", "more than HTTP for files"),
        ("{state: disk, scale: {interruptible: true}}", "true with state on a disk"),
        ("{scratch: 1GiB}", "a size without a disk"),
        ("{needs: [tls-passthrough]}", "tls-passthrough without protocols"),
        ("{only: [mainframe]}", "only[0]: mainframe: no such candidate; write one of app-runner, ecs-express"),
        ("{on: heroku}", "on: heroku: no such platform"),
        ("{regions: [mars]}", "regions[0]: mars: not a region; write one such as eu-central-1"),
        ("{cpu: 0}", "cpu: out of range; write a value from 0.01 to 448.0"),
        ("{secrets: [a-b]}", "not a variable's name"),
        ("{longset: 3s}", 'longset: unknown key; did you mean "longest"?'),
        ("{needs: [wings]}", "needs[0]: wings"),
    ],
)
def test_what_contradicts_itself_is_told_with_place_and_remedy(tmp_path: Path, workload: str, said: str) -> None:
    told = problems(tmp_path, f"workloads:\n  one: {workload}\n")
    assert said.split(": ", 1)[0] in told
    assert said.rsplit(": ", 1)[-1] in told, told
    assert told.startswith("/file.yaml:2: workloads.one")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{account: {quotas: {moon: 3}}}", "no such platform; write ecs-fargate, say"),
        ("{account: {shared_alb: 26}}", "write a value from 1 to 25"),
        ("{template: {log_days: 31}}", "not one that CloudWatch knows"),
        ("{template: {domain: ai.example.com}}", "template.hosted_zone: missing for the domain"),
        ("{template: {vpc: vpc-1}}", "template.public_subnets: too few for an existing VPC"),
        ("{template: {public_subnets: [subnet-1]}}", "template.vpc: missing for the subnets"),
        ("{template: {alarm_email: nobody}}", "no address"),
        ("{template: {name: Holdfast}}", "not a name of a stack"),
        ("{workloads: {Shop: {}}}", "not a name of a resource"),
    ],
)
def test_the_section_around_them_is_judged_too(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, f"{GATEWAY}deploy: {text}\n")
