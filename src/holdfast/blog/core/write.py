"""From a post to its file: the inverse of :func:`~holdfast.blog.core.parse.parse`, and the skeleton of a new one."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Final

from holdfast.blog.core import numerals
from holdfast.blog.core.post import ARC, Post, Prose, Screenshot, written_parts


def to_markdown(post: Post) -> str:
    """The file of a post. Reading it gives the same post, lines aside."""
    texts = dict(written_parts(post))
    lines = ["---", *_front(post), "---"]
    for section in ARC:
        lines += ["", f"## {section.title}"]
        if not section.parts:
            lines += ["", *_list(texts[section.key])]
        for part in section.parts:
            text = texts.get(f"{section.key}.{part.key}")
            if part.kind == "screenshot":
                if post.stress_test.screenshot is not None:
                    lines += ["", f"### {part.title}", "", *_screenshot(post.stress_test.screenshot)]
            elif isinstance(text, Prose):
                lines += ["", f"### {part.title}", "", *(_fenced(text.text) if part.kind == "diagram" else [text.text])]
            elif text is not None:
                lines += ["", f"### {part.title}", "", *_list(text)]
    return "\n".join(lines) + "\n"


def _front(post: Post) -> Iterator[str]:
    yield f"title: {_quoted(post.title)}"
    yield f"summary: {_quoted(post.summary)}"
    yield f"publishedAt: {post.published_at.isoformat()}"
    if post.target_companies:
        yield f"targetCompanies: [{', '.join(map(_quoted, post.target_companies))}]"
    yield f"tags: [{', '.join(map(_quoted, post.tags))}]"
    if post.links:
        yield "links:"
        for link in post.links:
            yield f"  - {{label: {_quoted(link.label)}, url: {_quoted(link.url)}}}"
    if post.draft:
        yield "draft: true"
    if post.redirect_from:
        yield f"redirectFrom: [{', '.join(post.redirect_from)}]"


def _quoted(text: str) -> str:
    """A JSON string is a YAML one."""
    return json.dumps(text, ensure_ascii=False)


def _list(entries: Prose | tuple[Prose, ...]) -> Iterator[str]:
    for entry in entries if isinstance(entries, tuple) else (entries,):
        first, *rest = entry.text.split("\n")
        yield f"- {first}"
        yield from (f"  {line}" if line else "" for line in rest)


def _fenced(source: str) -> list[str]:
    longest = max((len(run) for run in re.findall("`+", source)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}mermaid", source, fence]


def _screenshot(shot: Screenshot) -> list[str]:
    alt = re.sub(r"([\[\]\\])", r"\\\1", shot.alt)
    return [f"![{alt}]({shot.url})", "", shot.caption.text]


def skeleton(slug: str, *, title: str, today: dt.date) -> str:
    """A draft that has every part, and in each what belongs there. It passes every check."""
    made = slug.replace("-", " ").capitalize()
    title = title or ("Title" if numerals.typed(made) else made)
    return _SKELETON.format(title=_quoted(title), date=today.isoformat())


def unwritten(post: Post) -> Iterator[tuple[int, str]]:
    """Lines and texts of what stands as :func:`skeleton` wrote it."""
    given = {line.removeprefix("- ") for line in _SKELETON.splitlines()}
    if f"summary: {_quoted(post.summary)}" in given:
        yield post.lines.get("summary", 1), post.summary
    for _, texts in written_parts(post):
        for one in texts if isinstance(texts, tuple) else (texts,):
            if one.text in given:
                yield one.line, one.text


STEPS: Final = (
    "write each part of {file}; numbers come from records: {{ev:flapping.errors|int}}",
    "run 'holdfast blog check' until it has nothing to say",
    "remove 'draft: true', set publishedAt, and run 'holdfast blog build'",
)
"""How a post is published; shown by ``holdfast blog new`` and on the site's first page."""

_SKELETON: Final = """\
---
title: {title}
summary: "One sentence: what failed, what was done, what it changed."
publishedAt: {date}
targetCompanies: []
tags: [draft]
links: []
draft: true
---

## Hook

### Problem

What went wrong, as somebody on call saw it.

### Stakes

What it costs while it lasts, and whom.

## Architecture

### Summary

What there is, and where the decision lies that this post is about.

### Diagram

```mermaid
flowchart LR
  accTitle: Who asks whom
  accDescr: A client asks a service, which asks a backend.
  client[Client] --> service[Service]
  service --> backend[Backend]
```

### Components

- **Service**: what it does, and what it must not do.

## Stress test

### Setup

Which drill, which faults, which load, and what the control leaves out.

### Breaking point

Where it broke first, in numbers from the record.

### Evidence

- One number of a record, and what it means.

### What it does not show

What this run cannot tell, and what got worse.

## Bottleneck resolution

### Root cause

Why it broke there.

### Solution

What was changed, and how it decides now.

### Tradeoffs

- What it costs.

### Alternatives

- What else was tried, and why it was left.

## Business impact

- What somebody who pays for this notices.
"""
