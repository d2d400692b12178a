"""From a post to its HTML, or to everything that keeps it from being published."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Final

from holdfast.blog.core import numerals, prose
from holdfast.blog.core.drawing import Draughtsman, Unparsable
from holdfast.blog.core.fault import Fault
from holdfast.blog.core.post import Post, Prose, written_parts
from holdfast.blog.core.quoting import STAND_IN, Quotes
from holdfast.blog.core.reference import Readings
from holdfast.blog.core.site import Rendered
from holdfast.blog.core.source import unfit
from holdfast.blog.core.surroundings import NOWHERE, Surroundings
from holdfast.blog.core.write import unwritten
from holdfast.blog.errors import Refused

WORDS_PER_MINUTE: Final = 220
"""Silent reading of English prose: 238 words a minute on average, and technical text is slower (Brysbaert 2019)."""

_STYLING: Final = re.compile(r"^\s*(?:%%|classDef|class |style |linkStyle)")
"""Lines of Mermaid that no reader sees."""
_DECODED: Final = re.compile(r"&#?\w+;|#\w+;|</?[a-zA-Z]|`|\*\*|__|\u00ad|[\u200b-\u200f\u2060-\u2064\ufeff]")
"""What is drawn as something else than it is written."""


def render(
    post: Post,
    *,
    readings: Readings,
    draughtsman: Draughtsman,
    today: dt.date,
    base: str = "/",
    surroundings: Surroundings = NOWHERE,
    allow_stale: bool = False,
) -> Rendered:
    """Answer its references, judge its numbers and links, draw its figures, write its HTML.

    ``base`` is the path below which the site is served, with a slash at both ends. With ``allow_stale`` numbers of
    stale records are marked instead of refused. Raises :class:`~holdfast.blog.errors.Refused` with all faults.
    """
    faults: dict[Fault, None] = {}

    def report(line: int, message: str, remedy: str) -> None:
        faults[Fault(file=post.file, line=line, message=message, remedy=remedy)] = None

    quotes = Quotes(readings, report, base=base, allow_stale=allow_stale)
    page = prose.Page(
        slug=post.slug,
        quotes=quotes,
        readings=readings,
        draughtsman=draughtsman,
        surroundings=surroundings,
        report=report,
        base=base,
        draft=post.draft,
    )
    title = prose.plain_text(post.title, post.lines.get("title", 1), page)
    summary = prose.plain_text(post.summary, post.lines.get("summary", 1), page)
    _judge_front(post, page, today)
    parts = {key: _part(key, value, page) for key, value in written_parts(post)}
    shot = post.stress_test.screenshot
    caption = alt = ""
    if shot is not None:
        alt = prose.plain_text(shot.alt, shot.line, page)
        caption = prose.render_line(shot.caption.text, shot.caption.line, page)
        if shot.url not in surroundings.files:
            report(
                shot.line, f"the screenshot {shot.url} is no file of the site", f"put it at content/public{shot.url}"
            )
    prose.judge_anchors(page)
    if faults:
        raise Refused(sorted(faults))
    text = " ".join(" ".join((title, summary, *page.words)).split())
    return Rendered(
        post=post,
        parts=parts,
        summary=summary,
        title=title,
        caption=caption,
        screenshot_alt=alt,
        text=text,
        minutes=max(1, math.ceil(len(text.split()) / WORDS_PER_MINUTE)),
        readings=quotes.readings(),
    )


def _part(key: str, value: Prose | tuple[Prose, ...], page: prose.Page) -> str:
    if isinstance(value, tuple):
        return prose.render_list([(entry.text, entry.line) for entry in value], page)
    if key == "architecture.diagram":
        return _diagram(value, page)
    return prose.render_blocks(value.text, value.line, page)


def _diagram(source: Prose, page: prose.Page) -> str:
    lifted = page.quotes.lift(source.text, source.line)
    seen = "\n".join("" if _STYLING.match(line) else line for line in lifted.split("\n"))
    told = prose.judge_source(seen, source.line, page.report)
    if any(page.quotes.of(stand_in).missing for stand_in in STAND_IN.findall(lifted)):
        return ""
    name = f"{page.slug}-diagram"
    try:
        figure = page.draughtsman.diagram(page.quotes.plain(lifted), name=name)
        if wrong := unfit(figure.text):
            raise Unparsable(1, wrong, "remove what stands for it")
        # Mermaid reads entities and takes markup out of words, so what is drawn may hold more than the source.
        drawn = page.draughtsman.diagram(lifted, name=name) if _DECODED.search(lifted) else None
        for number in numerals.typed(drawn.written) if drawn is not None else ():
            if number.text not in told:
                page.report(source.line, f"the number {number.text!r} is typed by hand", numerals.NUMBER_REMEDY)
    except Unparsable as error:
        at = source.line + max(0, error.line - 1)
        page.report(at, f"the diagram does not parse: {error.message}", error.remedy)
        return ""
    page.words.append(figure.text)
    return figure.html


def _judge_front(post: Post, page: prose.Page, today: dt.date) -> None:
    """What only the whole site and the day can tell of the front matter."""
    if post.published_at > today and not post.draft:
        page.report(
            post.lines.get("publishedAt", 1),
            f"the post is dated {post.published_at}, and today is {today}",
            "set draft: true, or the day on which it is published",
        )
    if not post.draft:
        for line, text in unwritten(post):
            page.report(line, f"{text[:40]!r}... is what 'holdfast blog new' wrote", "write it, or set draft: true")
    for key, names in (("tags", post.tags), ("targetCompanies", post.target_companies)):
        for at, name in enumerate(names):
            prose.plain_text(name, post.lines.get(f"{key}.{at}", post.lines.get(key, 1)), page, names=True)
    for at, link in enumerate(post.links):
        line = post.lines.get(f"links.{at}", post.lines.get("links", 1))
        prose.plain_text(link.label, line, page)
        prose.resolve(link.url, line, page)
