"""Who watches the same targets from the same namespaces: Holdfast, and blackbox_exporter with its company.

The peers' settings are the usual ones, scaled to the interval: a target is asked every interval, a rule fires when a
probe has failed for two of them, and Alertmanager makes one group, and so one message, of each target.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from holdfast.drills.errors import ToolMissingError
from holdfast.drills.namespaces import Star
from holdfast.drills.noise_targets import PORT
from holdfast.drills.process import Child

BLACKBOX: Final = "blackbox"
TIMEOUT_S: Final = 0.9
"""Less than the second after which the kernel repeats a lost SYN: a connection that was lost is a probe that failed."""
PROGRAMS: Final = {
    "nft": "nftables",
    "prometheus": "prometheus",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""What is needed beside ``ip`` and ``nsenter``, and its package."""


def require_programs() -> None:
    """Raise :class:`ToolMissingError` for the first that is not installed."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise ToolMissingError(program, package)


@contextmanager
def holdfast(star: Star, directory: Path, *, domains: Mapping[str, str], interval_s: float) -> Iterator[list[Child]]:
    """Engine and agents, as ``holdfast run`` starts them. All of them in hub and regions."""
    directory.mkdir()
    check = {"interval": f"{interval_s:g}s", "timeout": f"{TIMEOUT_S:g}s", "allow_private": True}
    section: dict[str, Any] = {
        "listen": f"{star.hub_address}:8084",
        "tenant": "drill",
        "regions": {region: {"domain": domain, "embedded": True} for region, domain in domains.items()},
        "agents": {
            "listen": f"{star.hub_address}:8094",
            "certificates": str(directory / "certificates"),
            "spool": str(directory / "spool"),
            "allow_private": True,
            "canaries": [{"tcp": f"{star.canary_address}:{PORT}"}],
        },
        "monitors": {
            f"t{number:02}": {"http": {"url": f"http://{address}:{PORT}/"}, **check}
            for number, address in enumerate(star.targets)
        },
        "channels": {"pager": {"allow_private": True, "webhook": {"url": pages_url(star, "holdfast")}}},
        "routes": [{"steps": [{"channels": ["pager"]}]}],
    }
    config = directory / "holdfast.yaml"
    config.write_text(json.dumps({"store": {"url": f"sqlite:{directory / 'drill.db'}"}, "netpulse": section}, indent=2))
    run = (sys.executable, "-P", "-m", "holdfast", "run")
    with _children(directory) as start:
        children = [start("netpulse", [*star.inside(), *run, "netpulse", "-c", str(config)])]
        for region in domains:
            argv = [*star.inside(region), *run, "agent", "--region", region, "-c", str(config)]
            children.append(start(f"agent-{region}", argv))
        yield children


@contextmanager
def blackbox(star: Star, directory: Path, *, interval_s: float) -> Iterator[list[Child]]:
    """One blackbox_exporter in each region; Prometheus and Alertmanager in the hub."""
    directory.mkdir()
    modules = {
        "http_2xx": {
            "prober": "http",
            "timeout": f"{TIMEOUT_S * 1e3:.0f}ms",
            "http": {"preferred_ip_protocol": "ip4"},
        }
    }
    module_file = _write(directory / "blackbox.yml", {"modules": modules})
    rule = {
        "alert": "TargetDown",
        "expr": "probe_success == 0",
        "for": f"{2 * interval_s:g}s",
    }
    rules = _write(
        directory / "rules.yml",
        {"groups": [{"name": "drill", "interval": f"{interval_s:g}s", "rules": [rule]}]},
    )
    prometheus = {
        "global": {
            "scrape_interval": f"{interval_s:g}s",
            "scrape_timeout": f"{interval_s:g}s",
            "evaluation_interval": f"{interval_s:g}s",
        },
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{star.hub_address}:9093"]}]}]},
        "scrape_configs": [_scrape(region, address, star) for region, address in star.addresses.items()],
    }
    alertmanager = {
        "route": {
            "receiver": "drill",
            "group_by": ["instance"],
            "group_wait": "1s",
            "group_interval": f"{5 * interval_s:g}s",
            "repeat_interval": "4h",
        },
        "receivers": [
            {"name": "drill", "webhook_configs": [{"url": pages_url(star, BLACKBOX), "send_resolved": False}]}
        ],
    }
    with _children(directory) as start:
        children = [
            start(
                f"blackbox-{region}",
                [
                    *star.inside(region),
                    "prometheus-blackbox-exporter",
                    f"--config.file={module_file}",
                    f"--web.listen-address={address}:9115",
                ],
            )
            for region, address in star.addresses.items()
        ]
        children.append(
            start(
                "alertmanager",
                [
                    *star.inside(),
                    "prometheus-alertmanager",
                    f"--config.file={_write(directory / 'alertmanager.yml', alertmanager)}",
                    f"--storage.path={directory / 'alertmanager'}",
                    f"--web.listen-address={star.hub_address}:9093",
                    "--cluster.listen-address=",
                ],
            )
        )
        children.append(
            start(
                "prometheus",
                [
                    *star.inside(),
                    "prometheus",
                    f"--config.file={_write(directory / 'prometheus.yml', prometheus)}",
                    f"--storage.tsdb.path={directory / 'prometheus'}",
                    f"--web.listen-address={star.hub_address}:9090",
                ],
            )
        )
        yield children


def pages_url(star: Star, contender: str) -> str:
    """Where a contender's pages go."""
    return f"http://{star.hub_address}:{PORT}/pages/{contender}"


def _scrape(region: str, address: str, star: Star) -> dict[str, Any]:
    return {
        "job_name": region,
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "static_configs": [
            {"targets": [f"http://{target}:{PORT}/" for target in star.targets], "labels": {"region": region}}
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"{address}:9115"},
        ],
    }


def _write(path: Path, document: object) -> Path:
    """As JSON, which is YAML."""
    path.write_text(json.dumps(document, indent=2))
    return path


@contextmanager
def _children(directory: Path) -> Iterator[Callable[[str, list[str]], Child]]:
    """Start processes; whatever was started is ended."""
    started: list[Child] = []

    def start(name: str, argv: list[str]) -> Child:
        child = Child(argv, log=directory / f"{name}.log", environment={"HOLDFAST_LOG_FORMAT": "json"})
        started.append(child)
        return child

    try:
        yield start
    finally:
        for child in reversed(started):
            child.stop(timeout_s=15.0)
