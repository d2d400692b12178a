"""Posts as JSON: what ``posts.json`` publishes, and what ``holdfast blog import`` reads.

::

    {"slug", "title", "summary", "publishedAt", "targetCompanies": [], "tags": [], "links": [{"label", "url"}],
     "hook": {"problem", "stakes"},
     "architecture": {"summary", "diagram", "components": []},
     "stressTest": {"setup", "breakingPoint", "evidence": [], "notShown",
                    "screenshotUrl", "screenshotAlt", "screenshotCaption"},
     "bottleneckResolution": {"rootCause", "solution", "tradeoffs": [], "alternatives": []},
     "businessImpact": []}

Texts are Markdown, the diagram is Mermaid. The screenshot's keys are there together or not at all.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from holdfast.blog.core.post import (
    Architecture,
    BottleneckResolution,
    Hook,
    Link,
    Post,
    Prose,
    Screenshot,
    StressTest,
)
from holdfast.blog.core.quoting import Quotes
from holdfast.blog.core.reference import Readings

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
Lines = Annotated[list[Line], msgspec.Meta(max_length=20)]
Texts = Annotated[list[Text], msgspec.Meta(min_length=1, max_length=40)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="camel", omit_defaults=True):
    """Unknown keys are told, not dropped."""


class LinkForm(_Strict):
    """A link of a post."""

    label: Line
    url: Line


class HookForm(_Strict):
    """Section ``hook``."""

    problem: Text
    stakes: Text


class ArchitectureForm(_Strict):
    """Section ``architecture``."""

    summary: Text
    diagram: Text
    components: Texts


class StressTestForm(_Strict):
    """Section ``stressTest``."""

    setup: Text
    breaking_point: Text
    evidence: Texts
    not_shown: Text
    screenshot_url: Line | None = None
    screenshot_alt: Line | None = None
    screenshot_caption: Line | None = None


class ResolutionForm(_Strict):
    """Section ``bottleneckResolution``."""

    root_cause: Text
    solution: Text
    tradeoffs: Texts
    alternatives: Annotated[list[Text], msgspec.Meta(max_length=40)] = []


class PostForm(_Strict, kw_only=True, omit_defaults=False):
    """One post of ``posts.json``."""

    slug: Line
    title: Line
    summary: Line
    published_at: dt.date
    target_companies: Lines = []
    tags: Lines = []
    links: Annotated[list[LinkForm], msgspec.Meta(max_length=20)] = []
    hook: HookForm
    architecture: ArchitectureForm
    stress_test: StressTestForm
    bottleneck_resolution: ResolutionForm
    business_impact: Texts


def to_json(post: Post, readings: Readings) -> dict[str, Any]:
    """A post under the keys above, its references answered. Only for posts that render without a fault."""
    quotes = Quotes(readings, _ignore, allow_stale=True)

    def filled(text: str) -> str:
        return quotes.plain(quotes.lift(text, 0))

    def text(prose: Prose) -> str:
        return filled(prose.text)

    shot = post.stress_test.screenshot
    form = PostForm(
        slug=post.slug,
        title=filled(post.title),
        summary=filled(post.summary),
        published_at=post.published_at,
        target_companies=list(post.target_companies),
        tags=list(post.tags),
        links=[LinkForm(label=filled(link.label), url=link.url) for link in post.links],
        hook=HookForm(problem=text(post.hook.problem), stakes=text(post.hook.stakes)),
        architecture=ArchitectureForm(
            summary=text(post.architecture.summary),
            diagram=text(post.architecture.diagram),
            components=[text(one) for one in post.architecture.components],
        ),
        stress_test=StressTestForm(
            setup=text(post.stress_test.setup),
            breaking_point=text(post.stress_test.breaking_point),
            evidence=[text(one) for one in post.stress_test.evidence],
            not_shown=text(post.stress_test.not_shown),
            screenshot_url=shot.url if shot else None,
            screenshot_alt=filled(shot.alt) if shot else None,
            screenshot_caption=text(shot.caption) if shot else None,
        ),
        bottleneck_resolution=ResolutionForm(
            root_cause=text(post.bottleneck_resolution.root_cause),
            solution=text(post.bottleneck_resolution.solution),
            tradeoffs=[text(one) for one in post.bottleneck_resolution.tradeoffs],
            alternatives=[text(one) for one in post.bottleneck_resolution.alternatives],
        ),
        business_impact=[text(one) for one in post.business_impact],
    )
    made: dict[str, Any] = msgspec.to_builtins(form)
    return made


def from_form(form: PostForm) -> Post:
    """A draft of what was published elsewhere. Its lines are unknown until it has been written and read."""
    shot = form.stress_test
    return Post(
        slug=form.slug,
        file=f"content/posts/{form.slug}.md",
        title=_one_line(form.title),
        summary=_one_line(form.summary),
        published_at=form.published_at,
        target_companies=tuple(map(_one_line, form.target_companies)),
        tags=tuple(map(_one_line, form.tags)),
        links=tuple(Link(label=_one_line(link.label), url=link.url.strip()) for link in form.links),
        draft=True,
        redirect_from=(),
        hook=Hook(problem=_prose(form.hook.problem), stakes=_prose(form.hook.stakes)),
        architecture=Architecture(
            summary=_prose(form.architecture.summary),
            diagram=_prose(form.architecture.diagram),
            components=_entries(form.architecture.components),
        ),
        stress_test=StressTest(
            setup=_prose(shot.setup),
            breaking_point=_prose(shot.breaking_point),
            evidence=_entries(shot.evidence),
            not_shown=_prose(shot.not_shown),
            screenshot=None
            if shot.screenshot_url is None
            else Screenshot(
                url=shot.screenshot_url.strip(),
                alt=_one_line(shot.screenshot_alt or ""),
                caption=Prose(text=_one_line(shot.screenshot_caption or ""), line=0),
                line=0,
            ),
        ),
        bottleneck_resolution=BottleneckResolution(
            root_cause=_prose(form.bottleneck_resolution.root_cause),
            solution=_prose(form.bottleneck_resolution.solution),
            tradeoffs=_entries(form.bottleneck_resolution.tradeoffs),
            alternatives=_entries(form.bottleneck_resolution.alternatives),
        ),
        business_impact=_entries(form.business_impact),
        lines={},
    )


def without_lines(post: Post) -> Post:
    """The same post wherever it stands: to compare what was written with what was read."""

    def bare(value: Any) -> Any:
        if isinstance(value, Prose):
            return replace(value, line=0)
        if isinstance(value, Screenshot):
            return replace(value, caption=bare(value.caption), line=0)
        if isinstance(value, tuple):
            return tuple(bare(one) for one in value)
        if isinstance(value, Hook | Architecture | StressTest | BottleneckResolution):
            return replace(value, **{name: bare(getattr(value, name)) for name in value.__dataclass_fields__})
        return value

    return replace(post, lines={}, **{name: bare(getattr(post, name)) for name in _SECTIONS})


_SECTIONS = ("hook", "architecture", "stress_test", "bottleneck_resolution", "business_impact")


def _ignore(_line: int, _message: str, _remedy: str) -> None:
    """What does not render is never published."""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _prose(text: str) -> Prose:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return Prose(text="\n".join(lines).strip("\n"), line=0)


def _entries(texts: list[Text]) -> tuple[Prose, ...]:
    return tuple(Prose(text=_prose(text).text.strip(), line=0) for text in texts)
