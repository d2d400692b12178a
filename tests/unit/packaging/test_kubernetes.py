"""Kubernetes: restricted pods, drains in time, ports and probes of the settings, a scaler that reads a real figure."""

from __future__ import annotations

import re
import shutil
import subprocess

import msgspec
import pytest
import typer.main
import yaml

from holdfast.cli.commands import app
from holdfast.execution.core.settings import ScalingSettings
from holdfast.execution.shell.api.operations import ScalingBody, read_scaling
from tests.unit.packaging.manifests import (
    BASE,
    PACKAGING,
    SERVICES,
    configuration,
    container,
    drain_s,
    listening,
    named,
    of_kind,
    resources,
)

DEPLOYMENTS = of_kind("Deployment")
RESTRICTED = [name for name in SERVICES if name != "execution-worker"]
KEDA = resources(PACKAGING / "kubernetes" / "components" / "keda")


def seconds(command: list[str]) -> float:
    return float(command[1]) if command and command[0] == "sleep" else 0.0


def test_there_is_a_deployment_for_each_service_and_a_file_for_each_in_the_kustomization() -> None:
    assert set(DEPLOYMENTS) == set(SERVICES)
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {file.name for file in BASE.glob("*.yaml")} - {"kustomization.yaml"} == set(listed) - {"../../config"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_runs_what_holdfast_knows(name: str) -> None:
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    assert container(name)["args"] == ["run", name, "-c", "/etc/holdfast/holdfast.yaml"]
    assert name in run.commands
    configuration(name)


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_gets_the_variables_of_its_file_from_a_secret_of_its_own(name: str) -> None:
    given = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container(name).get("env", [])}
    assert set(named(name)) <= set(given)
    assert all(reference == {"name": name, "key": variable} for variable, reference in given.items())


@pytest.mark.parametrize("name", RESTRICTED)
def test_a_pod_passes_the_restricted_standard(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container(name)["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_only_the_namespace_of_workers_may_have_privileged_pods() -> None:
    levels = {
        name: one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for name, one in of_kind("Namespace").items()
    }
    assert levels == {"holdfast": "restricted", "holdfast-workers": "privileged"}
    places = {name: one["metadata"]["namespace"] for name, one in DEPLOYMENTS.items()}
    assert {name for name, place in places.items() if place == "holdfast-workers"} == {"execution-worker"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_has_no_token_of_the_cluster(name: str) -> None:
    assert DEPLOYMENTS[name]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert of_kind("ServiceAccount")[name]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_may_end_in_its_own_time(name: str) -> None:
    command = container(name).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    grace_s = DEPLOYMENTS[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s >= seconds(command) + drain_s(name) + 5


def test_drains_are_as_long_as_the_longest_stream_and_the_longest_job() -> None:
    gateway, worker = configuration("gateway").gateway, configuration("execution-worker").execution
    assert gateway is not None
    assert worker is not None
    assert drain_s("gateway") >= gateway.timeouts.request
    assert drain_s("balancer") >= gateway.timeouts.request, "its streams come through the front door"
    assert drain_s("execution-worker") >= worker.ceilings.wall


@pytest.mark.parametrize("name", SERVICES)
def test_ports_and_probes_are_where_the_settings_listen(name: str) -> None:
    one = container(name)
    assert {port["containerPort"] for port in one.get("ports", [])} == listening(name)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if listening(name):
            assert one[probe]["httpGet"]["port"] in listening(name)


def test_the_admin_plane_is_no_service_and_no_policy_lets_anybody_in() -> None:
    served = [port["port"] for one in of_kind("Service").values() for port in one["spec"].get("ports", [])]
    assert 8081 not in served
    rules = of_kind("NetworkPolicy")["balancer"]["spec"]["ingress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [8080]


def test_nobody_speaks_to_anybody_unless_a_policy_says_so() -> None:
    policies = [one for one in resources() if one["kind"] == "NetworkPolicy"]
    closed = {one["metadata"]["namespace"] for one in policies if one["spec"]["podSelector"] == {}}
    assert closed == {"holdfast", "holdfast-workers"}
    selected = {one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name") for one in policies}
    assert set(SERVICES) <= selected


def test_what_scales_by_hand_or_by_cpu_may_be_moved_one_at_a_time() -> None:
    scaled = set(of_kind("HorizontalPodAutoscaler"))
    assert scaled == {"balancer", "gateway", "execution-api"}
    assert scaled | {"execution-worker"} == set(of_kind("PodDisruptionBudget"))
    assert not [name for name in scaled if "replicas" in DEPLOYMENTS[name]["spec"]], "applying would undo the scaler"
    assert "replicas" not in DEPLOYMENTS["execution-worker"]["spec"]


def test_the_scaler_reads_a_figure_that_the_api_gives_as_it_gives_it() -> None:
    scaled = of_kind("ScaledObject", KEDA)["execution-worker"]["spec"]
    (trigger,) = scaled["triggers"]
    read = trigger["metadata"]
    (path,) = read_scaling.paths
    assert re.fullmatch(rf"http://execution-api\.holdfast\.svc\.cluster\.local:8083{path}", read["url"])
    figures = {field.name: field.type for field in msgspec.structs.fields(ScalingBody)}
    assert figures[read["valueLocation"]] in (int, "int")
    assert (float(read["targetValue"]), float(read["activationTargetValue"])) == (1.0, 0.0)
    assert read["authMode"] == "bearer"
    settings = configuration("execution-api").execution
    scaling = ScalingSettings() if settings is None else settings.scaling
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (scaling.min_workers, scaling.max_workers)


def test_the_scaler_shows_the_key_that_workers_have() -> None:
    (reference,) = of_kind("TriggerAuthentication", KEDA)["execution-worker"]["spec"]["secretTargetRef"]
    assert reference == {"parameter": "token", "name": "execution-worker", "key": "HOLDFAST_WORKER_KEY"}
    assert of_kind("ScaledObject", KEDA)["execution-worker"]["metadata"]["namespace"] == "holdfast-workers"


def test_kustomize_builds_the_overlay_with_pinned_images_and_files_that_roll_out() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:  # not in any distribution: no reason to fail where it is absent
        pytest.skip("kubectl is not installed")
    overlay = PACKAGING / "kubernetes" / "overlays" / "demo"
    built = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, timeout=60, check=True)
    found = [one for one in yaml.safe_load_all(built.stdout) if one]
    pods = [one["spec"]["template"]["spec"] for one in found if one["kind"] in {"Deployment", "StatefulSet"}]
    images = {each["image"] for pod in pods for each in pod["containers"]}
    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images)
    files = {one["metadata"]["name"]: one["metadata"]["namespace"] for one in found if one["kind"] == "ConfigMap"}
    for one in found:
        if one["kind"] == "Deployment":
            (mounted,) = [v for v in one["spec"]["template"]["spec"]["volumes"] if v["name"] == "config"]
            assert files[mounted["configMap"]["name"]] == one["metadata"]["namespace"]
