"""The project that a blog belongs to, and the judgement of all that is written in it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from holdfast.blog.core.drawing import Draughtsman
from holdfast.blog.core.fault import Fault
from holdfast.blog.core.post import Post
from holdfast.blog.core.readme import judge_readme
from holdfast.blog.core.render import render
from holdfast.blog.core.site import Rendered
from holdfast.blog.core.surroundings import Surroundings, around
from holdfast.blog.errors import Refused
from holdfast.blog.shell.files import public_faults, public_files, read_text, read_what_can_be
from holdfast.blog.shell.quotations import Quotations
from holdfast.blog.shell.readings import RecordedReadings


@dataclass(frozen=True, slots=True)
class Project:
    """Where things are."""

    root: Path

    @property
    def content(self) -> Path:
        """Posts and public files."""
        return self.root / "content"

    @property
    def evidence(self) -> Path:
        """Records."""
        return self.root / "evidence"

    @property
    def readme(self) -> Path:
        """Judged like a post, if it is there."""
        return self.root / "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What ``holdfast blog check`` found."""

    posts: tuple[Post, ...]
    rendered: tuple[Rendered, ...]
    """Those without a fault."""
    faults: tuple[Fault, ...]

    @property
    def numbers(self) -> int:
        """Different numbers that posts quote, post by post."""
        return sum(len(one.readings) for one in self.rendered)

    @property
    def stale(self) -> tuple[str, ...]:
        """Drills with a stale record that somebody quotes."""
        return tuple(sorted({one.drill for made in self.rendered for one in made.readings if one.stale}))


def surroundings(project: Project, posts: tuple[Post, ...], readings: RecordedReadings) -> Surroundings:
    """What the posts of a project may point at."""
    return around(
        posts,
        drills=readings.drills(),
        files=public_files(project.content),
        quoted=Quotations(project.root).quoted,
    )


def judge(
    project: Project,
    *,
    draughtsman: Draughtsman,
    today: dt.date,
    drafts: bool = True,
    readme: bool = True,
    allow_stale: bool = False,
) -> Judgement:
    """Read and render everything, and gather what is wrong with it. Writes nothing."""
    rendered: list[Rendered] = []
    readings = RecordedReadings(project.evidence, project.root)
    posts, unreadable = read_what_can_be(project.content)
    faults = [*unreadable, *public_faults(project.content)]
    around_them = surroundings(project, posts, readings)
    judged = tuple(post for post in posts if drafts or not post.draft)
    for post in judged:
        try:
            rendered.append(
                render(
                    post,
                    readings=readings,
                    draughtsman=draughtsman,
                    today=today,
                    surroundings=around_them,
                    allow_stale=allow_stale,
                )
            )
        except Refused as refused:
            faults += refused.faults
    if readme and project.readme.is_file():
        try:
            text = read_text(project.readme, project.readme.name)
            faults += judge_readme(text, file=project.readme.name, quoted=around_them.quoted)
        except Refused as refused:
            faults += refused.faults
    return Judgement(posts=judged, rendered=tuple(rendered), faults=tuple(faults))
