"""A sound post, readings that answer it, and a draughtsman who draws boxes."""

from __future__ import annotations

import datetime as dt
from html import escape
from pathlib import Path
from typing import Any

from holdfast.blog.core.drawing import Figure, Unparsable
from holdfast.blog.core.fault import Fault
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Post
from holdfast.blog.core.reference import Reading, Readings, Series, Unbacked
from holdfast.blog.core.render import render
from holdfast.blog.core.site import Rendered
from holdfast.blog.core.surroundings import Surroundings, around
from holdfast.blog.errors import Refused

CONTENT = Path(__file__).parents[3] / "data" / "blog" / "content"
FILE = "content/posts/flapping-backends.md"
SAMPLE = (CONTENT / "posts" / "flapping-backends.md").read_text(encoding="utf-8")
TODAY = dt.date(2026, 11, 23)

NUMBERS = {
    "flapping.requests": (38_214.0, "requests"),
    "flapping.errors": (0.0, "errors"),
    "flapping.control.errors": (412.0, "errors"),
    "flapping.haproxy.errors": (11.0, "errors"),
    "flapping.latency_p99_ms": (59.2, "ms"),
    "flapping.haproxy.latency_p99_ms": (2060.0, "ms"),
    "flapping.flips": (2.0, "changes"),
    "flapping#hold_s": (45.0, "s"),
}


class ScriptedReadings:
    """Answers what it was given."""

    def __init__(self, numbers: dict[str, tuple[float, str]] = NUMBERS, *, stale: tuple[str, ...] = ()) -> None:
        self._numbers = numbers
        self._stale = stale

    def read(self, reference: str) -> Reading:
        if reference not in self._numbers:
            raise Unbacked(f"no record answers {reference}; run 'holdfast drill run {reference.partition('.')[0]}'")
        value, unit = self._numbers[reference]
        drill, mark, name = reference.partition("#") if "#" in reference else reference.partition(".")
        return Reading(
            drill=drill,
            record="20261122T140302Z-502f6794",
            name=f"#{name}" if mark == "#" else name if "." in name else f"holdfast.{name}",
            value=value,
            unit=unit,
            derivation="" if mark == "#" else "sum(samples.x)",
            stale=self._stale,
        )

    def series(self, reference: str) -> Series:
        raise Unbacked(f"no record answers {reference}")


class BoxDraughtsman:
    """Figures that show their source; a line that says ``broken`` does not parse."""

    def diagram(self, source: str, *, name: str) -> Figure:
        self._judge(source)
        return Figure(html=f'<figure id="{name}"><svg><title>{escape(source)}</title></svg></figure>\n', text="boxes")

    def chart(self, source: str, *, name: str, readings: Readings) -> Figure:
        self._judge(source)
        quoted = ("flapping.errors",)
        for reference in quoted:
            readings.read(reference)
        return Figure(html=f'<figure id="{name}"></figure>\n', text="bars", readings=quoted)

    @staticmethod
    def _judge(source: str) -> None:
        for at, line in enumerate(source.splitlines(), start=1):
            if "broken" in line:
                raise Unparsable(at, "what is this", "draw something else")


def quoted(code: str) -> bool:
    """What the sample quotes, and two lines that no file has together."""
    return code in {"health: {rise: 2, fall: 3}", "rise: 5", "fall: 7"}


def sample(text: str = SAMPLE, *, file: str = FILE) -> Post:
    return parse(text, file=file)


def site(*posts: Post) -> Surroundings:
    return around(posts or (sample(),), drills=("flapping",), files=("/shots/backends.png",), quoted=quoted)


def rendered(post: Post | None = None, **changed: Any) -> Rendered:
    given: dict[str, Any] = {
        "readings": ScriptedReadings(),
        "draughtsman": BoxDraughtsman(),
        "today": TODAY,
        "surroundings": site(),
        "base": "/blog/",
    }
    return render(post or sample(), **(given | changed))


def changed(before: str, after: str, *, times: int = 1) -> str:
    """The sample with one place changed, which must be there."""
    assert SAMPLE.count(before) >= 1, before
    return SAMPLE.replace(before, after, times)


def faults(text: str, *, file: str = FILE, **given: Any) -> tuple[Fault, ...]:
    """All that is wrong with a text, parsing and rendering."""
    try:
        rendered(sample(text, file=file), **given)
    except Refused as refused:
        return refused.faults
    return ()


def line_of(text: str, within: str) -> int:
    return within.split(text, 1)[0].count("\n") + 1
