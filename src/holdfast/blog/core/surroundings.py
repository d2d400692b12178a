"""What a post may point at: the other posts, the files of the site, the words of the repository."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from holdfast.blog.core.post import ARC


def _nothing(_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The site and the repository around a post."""

    pages: frozenset[str] = frozenset()
    """Paths below the site's root, ``/posts/flapping/``; those of drafts are not among them."""
    drafts: frozenset[str] = frozenset()
    """Paths that exist only while drafts are shown."""
    files: frozenset[str] = frozenset()
    """Below ``content/public``: ``/shots/console.png``."""
    headings: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Ids of the headings within a post, by its path; those of sections and parts are in every one."""
    quoted: Callable[[str], bool] = _nothing
    """Whether lines of code occur in one file of the repository: a program, its documentation or a configuration."""


NOWHERE = Surroundings()
"""No other post, no file, no repository."""


class Addressed(Protocol):
    """What has to be known of a post to judge links to it: a post, or what a build keeps of one."""

    @property
    def slug(self) -> str:
        """Of its page."""
        ...

    @property
    def draft(self) -> bool:
        """Whether it is shown in ``serve`` only."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Each has a page."""
        ...

    @property
    def companies(self) -> tuple[str, ...]:
        """Each has a page, too."""
        ...

    @property
    def redirect_from(self) -> tuple[str, ...]:
        """Former slugs; each leads to the post."""
        ...

    @property
    def headings(self) -> tuple[str, ...]:
        """Within its parts; each has an id."""
        ...


def around(
    posts: Sequence[Addressed],
    *,
    drills: Iterable[str] = (),
    files: Iterable[str] = (),
    quoted: Callable[[str], bool] = _nothing,
) -> Surroundings:
    """Surroundings of the posts of one site, which has a page for each post, tag and drill."""
    published = [post for post in posts if not post.draft]
    pages = {"/", "/tags/", "/evidence/", "/search/", "/feed.atom", "/feed.rss", "/feed.json", "/posts.json"}
    pages |= {f"/posts/{slug}/" for post in published for slug in (post.slug, *post.redirect_from)}
    pages |= {f"/companies/{kebab(company)}/" for post in published for company in post.companies}
    pages |= {f"/tags/{kebab(tag)}/" for post in published for tag in post.tags}
    pages |= {f"/evidence/{drill}/" for drill in drills}
    drafts = {f"/posts/{post.slug}/" for post in posts if post.draft}
    return Surroundings(
        pages=frozenset(pages),
        drafts=frozenset(drafts),
        files=frozenset(files),
        headings={f"/posts/{post.slug}/": frozenset(map(kebab, post.headings)) for post in posts},
        quoted=quoted,
    )


@lru_cache(maxsize=4096)
def kebab(text: str) -> str:
    """``stressTest`` and ``Stress test`` -> ``stress-test``; letters beyond ASCII stay, lower-case."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", text)
    return re.sub(r"[\W_]+", "-", apart).strip("-").lower()


SECTION_IDS = frozenset(
    {kebab(section.key) for section in ARC}
    | {f"{kebab(section.key)}-{kebab(part.key)}" for section in ARC for part in section.parts}
)
"""Ids that sections and parts have in a page: ``stress-test``, ``stress-test-breaking-point``."""
