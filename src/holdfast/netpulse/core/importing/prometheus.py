"""Who blackbox_exporter probes: the jobs of a ``prometheus.yml`` that scrape its ``/probe``.

The usual job names the module in ``params`` and the targets in ``static_configs``, and three relabelling rules put the
target into ``?target=``. A label ``module`` of the targets may choose the module, by a rule that says so. Rules are
recognised, not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.importing.draft import Draft, shown
from holdfast.netpulse.core.importing.http import without_credentials
from holdfast.netpulse.core.importing.source import Misread, Place

_INTERVAL_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
"""Prometheus' defaults."""
_DEFAULT_MODULE: Final = "http_2xx"
"""What the exporter takes when nobody says."""
_COPY: Final = ("(.*)", "$1", "replace")


@dataclass(frozen=True, slots=True)
class Target:
    """One target with everything that its job says about it."""

    place: Place
    job: str
    module: str
    labels: dict[str, str]
    interval: Duration
    timeout: Duration


def targets(draft: Draft, root: Place) -> Iterator[Target]:
    """The targets of all jobs that scrape ``/probe``. Raises ``Misread`` when the file is none of Prometheus'."""
    world = root["global"]
    for job in root["scrape_configs"].items():
        try:
            if job["metrics_path"].text("/metrics") != "/probe":
                continue
            yield from _of_job(draft, job, world)
        except Misread as error:
            draft.note("refused", error.path, f"{error.message}: nothing of this job is taken over")


def _of_job(draft: Draft, job: Place, world: Place) -> Iterator[Target]:
    name = job["job_name"].text()
    modules = [each.text() for each in job["params"]["module"].items()]
    if len(modules) > 1:
        draft.note("dropped", job["params"]["module"], "the exporter takes the first module only, and so does this")
    for key in job["params"].entries().keys() - {"module", "target", "debug"}:
        draft.note("dropped", job["params"][key], "no such parameter here")
    for key, value in job.entries().items():
        if key.endswith("_sd_configs"):
            draft.note("refused", value, "discovered targets are not in the file: list them in static_configs first")
    by_label = _module_label(draft, job)
    interval = job["scrape_interval"].span(world["scrape_interval"].span(_INTERVAL_S))
    timeout = job["scrape_timeout"].span(world["scrape_timeout"].span(min(_TIMEOUT_S, interval)))
    # Found whole before any is given: a job is taken over, or it is not.
    found: list[Target] = []
    seen: set[tuple[str, str]] = set()
    for group in job["static_configs"].items():
        labels = group["labels"].texts()
        module = labels.get(by_label, "") or labels.get("__param_module", "") or (modules or [_DEFAULT_MODULE])[0]
        kept = {key: value for key, value in labels.items() if key != by_label and not key.startswith("__")}
        for place in group["targets"].items():
            if (place.text(), module) in seen:
                draft.note("dropped", place, f"{shown(without_credentials(place.text()), 60)} is twice in this job")
                continue
            seen.add((place.text(), module))
            found.append(Target(place, name, module, kept, interval, timeout))
    yield from found


def _module_label(draft: Draft, job: Place) -> str:
    """The label that chooses the module; empty when none does."""
    label = ""
    for key in ("relabel_configs", "metric_relabel_configs"):
        for rule in job[key].items():
            sources = [each.text() for each in rule["source_labels"].items()]
            target = rule["target_label"].text()
            copies = (
                rule["regex"].text("(.*)"),
                rule["replacement"].text("$1"),
                rule["action"].text("replace"),
            ) == _COPY
            if key == "relabel_configs" and (
                (copies and sources == ["__address__"] and target == "__param_target")
                or (copies and sources in (["__param_target"], ["__address__"]) and target == "instance")
                or (not sources and target == "__address__")
            ):
                continue
            if key == "relabel_configs" and copies and len(sources) == 1 and target == "__param_module":
                label = sources[0]
                continue
            draft.note("dropped", rule, "rules are not run: look whether targets or labels are what it made of them")
    return label
