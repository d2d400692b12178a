"""One machine: what every service may, how long it may take to end, and where its secrets come from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel import Duration
from tests.unit.packaging.manifests import COMPOSE, SERVICES, configuration, drain_s, listening, named

EXCEPTIONS = {"execution-worker"}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_an_image_is_demanded_and_never_preset(name: str) -> None:
    assert ":?" in service(name)["image"]
    assert "digest" in service(name)["image"]


@pytest.mark.parametrize("name", sorted({*COMPOSE["services"]} - EXCEPTIONS))
def test_a_service_can_write_and_do_no_more_than_it_has_to(name: str) -> None:
    one = service(name)
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not one.get("privileged")
    assert name == "postgres" or int(one["user"].partition(":")[0]) > 0


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_has_bounds(name: str) -> None:
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= service(name).keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_end_in_its_own_time(name: str) -> None:
    assert Duration.parse(service(name)["stop_grace_period"]) >= drain_s(name) + 5


@pytest.mark.parametrize("name", SERVICES)
def test_a_file_of_a_service_stands_by_itself_with_the_secrets_that_it_gets(name: str) -> None:
    configuration(name)
    assert set(named(name)) <= set(service(name).get("secrets", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_its_own_file_and_runs_itself(name: str) -> None:
    assert service(name)["command"] == ["run", name, "-c", "/etc/holdfast/holdfast.yaml"]
    assert service(name)["configs"] == [{"source": name, "target": "/etc/holdfast/holdfast.yaml"}]
    assert COMPOSE["configs"][name] == {"file": f"config/{name}.yaml"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "execution-worker"])
def test_health_is_asked_where_the_service_listens(name: str) -> None:
    script = service(name)["healthcheck"]["test"][-1]
    assert any(f"127.0.0.1:{port}/healthz" in script for port in listening(name))


def test_only_the_balancer_can_be_reached_and_only_from_this_machine() -> None:
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert list(published) == ["balancer"]
    assert all(port.startswith("127.0.0.1:") for port in published["balancer"])


def test_workers_reach_the_api_and_neither_the_store_nor_the_internet() -> None:
    assert service("execution-worker")["networks"] == ["workers"]
    assert COMPOSE["networks"]["workers"] == {"internal": True}
    assert "workers" in service("execution-api")["networks"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_secret_stands_in_the_file(name: str) -> None:
    environment = service(name).get("environment", {})
    assert not [key for key in environment if "PASSWORD" in key and not key.endswith("_FILE")]
    assert set(service(name).get("secrets", [])) <= set(COMPOSE["secrets"])


def test_a_secret_is_a_file_and_becomes_the_variable_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "PGPASSWORD").write_text("it's $ecret\n")
    shell, flags, script, zero = service("gateway")["entrypoint"]
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path)).replace("exec holdfast", "exec env")
    environ = {"PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        [shell, flags, script, zero, "PROOF=1"], env=environ, capture_output=True, text=True, timeout=10, check=True
    )
    assert "PGPASSWORD=it's $ecret" in said.stdout.splitlines()
    assert "PROOF=1" in said.stdout.splitlines()
