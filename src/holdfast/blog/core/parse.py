"""From a file's text to a :class:`~holdfast.blog.core.post.Post`, or to everything that is wrong with its form.

::

    ---
    title: ...                    front matter (:mod:`~holdfast.blog.core.front`)
    ---
    ## Hook                       five sections in the order of ARC
    ### Problem                   with their parts in order
    Prose.
    ## Architecture
    ### Diagram
    ```mermaid                    one fence, and nothing beside it
    ...
    ### Components
    - one                         one list, and nothing beside it
    ## Stress test
    ### Screenshot
    ![what it shows](/shots/x.png)

    The paragraph beneath it is its caption.
    ## Business impact
    - one                         a section that is itself a list

Headings are those that Markdown sees: a ``##`` in a code fence is code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from holdfast.blog.core import markup
from holdfast.blog.core.fault import Fault
from holdfast.blog.core.front import SLUG_REMEDY, Report, read_front, valid_slug
from holdfast.blog.core.post import (
    ARC,
    Architecture,
    BottleneckResolution,
    Hook,
    Part,
    Post,
    Prose,
    Screenshot,
    StressTest,
)
from holdfast.blog.core.source import split
from holdfast.blog.errors import Refused

if TYPE_CHECKING:
    from markdown_it.token import Token

    from holdfast.blog.core.outline import Block

PROSE_LONGEST: Final = 20_000
"""Characters of one part."""
LIST_LONGEST: Final = 40
"""Entries of one list."""

_MARKER: Final = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?: {1,4}(?=\S)| |$)")
_IMAGE: Final = re.compile(
    r"!\[(?P<alt>(?:[^\]\\]|\\.)*)\]\(\s*(?P<url>\S+?)(?:\s+\"(?P<title>(?:[^\"\\]|\\.)*)\")?\s*\)\s*", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Block:
    """What stands under a heading."""

    title: str
    line: int
    """Of the heading, in the file."""
    first: int
    """First line beneath it, in the body, from 0."""
    end: int


def parse(text: str, *, file: str) -> Post:
    """Read a post. Raises :class:`~holdfast.blog.errors.Refused` with all faults of its form, in order of line.

    Numbers, links, diagrams and evidence are judged when it is rendered.
    """
    source = split(text, file=file)
    faults: list[Fault] = []

    def report(line: int, message: str, remedy: str) -> None:
        faults.append(Fault(file=file, line=line, message=message, remedy=remedy))

    slug = PurePosixPath(file).name.removesuffix(".md")
    if not valid_slug(slug):
        report(0, f"{slug!r} is not a slug", f"rename the file; {SLUG_REMEDY}")
    front = read_front(source.front, report=report)
    if slug in front.redirect_from:
        report(front.lines["redirectFrom"], "the post redirects to itself", f"remove {slug} from redirectFrom")
    parts = _Body(source.body, source.body_line, report).read()
    if faults:
        raise Refused(sorted(faults))
    return Post(
        slug=slug,
        file=file,
        title=front.title,
        summary=front.summary,
        published_at=front.published_at,
        target_companies=front.target_companies,
        tags=front.tags,
        links=front.links,
        draft=front.draft,
        redirect_from=front.redirect_from,
        lines=front.lines,
        hook=Hook(problem=parts.prose("hook.problem"), stakes=parts.prose("hook.stakes")),
        architecture=Architecture(
            summary=parts.prose("architecture.summary"),
            diagram=parts.prose("architecture.diagram"),
            components=parts.entries("architecture.components"),
        ),
        stress_test=StressTest(
            setup=parts.prose("stressTest.setup"),
            breaking_point=parts.prose("stressTest.breakingPoint"),
            evidence=parts.entries("stressTest.evidence"),
            not_shown=parts.prose("stressTest.notShown"),
            screenshot=parts.screenshot,
        ),
        bottleneck_resolution=BottleneckResolution(
            root_cause=parts.prose("bottleneckResolution.rootCause"),
            solution=parts.prose("bottleneckResolution.solution"),
            tradeoffs=parts.entries("bottleneckResolution.tradeoffs"),
            alternatives=parts.entries("bottleneckResolution.alternatives"),
        ),
        business_impact=parts.entries("businessImpact"),
    )


class _Parts:
    """What was found, by ``section.part``."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Prose, ...]] = {}
        self.screenshot: Screenshot | None = None

    def prose(self, key: str) -> Prose:
        return self.found[key][0]

    def entries(self, key: str) -> tuple[Prose, ...]:
        return self.found.get(key, ())


