"""What a task may do, what it is told, and how long it has to stop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.build import build
from holdfast.deploy.shell.template.tasks import size_of, stop_timeout_s
from holdfast.kernel import Duration, Size
from tests.unit.deploy.template import demo
from tests.unit.deploy.template.making import resources

GIB = 2**30


def tasks(*placements: Any, **settings: Any) -> dict[str, Any]:
    return resources(build(demo.plan(*placements, **settings))[0], "::TaskDefinition")


def container(task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = task["Properties"]["ContainerDefinitions"][0]
    return found


def test_nobody_on_fargate_is_root_or_keeps_a_capability_or_writes_its_image() -> None:
    for task in resources(build(demo.everything())[0], "::TaskDefinition").values():
        if task["Properties"]["RequiresCompatibilities"] != ["FARGATE"]:
            continue
        for one in task["Properties"]["ContainerDefinitions"]:
            assert one["User"] == "10001:10001"
            assert one["ReadonlyRootFilesystem"] is True
            assert one["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
            assert "Privileged" not in one


def test_our_sandboxes_are_privileged_on_machines_and_others_get_the_one_capability_that_they_need() -> None:
    foreign = demo.generic("sandboxes", "ecs-managed-instances", needs=("user-namespaces",))
    found = tasks(demo.workers(), foreign)
    ours, theirs = container(found["ExecutionWorkerTask"]), container(found["SandboxesTask"])
    assert found["ExecutionWorkerTask"]["Properties"]["RequiresCompatibilities"] == ["MANAGED_INSTANCES"]
    assert ours["Privileged"] is True
    assert "Privileged" not in theirs
    assert theirs["LinuxParameters"]["Capabilities"] == {"Add": ["SYS_ADMIN"]}


def test_an_image_that_writes_scratch_may_write() -> None:
    found = tasks(demo.generic("api", "ecs-fargate+alb", protocols=("http/1.1",), state="scratch"))
    assert container(found["ApiTask"])["ReadonlyRootFilesystem"] is False


def test_images_are_parameters_that_take_a_digest_only() -> None:
    stack = build(demo.plan(demo.balancer(), demo.gateway()))[0]
    for name in ("ImageBalancer", "ImageGateway"):
        assert stack.template.parameters[name].to_dict()["AllowedPattern"].endswith("@sha256:[0-9a-f]{64}$")
    assert container(resources(stack)["BalancerTask"])["Image"] == {"Ref": "ImageBalancer"}


def test_secrets_come_by_reference_and_each_once() -> None:
    found = tasks(demo.execution_api(secrets=("HOLDFAST_WORKER_KEY", "DATABASE_URL", "SIGNING_KEY")))
    one = container(found["ExecutionApiTask"])
    assert [secret["Name"] for secret in one["Secrets"]] == ["PGPASSWORD", "HOLDFAST_WORKER_KEY", "SIGNING_KEY"]
    assert [entry["Name"] for entry in one["Environment"]] == ["DATABASE_URL", "HOLDFAST_LOG_FORMAT"]


def test_a_key_with_a_check_sum_is_the_operators_to_make_and_a_token_is_made_up() -> None:
    stack = build(demo.plan(demo.balancer(), demo.execution_api()))[0]
    assert "HoldfastWorkerKeySecretArn" in stack.template.parameters
    assert "HoldfastAdminTokenSecret" in stack.template.resources


def test_plain_variables_become_parameters() -> None:
    stack = build(demo.plan(demo.workers(variables=("API_URL",))))[0]
    assert {"Name": "API_URL", "Value": {"Ref": "ApiUrl"}} in container(resources(stack)["ExecutionWorkerTask"])[
        "Environment"
    ]


def test_our_services_run_by_name_and_others_as_their_image_says() -> None:
    found = tasks(demo.console(), demo.generic("api", "ecs-fargate+alb", protocols=("http/1.1",)))
    assert container(found["ConsoleTask"])["Command"] == ["run", "console", "-c", "/etc/holdfast/holdfast.yaml"]
    assert "Command" not in container(found["ApiTask"])


def test_the_api_of_the_queue_publishes_its_backlog_from_a_sidecar() -> None:
    _, sidecar = tasks(demo.execution_api())["ExecutionApiTask"]["Properties"]["ContainerDefinitions"]
    assert sidecar["Essential"] is False
    assert sidecar["RestartPolicy"]["Enabled"] is True
    assert sidecar["EntryPoint"] == ["python3", "-m", "holdfast.deploy.shell.backlog_metric"]
    assert "hf_" not in json.dumps(sidecar)


@pytest.mark.parametrize(
    ("drain", "longest", "expected"),
    [(None, None, 35), (5.0, 600.0, 30), (60.0, None, 65), (None, 600.0, 120), (3600.0, None, 120)],
)
def test_a_task_has_its_drain_and_a_little_to_stop_in_at_most_two_minutes(
    drain: float | None, longest: float | None, expected: int
) -> None:
    workload = Workload(
        drain=None if drain is None else Duration(drain), longest=None if longest is None else Duration(longest)
    )
    assert stop_timeout_s(workload) == expected


@pytest.mark.parametrize(
    ("cpu", "gib", "expected"),
    [(0.25, 0.5, (256, 512)), (0.25, 4.0, (512, 4096)), (1.5, 1.0, (2048, 4096)), (3.0, 30.0, (4096, 30720))],
)
def test_sizes_are_rounded_up_to_what_fargate_offers(cpu: float, gib: float, expected: tuple[int, int]) -> None:
    assert size_of(demo.generic("x", "ecs-fargate", cpu=cpu, memory=Size(int(gib * GIB)))) == expected


def test_a_machine_takes_any_size_and_fargate_says_when_there_is_none() -> None:
    wide = {"cpu": 0.3, "memory": Size(GIB)}
    assert size_of(demo.generic("x", "ecs-ec2", **wide)) == (308, 1024)
    with pytest.raises(Invalid, match="no task on Fargate has 32 vCPU"):
        size_of(demo.generic("x", "ecs-fargate", cpu=32.0))
