"""Front matter: YAML with a fixed set of keys, each of a known kind and size."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import yaml

from holdfast.blog.core.post import Link
from holdfast.blog.core.source import unfit

Report = Callable[[int, str, str], None]
"""Takes a line of the file, what is wrong and the remedy."""

SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SLUG_LENGTHS: Final = range(3, 81)
KEYS: Final = ("title", "summary", "publishedAt", "targetCompanies", "tags", "links", "draft", "redirectFrom")
REQUIRED: Final = ("title", "summary", "publishedAt", "tags")
SCHEMES: Final = ("https://", "http://", "mailto:")
"""What a link may lead to besides this site; ``javascript:`` and ``data:`` are no addresses."""

TITLE_LONGEST: Final = 120
"""Characters. Result pages and cards cut titles near 70; longer ones are cut by us."""
SUMMARY_LONGEST: Final = 320
"""Characters. Descriptions are shown to about 160, in cards to 200."""
_LONGEST: Final = 16 * 1024
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C where PyYAML was built with it."""
_ITEMS: Final = 20
_NAME_LONGEST: Final = 60
_URL_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """The keys, typed; what was at fault has the emptiest value of its kind."""

    title: str
    summary: str
    published_at: dt.date
    target_companies: tuple[str, ...]
    tags: tuple[str, ...]
    links: tuple[Link, ...]
    draft: bool
    redirect_from: tuple[str, ...]
    lines: dict[str, int]
    """Line in the file of each key, and of entry 2 of a list as ``tags.2`` (from 0)."""


def valid_slug(slug: str) -> bool:
    """Lower-case ASCII letters, digits and single hyphens, 3 to 80 characters: the same on every file system."""
    return len(slug) in SLUG_LENGTHS and SLUG.fullmatch(slug) is not None


def read_front(text: str, *, report: Report, first_line: int = 2) -> FrontMatter:
    """Read the YAML between the fences. Everything wrong goes to ``report``; nothing is raised."""
    return _Reader(report, first_line).read(text)


