"""Markdown to HTML, judged on the way: every kind of token is known here, and what is not known is refused.

What stands in the HTML was escaped by this module; authors cannot write HTML, styles or scripts.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from holdfast.blog.core import markup, numerals
from holdfast.blog.core.drawing import Draughtsman, Unparsable
from holdfast.blog.core.front import SCHEMES, Report
from holdfast.blog.core.numerals import NUMBER_REMEDY
from holdfast.blog.core.quoting import STAND_IN, Quotes
from holdfast.blog.core.reference import Readings, Unbacked
from holdfast.blog.core.surroundings import SECTION_IDS, Surroundings, kebab

if TYPE_CHECKING:
    from markdown_it.token import Token
    from pygments.lexer import Lexer

CODE_REMEDY: Final = "quote code as it stands in the repository, or take the number from a record, {ev:drill.metric}"

_PLAIN: Final = {
    "paragraph_open": "<p>",
    "paragraph_close": "</p>\n",
    "bullet_list_open": "<ul>\n",
    "bullet_list_close": "</ul>\n",
    "ordered_list_open": "<ol>\n",
    "ordered_list_close": "</ol>\n",
    "list_item_open": "<li>",
    "list_item_close": "</li>\n",
    "blockquote_open": "<blockquote>\n",
    "blockquote_close": "</blockquote>\n",
    "table_close": "</table></div>\n",
    "thead_open": "<thead>\n",
    "thead_close": "</thead>\n",
    "tbody_open": "<tbody>\n",
    "tbody_close": "</tbody>\n",
    "tr_open": "<tr>",
    "tr_close": "</tr>\n",
    "th_close": "</th>",
    "td_close": "</td>",
    "hr": "<hr>\n",
    "em_open": "<em>",
    "em_close": "</em>",
    "strong_open": "<strong>",
    "strong_close": "</strong>",
    "softbreak": "\n",
    "hardbreak": "<br>\n",
    "link_close": "</a>",
}
_UNNUMBERED: Final = re.compile(r"-\d+$")
"""What tells headings of the same words apart."""
_ERROR_SPAN: Final = re.compile(rf'<span class="err">({STAND_IN.pattern})</span>')
_DEAD_LINK: Final = re.compile(r"\]\(|\]\[[^\]]*\]|<[A-Za-z][A-Za-z0-9+.-]+:[^\s>]*>")
"""What Markdown left as it was, and its author took for a link."""
_FORMATTER: Final[HtmlFormatter[str]] = HtmlFormatter(nowrap=True)


@dataclass(slots=True)
class Page:
    """What the parts of one post share while it is rendered."""

    slug: str
    quotes: Quotes
    readings: Readings
    draughtsman: Draughtsman
    surroundings: Surroundings
    report: Report
    base: str
    draft: bool
    ids: set[str] = field(default_factory=lambda: set(SECTION_IDS))
    anchors: list[tuple[str, int]] = field(default_factory=list)
    """Links within the page, to be judged when all ids are known."""
    charts: int = 0
    tables: int = 0
    words: list[str] = field(default_factory=list)
    """What is read, without code."""


def render_blocks(text: str, line: int, page: Page) -> str:
    """A part in Markdown that begins on ``line`` of its file."""
    lifted = page.quotes.lift(text, line)
    return _Renderer(page, line).blocks(_tokens(lifted, line, page)) + _sources(lifted, page)


def render_list(entries: Sequence[tuple[str, int]], page: Page) -> str:
    """A part that is a list. An entry of one paragraph stands without ``<p>``."""
    written = []
    everything = []
    for text, line in entries:
        lifted = page.quotes.lift(text, line)
        everything.append(lifted)
        inner = _Renderer(page, line).blocks(_tokens(lifted, line, page))
        if inner.count("<p>") == 1 and inner.startswith("<p>") and inner.endswith("</p>\n"):
            inner = inner[3:-5]
        written.append(f"<li>{inner}</li>\n")
    return f"<ul>\n{''.join(written)}</ul>\n" + _sources("".join(everything), page)


def render_line(text: str, line: int, page: Page) -> str:
    """A caption: one paragraph, without ``<p>``."""
    lifted = page.quotes.lift(text, line)
    tokens = _tokens(lifted, line, page)
    if [token.type for token in tokens] != ["paragraph_open", "inline", "paragraph_close"]:
        page.report(line, "a caption is not one paragraph", "write it as one")
    return _Renderer(page, line).blocks(tokens[1:2]) + _sources(lifted, page)


def _tokens(lifted: str, line: int, page: Page) -> Sequence[Token]:
    found = markup.tokens(lifted)
    if markup.too_deep(found):
        page.report(line, f"more than {markup.DEEPEST} levels within each other", "write it flat")
    return found


def plain_text(text: str, line: int, page: Page, *, names: bool = False) -> str:
    """A text without markup (a title, alternative text): its references answered, its numbers judged."""
    lifted = page.quotes.lift(text, line)
    _judge_numbers(lifted, lambda _: line, page.report, names=names)
    return page.quotes.plain(lifted)


def judge_source(text: str, line: int, report: Report) -> tuple[str, ...]:
    """Numbers in the words of a diagram or chart; its references have been lifted. Gives what it told."""
    found = []
    for at, one in enumerate(text.split("\n")):
        found += _judge_numbers(one, lambda _, at=at: line + at, report)  # type: ignore[misc]
    return tuple(found)


def _judge_numbers(text: str, line_of: Callable[[int], int], report: Report, *, names: bool = False) -> list[str]:
    numbers = numerals.typed(text, names=names)
    for number in numbers:
        report(line_of(number.start), f"the number {number.text!r} is typed by hand", NUMBER_REMEDY)
    return [number.text for number in numbers]


def _sources(lifted: str, page: Page) -> str:
    facts = page.quotes.sources(lifted)
    if not facts:
        return ""
    told = "".join(f"<li><b>{escape(value)}</b>: {_linkified(source)}</li>" for value, source in facts.items())
    return f'<div class="sources"><ul>{told}</ul></div>\n'


def _linkified(source: str) -> str:
    return re.sub(r"https://[^\s<>\"]+[^\s<>\".,;:)]", lambda m: f'<a href="{m[0]}">{m[0]}</a>', escape(source))


@cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False)


class _Renderer:
    """One part. ``line`` is where it begins in the file; maps of tokens count from there."""

    def __init__(self, page: Page, line: int) -> None:
        self._page = page
        self._line = line
        self._tight: list[bool] = []

    def blocks(self, tokens: Sequence[Token]) -> str:
        out: list[str] = []
        at = self._line
        for place, token in enumerate(tokens):
            if token.map:
                at = self._line + token.map[0]
            kind = token.type
            if token.hidden:  # the paragraphs of a tight list
                continue
            if kind == "inline":
                out.append(self._inline(token.children or [], at))
            elif kind == "fence":
                out.append(self._fence(token, at))
            elif kind == "code_block":
                self._page.report(at, "code by indentation", "put it between ``` lines, with its language")
            elif kind == "heading_open":
                out.append(self._heading(token, tokens[place + 1], at))
            elif kind == "heading_close":
                out.append(f"</{token.tag}>\n")
            elif kind in {"th_open", "td_open"}:
                out.append(self._cell(token))
            elif kind == "table_open":  # landmarks of one page have names of their own
                self._page.tables += 1
                name = f"Table {self._page.tables}"
                out.append(f'<div class="table" role="region" aria-label="{name}" tabindex="0"><table>\n')
            elif kind == "html_block":
                self._html(token.content, at)
            elif kind in _PLAIN:
                if kind == "ordered_list_open" and token.attrGet("start") not in {None, 1}:
                    self._page.report(at, f"a list begins at {token.attrGet('start')}", "begin it at 1")
                out.append(_PLAIN[kind])
            else:
                self._page.report(at, f"{kind} is no Markdown that posts have", "write it in another way")
        return "".join(out)

    def _html(self, content: str, at: int) -> None:
        shown = " ".join(content.split())[:60]
        self._page.report(at, f"HTML in Markdown: {shown!r}", "write Markdown; what is code goes between backticks")

    def _heading(self, token: Token, inline: Token, at: int) -> str:
        if token.tag in {"h1", "h2", "h3"}:
            self._page.report(at, f"a heading of level {token.tag[1]} inside a part", "use #### or deeper")
        wanted = kebab(self._page.quotes.plain("".join(child.content for child in inline.children or []))) or "heading"
        name, number = wanted, 2
        while name in self._page.ids:
            name, number = f"{wanted}-{number}", number + 1
        self._page.ids.add(name)
        return f'<{token.tag} id="{escape(name)}">'

    def _cell(self, token: Token) -> str:
        align = str(token.attrGet("style") or "").removeprefix("text-align:")
        scope = ' scope="col"' if token.tag == "th" else ""
        return (
            f'<{token.tag}{scope} class="{align}">' if align in {"left", "center", "right"} else f"<{token.tag}{scope}>"
        )

    # ------------------------------------------------------------ code and charts

    def _fence(self, token: Token, at: int) -> str:
        language = token.info.strip().split(" ")[0]
        if token.map is not None and not token.content and token.map[1] - token.map[0] < 2:
            self._page.report(at, "a fence does not end", "close it with ```")
        if language == "chart":
            return self._chart(token.content, at)
        if language == "mermaid":
            self._page.report(at, "a diagram outside its part", "draw it beneath ### Diagram")
            return ""
        self._judge_code(token.content, at + 1)
        code = escape(token.content)
        if language:
            try:
                code = highlight(token.content, _lexer(language), _FORMATTER)
            except ClassNotFound:
                self._page.report(
                    at, f"no highlighting for {language!r}", "use a language that Pygments knows, or text"
                )
        code = self._page.quotes.fill(_ERROR_SPAN.sub(r"\1", code))
        kind = f' class="language-{escape(language)}"' if language else ""
        return f'<pre class="code" tabindex="0"><code{kind}>{code}</code></pre>\n'

    def _judge_code(self, code: str, at: int) -> None:
        """Code that begins on line ``at``: what holds numbers has to be quoted, and from one place."""
        quoted = self._page.surroundings.quoted
        quotations: list[str] = []
        for offset, line in enumerate(code.split("\n")):
            text = numerals.without_comment(line.strip())
            # References split a line; what stands around them has to be quoted.
            held = [part.strip() for part in STAND_IN.split(text) if numerals.typed_in_code(part.strip())]
            if all(quoted(part) for part in held):
                quotations += held
                continue
            message = f"the code {text[:60]!r} holds a number and is not of this repository"
            self._page.report(at + offset, message, CODE_REMEDY)
            return
        if len(quotations) > 1 and not quoted("\n".join(quotations)):
            message = f"no file of this repository has {quotations[0][:40]!r} together with what follows it"
            self._page.report(at, message, CODE_REMEDY)

    def _chart(self, lifted: str, at: int) -> str:
        self._page.charts += 1
        name = f"{self._page.slug}-chart-{self._page.charts}"
        told = judge_source(lifted, at + 1, self._page.report)
        if told or any(self._page.quotes.of(stand_in).missing for stand_in in STAND_IN.findall(lifted)):
            return ""  # it has been told which number is typed or missing
        try:
            figure = self._page.draughtsman.chart(
                self._page.quotes.written(lifted), name=name, readings=self._page.readings
            )
        except Unparsable as error:
            self._page.report(at + error.line, f"the chart does not parse: {error.message}", error.remedy)
            return ""
        except Unbacked as error:
            what, _, remedy = str(error).partition("; ")
            self._page.report(at, f"the chart: {what}", remedy or "'holdfast drill list' shows the drills")
            return ""
        self._page.quotes.add(figure.readings, at)
        self._page.words.append(figure.text)
        return figure.html

    # ------------------------------------------------------------ within a paragraph

    def _inline(self, children: Sequence[Token], at: int) -> str:
        out: list[str] = []
        seen: list[str] = []  # the text as it is judged: invisible marks where markup begins or ends
        starts: list[int] = []  # offset in it of each line
        words: list[str] = []
        linked = 0
        length = 0
        for token in children:
            kind = token.type
            mark = numerals.BREAK
            if kind == "text":
                auto = linked == 2
                out.append(self._page.quotes.html(token.content, linked=linked == 0))
                mark = "\ufffc" if auto else token.content
                words.append(token.content)
                if _DEAD_LINK.search(token.content):
                    self._page.report(
                        at, f"{token.content.strip()[:60]!r} is no link", "mend its address, or define it in this part"
                    )
            elif kind in {"softbreak", "hardbreak"}:
                out.append(_PLAIN[kind])
                words.append(" ")
                at += 1
                starts.append(length + 1)
                mark = "\n"
            elif kind == "code_inline":
                if numerals.in_words(token.content):  # a figure between backticks is one, too
                    self._page.report(at, f"the number in {token.content[:60]!r} is typed by hand", NUMBER_REMEDY)
                elif not numerals.status_code(token.content):
                    self._judge_code(token.content, at)
                out.append(f"<code>{self._page.quotes.html(token.content, linked=linked == 0)}</code>")
                words.append(token.content)
                mark = numerals.beside(token.content)
            elif kind == "link_open":
                linked = 2 if token.info == "auto" else 1
                out.append(self._link(token, at))
            elif kind == "link_close":
                linked = 0
                out.append(_PLAIN[kind])
            elif kind == "image":
                out.append(self._image(token, at))
                mark = "\ufffc"
            elif kind == "html_inline":
                self._html(token.content, at)
            elif kind in _PLAIN:
                out.append(_PLAIN[kind])
            else:
                self._page.report(at, f"{kind} is no Markdown that posts have", "write it in another way")
            seen.append(mark)
            length += len(mark)
        first = at - len(starts)
        _judge_numbers("".join(seen), lambda offset: first + bisect_right(starts, offset), self._page.report)
        self._page.words.append(self._page.quotes.plain("".join(words)))
        return "".join(out)

    def _link(self, token: Token, at: int) -> str:
        href = str(token.attrGet("href") or "")
        title = str(token.attrGet("title") or "")
        _judge_numbers(title, lambda _: at, self._page.report)
        shown = f' title="{escape(self._page.quotes.plain(title))}"' if title else ""
        return f'<a href="{escape(resolve(href, at, self._page))}"{shown}>'

    def _image(self, token: Token, at: int) -> str:
        src = str(token.attrGet("src") or "")
        # The alternative text of an image is the text of what stands between its brackets.
        lifted = "".join(child.content if child.type != "softbreak" else " " for child in token.children or [])
        title = str(token.attrGet("title") or "")
        _judge_numbers(lifted, lambda _: at, self._page.report)
        _judge_numbers(title, lambda _: at, self._page.report)
        alt = self._page.quotes.plain(lifted).strip()
        if not alt:
            self._page.report(at, f"the image {src} has no alternative text", "say between [ and ] what it shows")
        if src not in self._page.surroundings.files:
            self._page.report(
                at,
                f"the image {src} is no file of the site",
                f"put it at content/public{src if src[:1] == '/' else ''}",
            )
        shown = f' title="{escape(self._page.quotes.plain(title))}"' if title else ""
        return f'<img src="{escape(self._page.base + src.lstrip("/"))}" alt="{escape(alt)}"{shown} loading="lazy">'


def resolve(href: str, at: int, page: Page) -> str:
    """Where a link leads, below the site's base. What leads nowhere is told."""
    if STAND_IN.search(unquote(href)) or STAND_IN.search(href):
        page.report(at, "a reference in the address of a link", "write the address out")
        return "#"
    if href.startswith("#"):
        page.anchors.append((unquote(href[1:]), at))
        return href
    if href.lower().startswith(SCHEMES):
        if re.match(r"(?i)(?:https?://(?:[^/?#]*@)?[^\W_]|mailto:[^@\s]+@[^@\s])", href) is None:
            page.report(at, f"the link {href!r} names no host", "write the whole address")
        return href
    path = unquote(re.split(r"[#?]", href, maxsplit=1)[0])
    if not href.startswith("/") or href.startswith("//"):
        page.report(
            at,
            f"the link {href!r} leads nowhere",
            "begin it with https://, with /posts/ or another path of the site, or with #",
        )
        return "#"
    known = page.surroundings
    if path in known.pages or path in known.files or (page.draft and path in known.drafts):
        if not _leads_to_an_id(path, unquote(href.partition("#")[2]), known):
            page.report(at, f"the link {href} leads to no heading of that post", f"link to {path}#stress-test or such")
        return page.base + href[1:]
    if path in known.drafts:
        page.report(at, f"the link {href} leads to a draft", "publish that post first, or remove the link")
    elif f"{path}/" in known.pages:
        page.report(at, f"the link {href} leads nowhere", f"write {path}/")
    else:
        page.report(at, f"the link {href} leads nowhere", "no page of the site and no file of content/public is there")
    return "#"


def _leads_to_an_id(path: str, name: str, known: Surroundings) -> bool:
    """Whether a part of a post is there; other pages are not looked into."""
    headings = known.headings.get(path)
    if not name or headings is None or name in SECTION_IDS or name in headings:
        return True
    slug = path.rstrip("/").rpartition("/")[2]
    return _UNNUMBERED.sub("", name) in headings | {f"{slug}-diagram", f"{slug}-chart"}


def judge_anchors(page: Page) -> None:
    """Links within the page, once all parts are there."""
    for name, line in page.anchors:
        if name not in page.ids:
            page.report(line, f"the link #{name} leads nowhere", f"link to one of {', '.join(sorted(page.ids)[:30])}")
