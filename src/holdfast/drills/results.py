"""The measured figures as a Markdown table, from the records and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from holdfast.evidence import Record

BEGIN: Final = "<!-- results -->"
END: Final = "<!-- /results -->"

_CONTENDERS: Final = ("holdfast", "haproxy", "nginx", "control")
_ROWS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("flapping", "errors", "errors that clients saw", "{:.0f}"),
    ("flapping", "latency_p99_ms", "latency, p99", "{:.0f} ms"),
    ("flapping", "latency_p999_ms", "latency, p99.9", "{:.0f} ms"),
    ("flapping", "attempts_per_request", "attempts per request", "{:.3f}"),
    ("flapping", "good_capacity_used", "good capacity used", "{:.0%}"),
    ("flapping", "flips", "times a backend was taken out", "{:.0f}"),
    ("outage", "attempts_per_request", "attempts per request while all fail", "{:.2f}"),
    ("outage", "first_success_s", "first answer after a return", "{:.2f} s"),
    ("dead-backend", "get_errors", "GETs failed by a backend's death", "{:.0f}"),
    ("dead-backend", "post_repeats", "POSTs that reached a backend twice", "{:.0f}"),
    ("throughput", "cpu_us_64B", "CPU per request, 64 B", "{:.1f} µs"),
    ("throughput", "cpu_us_16KiB", "CPU per request, 16 KiB", "{:.1f} µs"),
    ("reload", "errors", "requests failed by 1,000 reloads and switches", "{:.0f}"),
    ("reload", "websocket_breaks", "WebSockets cut by them", "{:.0f}"),
    ("idle", "bytes_per_client", "memory per idle client", "{:.0f} B"),
)
"""Drill, metric, what a reader calls it, how it is written."""


def newest(archive: Path) -> dict[str, Path]:
    """The newest full record of each drill below ``archive`` (ids begin with the time)."""
    return {
        folder.name: max(records)
        for folder in sorted(archive.iterdir())
        if folder.is_dir() and (records := [path for path in folder.glob("*.json") if "-quick" not in path.name])
    }


def table(records: Mapping[str, tuple[str, Record]]) -> str:
    """Markdown for records by drill, each with the link to it."""
    lines = ["| | Holdfast | HAProxy | nginx | control | record |", "|---|---|---|---|---|---|"]
    for drill, metric, words, form in _ROWS:
        if drill not in records:
            continue
        link, record = records[drill]
        cells = [_figure(record, contender, metric, form) for contender in _CONTENDERS]
        lines.append(f"| {words} | {' | '.join(cells)} | [{drill}]({link}) |")
    machines = {record.machine.cpu for _, record in records.values()}
    cores = {record.machine.cores for _, record in records.values()}
    lines += ["", f"On {' and '.join(sorted(machines))}, {' or '.join(map(str, sorted(cores)))} shared cores."]
    return "\n".join(lines)


def _figure(record: Record, contender: str, metric: str, form: str) -> str:
    if contender == "control":
        found = None if record.control is None else record.control.metrics.get(metric)
    else:
        found = record.metrics.get(f"{contender}.{metric}")
    return "" if found is None or found.value is None else form.format(found.value)