class _Reader:
    """YAML as nodes, because only nodes know their lines, and because values of no other kind are to be made."""

    def __init__(self, report: Report, first_line: int) -> None:
        self._report = report
        self._first_line = first_line
        self._lines: dict[str, int] = {}

    def read(self, text: str) -> FrontMatter:
        values = self._mapping(text)
        for key in REQUIRED:
            if values is not None and key not in values:
                self._report(self._first_line - 1, f"the front matter has no {key}", f"add {key}: to it")
        nodes = values or {}
        date = self._date(nodes.get("publishedAt"))
        return FrontMatter(
            title=self._text(nodes.get("title"), "title", TITLE_LONGEST),
            summary=self._text(nodes.get("summary"), "summary", SUMMARY_LONGEST),
            published_at=date,
            target_companies=self._names(nodes.get("targetCompanies"), "targetCompanies"),
            tags=self._names(nodes.get("tags"), "tags"),
            links=self._links(nodes.get("links")),
            draft=self._boolean(nodes.get("draft")),
            redirect_from=self._slugs(nodes.get("redirectFrom")),
            lines=self._lines,
        )

    def _line(self, node: yaml.Node) -> int:
        return self._first_line + int(node.start_mark.line)

    def _mapping(self, text: str) -> dict[str, yaml.Node] | None:
        """The top level; ``None`` when it is none, and has been told."""
        if len(text) > _LONGEST:
            self._report(
                self._first_line, f"the front matter has {len(text):,} characters", f"keep it below {_LONGEST:,}"
            )
            return None
        try:
            # An alias repeats what it names, and aliases of aliases multiply.
            if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
                self._report(self._first_line, "the front matter has an alias (*name)", "write the value out")
                return None
            root = yaml.compose(text, Loader=_LOADER)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it nests too deeply"
            self._report(
                self._first_line + (mark.line if mark else 0),
                f"the front matter is not YAML ({problem})",
                "mend it; a text with a colon or a brace needs quotes",
            )
            return None
        if not isinstance(root, yaml.MappingNode):
            self._report(self._first_line, "the front matter is not a map of keys", "write KEY: VALUE lines")
            return None
        found: dict[str, yaml.Node] = {}
        for key, value in root.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name not in KEYS:
                self._report(self._line(key), f"unknown key {name!r}", f"use one of {', '.join(KEYS)}")
            elif name in found:
                self._report(self._line(key), f"{name} stands twice", "keep one of them")
            else:
                found[name] = value
                self._lines[name] = self._line(key)
        return found

    def _text(self, node: yaml.Node | None, name: str, longest: int) -> str:
        if node is None:
            return ""
        if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
            self._report(self._line(node), f"{name} is not a text", "write it on one line, in quotes")
            return ""
        text = " ".join(str(node.value).split())
        if wrong := unfit(text):
            self._report(self._line(node), f"{name}: {wrong}", "remove it")
            return ""
        if not text:
            self._report(self._line(node), f"{name} is empty", "write one")
        elif len(text) > longest:
            self._report(self._line(node), f"{name} has {len(text)} characters", f"keep it to {longest}")
        return text

    def _date(self, node: yaml.Node | None) -> dt.date:
        if node is None:
            return dt.date.min
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
                return dt.date.fromisoformat(text)
        except ValueError:
            pass
        self._report(self._line(node), f"publishedAt {text!r} is not a date", "write it as YYYY-MM-DD")
        return dt.date.min

    def _boolean(self, node: yaml.Node | None) -> bool:
        if node is None:
            return False
        if isinstance(node, yaml.ScalarNode) and node.value in {"true", "false"}:
            return str(node.value) == "true"
        self._report(self._line(node), "draft is neither true nor false", "write draft: true, or leave it out")
        return True

    def _items(self, node: yaml.Node | None, name: str) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._report(self._line(node), f"{name} is not a list", f"write {name}: [one, another]")
            return []
        if len(node.value) > _ITEMS:
            self._report(self._line(node), f"{name} has {len(node.value)} entries", f"keep it to {_ITEMS}")
        items = node.value[:_ITEMS]
        self._lines.update({f"{name}.{at}": self._line(item) for at, item in enumerate(items)})
        return list(items)

    def _names(self, node: yaml.Node | None, name: str) -> tuple[str, ...]:
        found: list[str] = []
        for item in self._items(node, name):
            text = self._text(item, f"an entry of {name}", _NAME_LONGEST)
            if text.casefold() in (one.casefold() for one in found):
                self._report(self._line(item), f"{text!r} stands twice in {name}", "remove one of them")
            elif text and not any(character.isalnum() for character in text):
                self._report(
                    self._line(item), f"{text!r} in {name} has no letter", "its page needs an address; name it"
                )
            elif text:
                found.append(text)
        return tuple(found)

    def _slugs(self, node: yaml.Node | None) -> tuple[str, ...]:
        found = []
        for item in self._items(node, "redirectFrom"):
            slug = item.value if isinstance(item, yaml.ScalarNode) else ""
            if valid_slug(slug):
                found.append(slug)
            else:
                self._report(self._line(item), f"redirectFrom: {slug!r} is not a slug", SLUG_REMEDY)
        return tuple(found)

    def _links(self, node: yaml.Node | None) -> tuple[Link, ...]:
        found = []
        for item in self._items(node, "links"):
            pairs = item.value if isinstance(item, yaml.MappingNode) else []
            given = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
            if set(given) != {"label", "url"}:
                self._report(
                    self._line(item), "a link is not {label, url}", "write - {label: Code, url: 'https://...'}"
                )
                continue
            label = self._text(given["label"], "label of a link", _NAME_LONGEST)
            url = self._text(given["url"], "url of a link", _URL_LONGEST)
            if url and (url.startswith("//") or not url.startswith((*SCHEMES, "/"))):
                self._report(self._line(given["url"]), f"{url!r} is no address", "begin it with https:// or /posts/")
            elif label and url:
                found.append(Link(label=label, url=url))
        return tuple(found)


SLUG_REMEDY: Final = "use lower-case letters, digits and hyphens, 3 to 80 characters: redis-outage"
