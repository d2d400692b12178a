"""A job in words and figures: what a page says of it. Values in, text out."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.console.execution import Job, Limits

Tone = Literal["good", "bad", "wait", "quiet"]

VERDICTS: Final[dict[str, tuple[str, Tone]]] = {
    "ok": ("ok", "good"),
    "runtime_error": ("runtime error", "bad"),
    "compile_error": ("compile error", "bad"),
    "time_limit": ("time limit", "bad"),
    "memory_limit": ("memory limit", "bad"),
    "output_limit": ("output limit", "bad"),
    "killed": ("killed", "bad"),
    "cancelled": ("cancelled", "quiet"),
    "expired": ("expired", "quiet"),
    "internal_error": ("internal error", "bad"),
}
STATUSES: Final[dict[str, tuple[str, Tone]]] = {
    "queued": ("queued", "wait"),
    "running": ("running", "wait"),
    "finished": ("finished", "quiet"),
    "dead": ("dead letter", "bad"),
}
LANGUAGES: Final = {
    "bash": "Bash",
    "c": "C",
    "cpp": "C++",
    "csharp": "C#",
    "go": "Go",
    "java": "Java",
    "javascript": "JavaScript",
    "perl": "Perl",
    "python": "Python",
    "ruby": "Ruby",
    "rust": "Rust",
    "typescript": "TypeScript",
}
"""How languages write themselves; one that is not here is shown by its id."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A word with a colour."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Bar:
    """Use of a resource. ``share`` is of its limit, from 0 to 1, or ``None`` when that is not known."""

    label: str
    used: str
    limit: str | None = None
    share: float | None = None
    is_full: bool = False
    """The limit was hit."""


def language(name: str) -> str:
    """``C++`` for ``cpp``."""
    return LANGUAGES.get(name, name)


def badge(job: Job) -> Badge:
    """The verdict, or while there is none the status."""
    if job.status == "running" and job.cancel_requested:
        return Badge("cancelling", "wait")
    known = VERDICTS.get(job.verdict or "") if job.verdict and job.status != "dead" else STATUSES.get(job.status)
    return Badge(*known) if known else Badge((job.verdict or job.status).replace("_", " "), "quiet")


def signal_name(number: int) -> str:
    """``SIGSEGV (segmentation fault)`` for 11."""
    try:
        found = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    about = signal.strsignal(number)
    return f"{found.name} ({about.lower()})" if about else found.name


def explanation(job: Job, limits: Limits | None) -> str:
    """What came of a job, in one sentence or two."""
    if job.status == "queued":
        return (
            "It waits for a free slot." if job.attempts == 0 else "It was started before, and waits to be tried again."
        )
    if job.status == "running":
        return "It was told to stop." if job.cancel_requested else "It is running."
    if job.status == "dead":
        return f"Given up after {_times(job.attempts)}: {job.dead_reason or 'no reason was recorded'}."
    return _ending(job, limits)


def _ending(job: Job, limits: Limits | None) -> str:
    match job.verdict:
        case "ok":
            return "The program ended with exit code 0."
        case "runtime_error":
            if job.signal is not None:
                return f"The program was ended by {signal_name(job.signal)}."
            return f"The program ended with exit code {job.exit_code}."
        case "compile_error":
            return "The program could not be compiled; the compiler says why below."
        case "time_limit":
            return f"Killed: it {_time_limit(job, limits)}."
        case "memory_limit":
            most = f"more than {size(limits.memory_bytes)} of" if limits else "too much"
            return f"Killed: it used {most} memory."
        case "output_limit":
            most = f"more than {size(limits.output_bytes)} of" if limits else "too much"
            return f"Killed: it wrote {most} output."
        case "killed":
            how = "" if job.signal is None else f" by {signal_name(job.signal)}"
            return f"Killed{how}, not by a limit" + (f": {sentence(job.message)}" if job.message else ".")
        case "cancelled":
            return "Somebody cancelled it." if job.started_at else "Somebody cancelled it before it was started."
        case "expired":
            return "Its deadline passed before a slot was free, so it was not started."
        case "internal_error":
            return "The service could not run it" + (f": {sentence(job.message)}" if job.message else ".")
        case other:
            return f"It ended: {(other or 'without a verdict').replace('_', ' ')}."


def _time_limit(job: Job, limits: Limits | None) -> str:
    if limits is None:
        return "took longer than its limit"
    if job.run_cpu_ms >= limits.cpu_s * 1000 and (job.wall_ms or 0) < limits.wall_s * 1000:
        return f"used more than {seconds(limits.cpu_s)} of CPU time"
    return f"was not done after {seconds(limits.wall_s)}"


def _times(count: int) -> str:
    return "one attempt" if count == 1 else f"{count} attempts"


def bars(job: Job, limits: Limits | None) -> list[Bar]:
    """CPU, wall, memory and output of a run that has ended, against its limits where they are known."""
    if job.wall_ms is None or job.cpu_ms is None or job.verdict == "compile_error":
        return []
    written = None if job.stdout is None else len(job.stdout.encode()) + len((job.stderr or "").encode())
    memory_full, output_full = job.verdict == "memory_limit", job.verdict == "output_limit"
    if limits is None:
        found = [Bar("CPU", milliseconds(job.run_cpu_ms)), Bar("Wall", milliseconds(job.wall_ms))]
        found += [Bar("Memory", size(job.memory_bytes), is_full=memory_full)] if job.memory_bytes is not None else []
        found += [Bar("Output", size(written), is_full=output_full)] if written is not None else []
        return found
    found = [_time_bar("CPU", job.run_cpu_ms, limits.cpu_s), _time_bar("Wall", job.wall_ms, limits.wall_s)]
    if job.memory_bytes is not None:
        found.append(_size_bar("Memory", job.memory_bytes, limits.memory_bytes, is_full=memory_full))
    if written is not None:
        found.append(_size_bar("Output", written, limits.output_bytes, is_full=output_full))
    return found


def _time_bar(label: str, used_ms: float, limit_s: float) -> Bar:
    share = used_ms / 1000 / limit_s
    return Bar(label, milliseconds(used_ms), seconds(limit_s), min(1.0, share), is_full=share >= 1.0)


def _size_bar(label: str, used: int, limit: int, *, is_full: bool) -> Bar:
    return Bar(label, size(used), size(limit), 1.0 if is_full else min(1.0, used / limit), is_full=is_full)


def milliseconds(ms: float) -> str:
    """``8.1 ms``, ``1.24 s`` or ``2 min 5 s``."""
    if ms < 999.5:
        return f"{ms:.2g} ms" if ms < 10 else f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def seconds(amount: float) -> str:
    """As :func:`milliseconds`, of seconds."""
    return milliseconds(amount * 1000)


def size(count: int) -> str:
    """``512 B``, ``3.4 KiB`` or ``256 MiB``."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.5 or unit == "GiB":
            break
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}".replace(".0 ", " ")


def sentence(text: str) -> str:
    """A service's words as a sentence of their own. A name at the beginning (``stdin:``, a URL) stays as it is."""
    if not text:
        return ""
    begun = text[0].upper() + text[1:] if text.partition(" ")[0].isalpha() else text
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def retry_after(seconds: float | None) -> str:
    """``in 3 seconds`` or ``in about 2 minutes``; empty when nobody knows."""
    if seconds is None:
        return ""
    if seconds < 90:
        count = max(1, round(seconds + 0.499))
        return "in 1 second" if count == 1 else f"in {count} seconds"
    return f"in about {round(seconds / 60)} minutes"
