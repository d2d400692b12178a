"""The files below ``packaging``, read for tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from holdfast.app.config import load
from holdfast.app.settings import Config

ROOT: Final = Path(__file__).parents[3]
PACKAGING: Final = ROOT / "packaging"
BASE: Final = PACKAGING / "kubernetes" / "base"
SERVICES: Final = ("balancer", "gateway", "execution-api", "execution-worker", "netpulse", "console")
ENVIRON: Final = {"HOLDFAST_ADMIN_TOKEN": "t" * 40, "OPENAI_API_KEY": "sk-none"}

DOCKERFILE: Final = (PACKAGING / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((PACKAGING / "compose.yaml").read_text(encoding="utf-8"))


def configuration(service: str) -> Config:
    """What a service reads, with only the variables that its own file names."""
    return load(PACKAGING / "config" / f"{service}.yaml", environ=named(service), ports=False).config


def named(service: str) -> dict[str, str]:
    """The variables that a service's file cannot do without, with values that will do."""
    text = (PACKAGING / "config" / f"{service}.yaml").read_text(encoding="utf-8")
    return {name: ENVIRON[name] for name in re.findall(r"\$\{(\w+)\}", text)}


def resources(directory: Path = BASE) -> list[dict[str, Any]]:
    """Every object in the files of a directory, but for the kustomization."""
    files = sorted(file for file in directory.glob("*.yaml") if file.name != "kustomization.yaml")
    return [one for file in files for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def of_kind(kind: str, found: list[dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """By name."""
    return {one["metadata"]["name"]: one for one in (resources() if found is None else found) if one["kind"] == kind}


def container(service: str) -> dict[str, Any]:
    """The only container of a service's pods."""
    (only,) = of_kind("Deployment")[service]["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def drain_s(service: str) -> float:
    """How long a service of ours takes to end, at most."""
    config = configuration(service)
    if config.balancer is not None:
        return config.balancer.drain_timeout
    if config.gateway is not None:
        return config.gateway.drain_timeout
    if config.execution is not None:
        worker = service == "execution-worker"
        return config.execution.worker.drain_timeout if worker else config.execution.drain_timeout
    if config.netpulse is not None:
        return config.netpulse.drain_timeout
    return 5.0


def listening(service: str) -> set[int]:
    """The ports that a service's settings open."""
    config = configuration(service)
    addresses: list[str] = []
    if config.balancer is not None:
        addresses += [*config.balancer.listen, str(config.balancer.admin)]
    if config.gateway is not None:
        addresses.append(config.gateway.listen)
    if config.execution is not None and service == "execution-api":
        addresses.append(config.execution.listen)
    if config.netpulse is not None:
        addresses += [config.netpulse.listen, config.netpulse.agents.listen]
    if config.console is not None:
        addresses.append(config.console.listen)
    return {int(address.rpartition(":")[2]) for address in addresses}
