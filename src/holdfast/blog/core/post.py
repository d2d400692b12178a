"""A post as it is written: front matter, and five sections in one order, each with its parts.

The arc is hook, architecture, stress test, bottleneck resolution, business impact. Text is kept as its author wrote it
(Markdown, with :mod:`~holdfast.blog.core.reference` s to evidence in it) together with the line where it begins, so
that whatever is found wrong later is told with its place.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """Markdown, and the line of its file where it begins (from 1)."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a post points besides its text: the code, a record, a talk."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenshot:
    """A picture of the running thing, below ``content/public/``; it is never without words."""

    url: str
    alt: str
    caption: Prose
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Why anybody should read on."""

    problem: Prose
    stakes: Prose


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How it is built."""

    summary: Prose
    diagram: Prose
    """Mermaid source, without the fence."""
    components: tuple[Prose, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTest:
    """What was done to it, and what it does not show."""

    setup: Prose
    breaking_point: Prose
    evidence: tuple[Prose, ...]
    not_shown: Prose
    screenshot: Screenshot | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckResolution:
    """What the cause was, what was done, what it cost."""

    root_cause: Prose
    solution: Prose
    tradeoffs: tuple[Prose, ...]
    alternatives: tuple[Prose, ...]
    """May be empty; everything else may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post, complete."""

    slug: str
    """The file's name without ``.md``; lower-case letters, digits and hyphens, 3 to 80."""
    file: str
    """As the author knows it: ``content/posts/<slug>.md``."""
    title: str
    summary: str
    published_at: dt.date
    target_companies: tuple[str, ...]
    tags: tuple[str, ...]
    links: tuple[Link, ...]
    draft: bool
    redirect_from: tuple[str, ...]
    """Slugs that this post had before."""
    hook: Hook
    architecture: Architecture
    stress_test: StressTest
    bottleneck_resolution: BottleneckResolution
    business_impact: tuple[Prose, ...]
    lines: dict[str, int]
    """Line of each key of the front matter."""

    @property
    def companies(self) -> tuple[str, ...]:
        """``target_companies``; each has a page."""
        return self.target_companies

    @property
    def headings(self) -> tuple[str, ...]:
        """Those within its parts, as they were typed; each has an id in the page."""
        sections = (self.hook, self.architecture, self.stress_test, self.bottleneck_resolution)
        values = [getattr(section, field.name) for section in sections for field in fields(section)]
        texts = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        found = [_HEADING.findall(one.text) for one in (*texts, *self.business_impact) if isinstance(one, Prose)]
        return tuple(heading for headings in found for heading in headings)


_HEADING: Final = re.compile(r"^ {0,3}#{4,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)


def written_parts(post: Post) -> Iterator[tuple[str, Prose | tuple[Prose, ...]]]:
    """Every part that holds text, by its key in JSON, in the order of the arc."""
    yield "hook.problem", post.hook.problem
    yield "hook.stakes", post.hook.stakes
    yield "architecture.summary", post.architecture.summary
    yield "architecture.diagram", post.architecture.diagram
    yield "architecture.components", post.architecture.components
    yield "stressTest.setup", post.stress_test.setup
    yield "stressTest.breakingPoint", post.stress_test.breaking_point
    yield "stressTest.evidence", post.stress_test.evidence
    yield "stressTest.notShown", post.stress_test.not_shown
    yield "bottleneckResolution.rootCause", post.bottleneck_resolution.root_cause
    yield "bottleneckResolution.solution", post.bottleneck_resolution.solution
    yield "bottleneckResolution.tradeoffs", post.bottleneck_resolution.tradeoffs
    if post.bottleneck_resolution.alternatives:
        yield "bottleneckResolution.alternatives", post.bottleneck_resolution.alternatives
    yield "businessImpact", post.business_impact


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a section, as it is headed and as it is called in JSON."""

    title: str
    """The heading of level 3: ``Breaking point``."""
    key: str
    """In ``posts.json``: ``breakingPoint``."""
    kind: str
    """``prose``, ``list``, ``diagram`` or ``screenshot``."""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One of the five sections."""

    title: str
    """The heading of level 2."""
    key: str
    parts: tuple[Part, ...]
    """Empty: the section is itself a list."""


ARC: Final = (
    Section(
        title="Hook",
        key="hook",
        parts=(Part(title="Problem", key="problem", kind="prose"), Part(title="Stakes", key="stakes", kind="prose")),
    ),
    Section(
        title="Architecture",
        key="architecture",
        parts=(
            Part(title="Summary", key="summary", kind="prose"),
            Part(title="Diagram", key="diagram", kind="diagram"),
            Part(title="Components", key="components", kind="list"),
        ),
    ),
    Section(
        title="Stress test",
        key="stressTest",
        parts=(
            Part(title="Setup", key="setup", kind="prose"),
            Part(title="Breaking point", key="breakingPoint", kind="prose"),
            Part(title="Evidence", key="evidence", kind="list"),
            Part(title="What it does not show", key="notShown", kind="prose"),
            Part(title="Screenshot", key="screenshot", kind="screenshot", required=False),
        ),
    ),
    Section(
        title="Bottleneck resolution",
        key="bottleneckResolution",
        parts=(
            Part(title="Root cause", key="rootCause", kind="prose"),
            Part(title="Solution", key="solution", kind="prose"),
            Part(title="Tradeoffs", key="tradeoffs", kind="list"),
            Part(title="Alternatives", key="alternatives", kind="list", required=False),
        ),
    ),
    Section(title="Business impact", key="businessImpact", parts=()),
)
"""The strict arc: what is missing, in another order or not among these is a fault."""