class _Body:
    """The sections, read from the headings that Markdown sees."""

    def __init__(self, body: str, first_line: int, report: Report) -> None:
        self._lines = body.split("\n")
        self._first_line = first_line
        self._report = report
        tokens = markup.blocks(body)
        self._tokens = [token for token in tokens if token.level == 0]
        self._entries = [
            token.map[0] for token in tokens if token.type == "list_item_open" and token.level == 1 and token.map
        ]
        self._parts = _Parts()

    def read(self) -> _Parts:
        sections = self._blocks("h2", 0, len(self._lines))
        for token in self._tokens:
            if token.type == "heading_open" and token.tag == "h1":
                self._report(self._at(token), "a heading of level 1", "the title stands in the front matter; use ##")
        before = min([section.first - 1 for section in sections], default=len(self._lines))
        self._nothing_between(0, before, "the first section", "move it beneath ## Hook")
        matched = self._match(sections, [section.title for section in ARC], "##", self._first_line, "the post")
        for section in ARC:
            block = matched.get(section.title)
            if block is None:
                continue
            if not section.parts:
                self._list(section.key, section.title, block)
                continue
            found = self._blocks("h3", block.first, block.end)
            before = min([part.first - 1 for part in found], default=block.end)
            self._nothing_between(
                block.first,
                before,
                f"the first part of {section.title}",
                f"move it beneath ### {section.parts[0].title}",
            )
            wanted = [part.title for part in section.parts]
            optional = {part.title for part in section.parts if not part.required}
            parts = self._match(found, wanted, "###", block.line, f"section {section.title}", optional)
            for part in section.parts:
                if part.title in parts:
                    self._part(f"{section.key}.{part.key}", part, parts[part.title])
        return self._parts

    def _at(self, token: Block | Token) -> int:
        return self._first_line + (token.map[0] if token.map else 0)

    def _blocks(self, tag: str, first: int, end: int) -> list[_Block]:
        """Blocks under headings of one level between two lines; text of the heading as it was typed."""
        opened: list[tuple[str, int, int]] = []
        for token in self._tokens:
            if token.type == "heading_open" and token.tag == tag and token.map and first <= token.map[0] < end:
                typed = self._lines[token.map[0]].strip()
                title = typed.lstrip("#").strip().rstrip("#").strip() if typed.startswith("#") else typed
                opened.append((" ".join(title.split()), token.map[0], token.map[1]))
        stops = [*(start for _, start, _ in opened), end]
        return [
            _Block(title, self._first_line + start, below, stops[place + 1])
            for place, (title, start, below) in enumerate(opened)
        ]

    def _nothing_between(self, first: int, end: int, what: str, remedy: str) -> None:
        for at in range(first, end):
            if self._lines[at].strip():
                self._report(self._first_line + at, f"text before {what}", remedy)
                return

    def _match(
        self,
        blocks: Sequence[_Block],
        wanted: Sequence[str],
        mark: str,
        line: int,
        where: str,
        optional: set[str] | None = None,
    ) -> dict[str, _Block]:
        """Blocks by title. What is unknown, doubled, missing or out of order is told, each once."""
        order = ", ".join(wanted)
        by_name = {title.casefold(): title for title in wanted}
        found: dict[str, _Block] = {}
        last = -1
        for block in blocks:
            title = by_name.get(block.title.casefold())
            if title is None:
                known = f"{where} has {order}, and nothing else"
                self._report(block.line, f"unknown heading {mark} {block.title}", f"remove or rename it: {known}")
            elif title in found:
                self._report(
                    block.line, f"{mark} {title} stands twice (line {found[title].line})", "join them under one heading"
                )
            else:
                found[title] = block
                place = wanted.index(title)
                if place < last:
                    self._report(block.line, f"{mark} {title} comes too late", f"put them in this order: {order}")
                last = max(last, place)
        for title in wanted:
            if title not in found and title not in (optional or ()):
                self._report(line, f"{where} has no {mark} {title}", f"add it; the order is {order}")
        return found

    def _part(self, key: str, part: Part, block: _Block) -> None:
        if part.kind == "list":
            self._list(key, part.title, block)
        elif part.kind == "diagram":
            self._diagram(key, block)
        elif part.kind == "screenshot":
            self._screenshot(block)
        else:
            self._prose(key, part.title, block)

    def _inside(self, block: _Block) -> list[Block | Token]:
        """Opening tokens of the blocks beneath a heading."""
        return [
            token
            for token in self._tokens
            if token.map and token.nesting >= 0 and token.type != "inline" and block.first <= token.map[0] < block.end
        ]

    def _text(self, first: int, end: int) -> tuple[str, int]:
        """Lines without the empty ones around them, and the line of the file where they begin."""
        while first < end and not self._lines[first].strip():
            first += 1
        while end > first and not self._lines[end - 1].strip():
            end -= 1
        return "\n".join(self._lines[first:end]), self._first_line + first

    def _prose(self, key: str, title: str, block: _Block) -> None:
        text, line = self._text(block.first, block.end)
        if not text:
            self._report(block.line, f"### {title} is empty", "write it")
        elif len(text) > PROSE_LONGEST:
            self._report(line, f"### {title} has {len(text):,} characters", f"keep it below {PROSE_LONGEST:,}")
        else:
            self._parts.found[key] = (Prose(text=text, line=line),)

    def _list(self, key: str, title: str, block: _Block) -> None:
        inside = self._inside(block)
        lists = [token for token in inside if token.type in {"bullet_list_open", "ordered_list_open"}]
        if len(lists) != 1 or len(inside) != 1:
            other = next((token for token in inside if token not in lists[:1]), None)
            self._report(
                self._at(other) if other and lists else block.line,
                f"{title} is not one list",
                "write it as one list, a line with - for each entry",
            )
            return
        begin, end = lists[0].map or (0, 0)
        starts = [at for at in self._entries if begin <= at < end]
        if len(starts) > LIST_LONGEST:
            self._report(block.line, f"{title} has {len(starts)} entries", f"keep it to {LIST_LONGEST}")
            return
        entries = []
        for start, stop in zip(starts, [*starts[1:], end], strict=True):
            entry = self._entry(start, stop)
            if not entry.text:
                self._report(entry.line, f"an entry of {title} is empty", "write it or remove the line")
            entries.append(entry)
        self._parts.found[key] = tuple(entries)

    def _entry(self, start: int, stop: int) -> Prose:
        """One entry without its marker and indentation."""
        marker = _MARKER.match(self._lines[start])
        width = marker.end() if marker else 0
        rest = [_dedented(line, width) for line in self._lines[start + 1 : stop]]
        text = "\n".join([self._lines[start][width:], *rest]).rstrip()
        return Prose(text=text, line=self._first_line + start)

    def _diagram(self, key: str, block: _Block) -> None:
        inside = self._inside(block)
        fences = [token for token in inside if token.type == "fence" and token.info.strip() == "mermaid"]
        if len(fences) != 1 or len(inside) != 1:
            self._report(
                block.line,
                "Diagram is not one ```mermaid fence",
                "write it as one fence; its words are accTitle and accDescr in it",
            )
            return
        source = fences[0].content.rstrip("\n")
        if not source.strip():
            self._report(block.line, "the diagram is empty", "draw one in Mermaid")
            return
        self._parts.found[key] = (Prose(text=source, line=self._at(fences[0]) + 1),)

    def _screenshot(self, block: _Block) -> None:
        text, line = self._text(block.first, block.end)
        match = _IMAGE.match(text)
        remedy = "write ![what it shows](/shots/name.png), and beneath it a paragraph that is its caption"
        if match is None:
            self._report(line if text else block.line, "Screenshot is not an image", remedy)
            return
        below = text[match.end() :]
        caption = below.strip() or (match["title"] or "").strip()
        if not match["alt"].strip():
            self._report(line, "the screenshot has no alternative text", "say between [ and ] what it shows")
        if below.strip() and match["title"]:
            self._report(line, "the screenshot has two captions", "keep the paragraph, remove the text in quotes")
        if not re.fullmatch(r"/[A-Za-z0-9._/-]+", match["url"]) or ".." in match["url"]:
            self._report(line, f"the screenshot {match['url']!r} is no file of the site", remedy)
        if not caption:
            self._report(line, "the screenshot has no caption", remedy)
        at = text[: match.end()].count("\n") + len(below) - len(below.lstrip("\n")) if below.strip() else 0
        self._parts.screenshot = Screenshot(
            url=match["url"],
            alt=" ".join(re.sub(r"\\([\[\]\\])", r"\1", match["alt"]).split()),
            caption=Prose(text=caption, line=line + at),
            line=line,
        )


def _dedented(line: str, width: int) -> str:
    spaces = len(line) - len(line.lstrip(" "))
    return line[min(spaces, width) :]
