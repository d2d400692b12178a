"""A page for each drill's record: everything that is needed to believe, question and repeat it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from holdfast.blog.core.drawing import Draughtsman, Unparsable
from holdfast.blog.core.reference import Readings, Unbacked
from holdfast.blog.errors import RenderFailed
from holdfast.blog.shell.entry import Entry
from holdfast.blog.shell.pages import Pages
from holdfast.blog.shell.readings import OURS, RecordedReadings
from holdfast.evidence import Histogram, Metric, Record, Samples
from holdfast.evidence.archive import encode
from holdfast.evidence.samples import count, quantile

_MOST_BARS: Final = 6
_LINKED: Final = re.compile(r'href="[^"#]*#([^"]+)"')
"""What a chart points at within the page."""
_MOST_ROWS: Final = 40
"""Of a table; a record may have hundreds of metrics, and all of them are in its file."""


def quoting(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Drill -> posts that quote its record."""
    quoted: dict[str, list[Entry]] = {}
    for entry in entries:
        for drill in entry.quotes:
            quoted.setdefault(drill, []).append(entry)
    return quoted


def record_pages(
    pages: Pages,
    readings: RecordedReadings,
    quoted: Mapping[str, list[Entry]],
    draughtsman: Draughtsman,
    charts: dict[str, str],
) -> dict[str, bytes]:
    """The list of records, a page for each, and the records themselves. Records that are not sound have none.

    ``charts`` are those drawn already, by drill; what is drawn here is added.
    """
    made: dict[str, bytes] = {}
    records = []
    for drill in readings.drills():
        try:
            record = readings.record(drill)
        except Unbacked:
            continue  # whoever quotes it has been told
        records.append(record)
        named = {name for entry in quoted.get(drill, ()) for name in entry.quotes[drill]}
        named |= {claim.metric for claim in record.claims}
        if drill not in charts:
            charts[drill] = _chart(record, readings, draughtsman)
        named |= set(_LINKED.findall(charts[drill]))
        file = f"evidence/{drill}/{record.id}.json"
        made[file] = encode(record)
        made[f"evidence/{drill}/index.html"] = pages.record(
            record,
            file=file,
            stale=readings.stale(drill),
            command=shlex.join(record.argv),
            metrics=_shown(record.metrics, named),
            control=_shown(record.control.metrics, named, "control.") if record.control else {},
            samples=[_sampled(name, record.samples[name]) for name in list(record.samples)[:_MOST_ROWS]],
            quoted=quoted.get(drill, []),
            chart=charts[drill],
        )
    made["evidence/index.html"] = pages.records(records)
    return made


def _shown(metrics: Mapping[str, Metric], named: Collection[str], prefix: str = "") -> dict[str, Metric]:
    """All that somebody links to, and of the others as many as a page has room for, in their order."""
    room = _MOST_ROWS - sum(f"{prefix}{name}" in named for name in metrics)
    others = [name for name in metrics if f"{prefix}{name}" not in named][: max(0, room)]
    return {name: metric for name, metric in metrics.items() if f"{prefix}{name}" in named or name in others}


def _sampled(name: str, samples: Samples) -> tuple[str, int, float | None, float | None]:
    return name, count(samples), quantile(samples, 0.5), quantile(samples, 1.0)


def _chart(record: Record, readings: Readings, draughtsman: Draughtsman) -> str:
    """Latencies by contender where they were sampled, else the first metric that several contenders have."""
    source = _distribution(record) or _bars(record)
    if not source:
        return ""
    try:
        return draughtsman.chart(source, name="chart", readings=readings).html
    except (Unparsable, Unbacked, RenderFailed):
        return ""  # the table beneath has the same numbers


def _distribution(record: Record) -> str:
    by_kind: dict[str, list[str]] = {}
    for name, samples in record.samples.items():
        contender, _, kind = name.partition(".")
        if isinstance(samples, Histogram) and kind.endswith("latency_ms") and "lag" not in kind:
            by_kind.setdefault(kind, []).append(contender)
    if not by_kind:
        return ""
    kind, contenders = max(by_kind.items(), key=lambda one: len(one[1]))
    rows = "".join(f"  - {{label: {name}, of: {record.drill}.{name}.{kind}}}\n" for name in contenders[:5])
    return f"title: Latency by contender\nkind: cdf\naxis: latency in ms\nformat: '1'\nscale: log\nsamples:\n{rows}"


def _bars(record: Record) -> str:
    for claim in record.claims:
        contender, _, name = claim.metric.partition(".")
        if contender != OURS or not name:
            continue
        rows = [(who.partition(".")[0], who) for who in record.metrics if who.partition(".")[2] == name]
        if record.control is not None:
            control = [who for who in (f"{OURS}.{name}", name) if who in record.control.metrics][:1]
            rows += [("control", f"control.{who}") for who in control]
        values = [_value(record, who) for _, who in rows]
        if len(rows) > 1 and all(value is not None and value >= 0 for value in values) and any(values):
            unit = record.metrics[claim.metric].unit
            told = "".join(
                f'  - {{label: {who}, value: "{{ev:{record.drill}.{full}}}"}}\n' for who, full in rows[:_MOST_BARS]
            )
            return f"title: {_plain(name)} by contender\nkind: bar\naxis: {unit or 'ratio'}\nrows:\n{told}"
    return ""


def _value(record: Record, name: str) -> float | None:
    if name.startswith("control.") and record.control is not None:
        return record.control.metrics[name.removeprefix("control.")].value
    return record.metrics[name].value


def _plain(name: str) -> str:
    words = name.replace("_", " ").replace(".", " ")
    return words[:1].upper() + words[1:]
