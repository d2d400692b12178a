"""The measured figures as Markdown tables, from the records and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from holdfast.evidence import Record

BEGIN: Final = "<!-- results -->"
END: Final = "<!-- /results -->"


@dataclass(frozen=True, slots=True)
class Table:
    """Drills that have the same contenders."""

    title: str
    columns: Mapping[str, str]
    """Contender -> what a reader calls it."""
    rows: tuple[tuple[str, str, str, str], ...]
    """Drill, metric, what a reader calls it, how it is written."""


TABLES: Final = (
    Table(
        "The load balancer",
        {"holdfast": "Holdfast", "haproxy": "HAProxy", "nginx": "nginx", "control": "control"},
        (
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
        ),
    ),
    Table(
        "Code execution while one tenant submits 5,000 programs at once",
        {"holdfast": "Holdfast", "control": "first in, first out", "coupled": "inside the request"},
        (
            ("burst", "light_wait_p50_ms", "wait of the other tenants, p50", "{:,.0f} ms"),
            ("burst", "light_wait_p95_ms", "the same, p95", "{:,.0f} ms"),
            ("burst", "light_wait_p99_ms", "the same, p99", "{:,.0f} ms"),
            ("burst", "longest_wait_ms", "the longest", "{:,.0f} ms"),
            ("burst", "alone_wait_p95_ms", "p95 without the burst", "{:,.0f} ms"),
            ("burst", "submit_p99_ms", "a submission answered, p99", "{:.0f} ms"),
            ("burst", "accepted_per_s", "programs accepted per second", "{:,.0f}"),
            ("burst", "burst_per_s", "programs finished per second", "{:.0f}"),
            ("burst", "burst_against_steady", "of the steady throughput", "{:.0%}"),
            ("burst", "memory_bytes", "memory", "{:,.0f} B"),
        ),
    ),
    Table(
        "Code execution, program by program",
        {"holdfast": "Holdfast", "control": "control"},
        (
            ("runner", "submitted_per_s_sqlite", "durable submissions per second, SQLite", "{:,.0f}"),
            ("runner", "submitted_per_s_postgresql", "durable submissions per second, PostgreSQL", "{:,.0f}"),
            ("runner", "python_per_s", "Python programs per second (control: bare interpreter)", "{:.0f}"),
            ("runner", "sandbox_start_p50_ms", "start in a sandbox from the pool, p50", "{:.1f} ms"),
            ("runner", "claim_to_first_instruction_p50_ms", "claim to first instruction, p50", "{:.1f} ms"),
            ("runner", "finish_to_event_p95_ms", "end to event at the client, p95", "{:.1f} ms"),
            ("runner", "cpp_warm_against_cold", "C++ that was compiled before", "{:.0%} of the time"),
            ("runner", "java_warm_against_cold", "Java that was compiled before", "{:.0%} of the time"),
            ("runner", "go_warm_against_cold", "Go that was compiled before", "{:.0%} of the time"),
            ("execution-chaos", "acknowledged", "programs accepted while everything was killed", "{:,.0f}"),
            ("execution-chaos", "lost", "of them lost (control: taken off the queue, then run)", "{:.0f}"),
            ("execution-chaos", "written_twice", "results written twice", "{:.0f}"),
            ("execution-chaos", "dead_after_replay", "dead letters that a replay did not bring to an end", "{:.0f}"),
        ),
    ),
    Table(
        "NetPulse in virtual time: one target, probed every 30 s",
        {
            "holdfast": "NetPulse",
            "unconfirmed": "without confirmations",
            "any_twice": "any region twice",
            "two_of_n_twice": "2 regions twice",
            "control": "not capped",
        },
        (
            ("noise", "n3_plain_false_pages_per_year", "false pages a year, 3 regions", "{:,.2f}"),
            ("noise", "n3_plain_long_delay_p50_s", "an outage is seen, p50", "{:.1f} s"),
            ("noise", "n3_plain_long_delay_against_bound", "mean, as a multiple of the bound", "{:.2f}"),
            ("noise", "n3_stuck_false_pages_per_year", "false pages a year, one of 3 regions stuck", "{:,.2f}"),
            ("noise", "n3_stuck_long_delay_mean_s", "an outage is seen, mean", "{:.1f} s"),
            ("noise", "n5in3_plain_false_pages_per_year", "false pages a year, 5 regions of 3 providers", "{:,.2f}"),
            ("noise", "n5in3_plain_long_delay_mean_s", "an outage is seen, mean", "{:.1f} s"),
            ("noise", "n5in3_provider_false_pages_per_year", "false pages a year, a provider loses", "{:,.2f}"),
            ("noise", "n5in3_lossy_false_pages_per_year", "false pages a year, a region loses 5 %", "{:,.2f}"),
            ("noise", "n5in3_partial_delay_mean_s", "an outage of 30 % is seen, mean", "{:.0f} s"),
            ("noise", "flapping_pages", "pages in a day of flapping", "{:.0f}"),
            ("noise", "cascade_pages", "pages for a cascade of 50", "{:.0f}"),
            ("noise", "cut_target_pages", "pages about 200 targets, one region cut off", "{:.0f}"),
        ),
    ),
    Table(
        "NetPulse with real agents, every 2 s from 3 regions",
        {"holdfast": "NetPulse", "blackbox": "blackbox_exporter and Alertmanager"},
        (
            ("noise", "excerpt_recall", "outages that were told of", "{:.0%}"),
            ("noise", "excerpt_pages_per_cause", "pages for each", "{:.1f}"),
            ("noise", "excerpt_false_pages", "false pages about targets", "{:.0f}"),
            ("noise", "excerpt_agent_pages", "pages about a region that was cut off", "{:.0f}"),
            ("noise", "excerpt_delay_p50_s", "outage to page, p50", "{:.2f} s"),
            ("noise", "excerpt_delay_p95_s", "outage to page, p95", "{:.2f} s"),
        ),
    ),
    Table(
        "NetPulse",
        {"holdfast": "Holdfast", "blackbox": "blackbox_exporter", "control": "control"},
        (
            ("watch-capacity", "checks_per_s", "HTTP checks per second, 30 % of the targets hanging", "{:,.0f}"),
            ("watch-capacity", "lag_p99_ms", "begun after they were due, p99", "{:,.0f} ms"),
            ("watch-capacity", "agent_cpu_us", "an agent's CPU per check", "{:,.0f} µs"),
            ("watch-capacity", "cpu_us", "the exporter's CPU per probe", "{:,.0f} µs"),
            ("watch-capacity", "engine_cpu_us", "the engine's CPU per check", "{:,.0f} µs"),
            ("watch-capacity", "taken_per_s_sqlite", "results taken in per second, SQLite", "{:,.0f}"),
            ("watch-capacity", "taken_per_s_postgresql", "results taken in per second, PostgreSQL", "{:,.0f}"),
            ("watch-capacity", "bytes_per_check_sqlite", "bytes per check, SQLite", "{:.0f} B"),
            ("watch-capacity", "result_to_event_p95_ms", "result to event at a page, p95", "{:.0f} ms"),
            ("watch-chaos", "spooled", "results spooled while everything was killed", "{:,.0f}"),
            ("watch-chaos", "lost", "of them lost", "{:.0f}"),
            ("watch-chaos", "twice", "counted twice", "{:.0f}"),
            ("watch-chaos", "swallowed", "notices swallowed", "{:.0f}"),
            ("watch-chaos", "most_pages_of_a_cause", "pages for one cause", "{:.0f}"),
            ("watch-chaos", "noticed_max_heartbeats", "a dead agent is noticed, at most", "{:.1f} heartbeats"),
        ),
    ),
    Table(
        "The AI gateway",
        {
            "holdfast": "Holdfast",
            "litellm": "LiteLLM",
            "portkey": "Portkey",
            "bare": "without request log",
            "guarded": "with guardrails",
        },
        (
            ("gateway", "cpu_us_short", "CPU per request, short answer", "{:,.0f} µs"),
            ("gateway", "cpu_us_stream", "CPU per request, 100 tokens streamed", "{:,.0f} µs"),
            ("gateway", "added_p50_ms", "added latency at half load, p50", "{:.2f} ms"),
            ("gateway", "added_p99_ms", "the same, p99", "{:.2f} ms"),
            ("gateway", "memory_bytes", "memory", "{:,.0f} B"),
            ("gateway", "start_s", "start to first answer", "{:.2f} s"),
        ),
    ),
    Table(
        "The AI gateway, streams and failures",
        {"holdfast": "Holdfast", "control": "control"},
        (
            ("gateway", "streams_open", "streams at once through one process, 20 tokens/s each", "{:,.0f}"),
            ("gateway", "core_share_at_pace", "of one core at that pace", "{:.0%}"),
            ("gateway", "token_cpu_us", "CPU per token", "{:.1f} µs"),
            ("gateway", "token_lag_p99_ms", "tokens late, p99 (control: no gateway)", "{:.0f} ms"),
            ("gateway-holding", "outage_attempts_per_request", "attempts per request while all fail", "{:.2f}"),
            ("gateway-holding", "flips", "times a flapping deployment was taken out", "{:.0f}"),
            ("gateway-holding", "flapping_errors", "errors that clients saw meanwhile", "{:.0f}"),
            ("gateway-holding", "asked_in_cool_down", "requests to a deployment that asked for a pause", "{:.0f}"),
            (
                "gateway-holding",
                "first_token_p99_ms",
                "first token, p99, one slow 5 % of the time (control: no hedges)",
                "{:,.0f} ms",
            ),
            ("gateway-holding", "extra_tokens", "tokens that hedges added", "{:.1%}"),
            ("gateway-holding", "cut_streams", "streams cut at a byte", "{:,.0f}"),
            ("gateway-holding", "cut_malformed", "malformed frames in them", "{:.0f}"),
            ("gateway-holding", "cut_repeated", "of them with words that came twice", "{:.0f}"),
            ("gateway-holding", "cancel_p99_ms", "a client leaves, the provider sees it, p99", "{:.1f} ms"),
            ("gateway-ledger", "served", "attempts while the gateway was killed", "{:,.0f}"),
            ("gateway-ledger", "missing", "of them not in the books (control: only finished ones)", "{:.0f}"),
            ("gateway-ledger", "twice", "of them twice", "{:.0f}"),
            ("gateway-ledger", "off_share_before", "money off by, before reconciliation", "{:.2%}"),
            ("gateway-ledger", "off_share_after", "after it", "{:.2%}"),
            ("gateway-ledger", "spent_of_budget", "of a budget that 1,000 wanted at once (control: none)", "{:.0%}"),
        ),
    ),
    Table(
        "A cut-over in virtual time, to a new target that",
        {"holdfast": "in stages", "careful": "all at once, watched", "control": "one-shot switch"},
        (
            ("deploy-cutover", "sound_failed_mean", "is sound: requests lost, mean", "{:,.0f}"),
            ("deploy-cutover", "sound_broken_mean", "the same: streams broken, mean", "{:,.0f}"),
            ("deploy-cutover", "errors_failed_mean", "fails 20 %: requests lost, mean", "{:,.0f}"),
            ("deploy-cutover", "errors_back_s_p50", "the same: everybody is back, p50", "{:,.0f} s"),
            ("deploy-cutover", "dead_failed_mean", "answers nothing: requests lost, mean", "{:,.0f}"),
            ("deploy-cutover", "dead_back_s_p50", "the same: everybody is back, p50", "{:,.0f} s"),
            ("deploy-cutover", "load_failed_mean", "breaks under load: requests lost, mean", "{:,.0f}"),
            ("deploy-cutover", "load_exposed_mean", "the same: requests that met it, mean", "{:,.0f}"),
            ("deploy-cutover", "load_back_s_p50", "the same: everybody is back, p50", "{:,.0f} s"),
            ("deploy-cutover", "streams_broken_mean", "breaks streams only: streams broken, mean", "{:,.0f}"),
        ),
    ),
    Table(
        "The blog, a thousand posts",
        {"holdfast": "Holdfast", "hugo": "Hugo", "control": "control"},
        (
            ("blog-build", "cold_s", "from nothing", "{:.2f} s"),
            ("blog-build", "cold_cpu_s", "the same, CPU of all processes", "{:.2f} s"),
            ("blog-build", "edit_p50_ms", "one post edited, in a process that is there", "{:.0f} ms"),
            ("blog-build", "edit_command_p50_ms", "one post edited, a command from start to end", "{:,.0f} ms"),
            ("blog-build", "largest_page_bytes", "the largest page", "{:,.0f} B"),
        ),
    ),
)


def newest(archive: Path) -> dict[str, Path]:
    """The newest full record of each drill below ``archive`` (ids begin with the time)."""
    return {
        folder.name: max(records)
        for folder in sorted(archive.iterdir())
        if folder.is_dir() and (records := [path for path in folder.glob("*.json") if "-quick" not in path.name])
    }


def table(records: Mapping[str, tuple[str, Record]]) -> str:
    """Markdown for records by drill, each with the link to it."""
    lines: list[str] = []
    for one in TABLES:
        lines += _lines(one, records)
    machines = {record.machine.cpu for _, record in records.values()}
    cores = {record.machine.cores for _, record in records.values()}
    lines += [f"On {' and '.join(sorted(machines))}, {' or '.join(map(str, sorted(cores)))} shared cores."]
    return "\n".join(lines)


def _lines(of: Table, records: Mapping[str, tuple[str, Record]]) -> list[str]:
    lines = []
    for drill, metric, words, form in of.rows:
        if drill in records:
            link, record = records[drill]
            cells = [_figure(record, contender, metric, form) for contender in of.columns]
            lines.append(f"| {words} | {' | '.join(cells)} | [{drill}]({link}) |")
    if not lines:
        return []
    head = [f"| {' | '.join((of.title, *of.columns.values(), 'record'))} |", f"|{'---|' * (len(of.columns) + 2)}"]
    return [*head, *lines, ""]


def _figure(record: Record, contender: str, metric: str, form: str) -> str:
    if contender == "control":
        found = None if record.control is None else record.control.metrics.get(metric)
    else:
        found = record.metrics.get(f"{contender}.{metric}")
    return "" if found is None or found.value is None else form.format(found.value)
