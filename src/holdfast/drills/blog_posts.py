"""Posts that nobody wrote: seeded prose with the parts of a real one, for our engine and for Hugo."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from random import Random
from typing import Final

_WORDS: Final = (
    *("request", "backend", "breaker", "probe", "latency", "queue", "worker", "budget", "retry", "pool", "window"),
    *("damping", "selection", "answer", "client", "fault", "record", "drill", "metric", "cause", "cost", "trade"),
    *("path", "load", "limit", "share", "lease", "region", "incident", "page", "alert", "monitor", "deploy", "price"),
    *("network", "socket", "kernel", "process", "memory", "cache", "store", "tenant", "token", "gateway", "model"),
    *("prompt", "stream", "event", "signal", "timeout", "deadline", "clock", "seed", "sample", "control", "claim"),
    *("proof", "rule", "weight", "score", "estimate", "rank", "choice", "hash", "ring", "shard", "leader", "vote"),
    *("quorum", "log", "replay", "snapshot", "index", "scan"),
)
_TAGS: Final = _WORDS[:30]
_COMPANIES: Final = ("HAProxy", "Cloudflare", "Fastly", "Stripe", "Shopify")
_FIRST_DAY: Final = dt.date(2020, 1, 1)
_CODE: Final = '''```python
def pick(backends, rng):
    left, right = rng.sample(backends, k)
    return min(left, right, key=estimate)  # the less loaded of two


class Budget:
    """Retries are a share of requests."""

    def __init__(self, share):
        self.share = share
```'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One of them."""

    slug: str
    title: str
    summary: str
    published: dt.date
    tags: tuple[str, ...]
    companies: tuple[str, ...]
    body: str
    """Markdown from the first heading on."""

    def ours(self) -> str:
        """The file as our engine reads it."""
        return self._file("summary", "publishedAt", "targetCompanies")

    def hugo(self) -> str:
        """The file as Hugo reads it."""
        return self._file("description", "date", "companies")

    def _file(self, summary: str, published: str, companies: str) -> str:
        return (
            f'---\ntitle: "{self.title}"\n{summary}: "{self.summary}"\n{published}: {self.published.isoformat()}\n'
            f"{companies}: [{', '.join(self.companies)}]\ntags: [{', '.join(self.tags)}]\n---\n\n{self.body}"
        )


def posts(count: int, seed: int) -> list[Post]:
    """The same for the same seed; one a day, each about four minutes to read."""
    rng = Random(seed)
    return [_post(number, rng) for number in range(count)]


def sentence(rng: Random) -> str:
    """Words in a row."""
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(8, 18))).capitalize() + "."


def _post(number: int, rng: Random) -> Post:
    letters = "".join("abcdefghij"[int(digit)] for digit in f"{number:04}")  # a digit in a title would need evidence
    return Post(
        slug=f"post-{letters}",
        title=" ".join(rng.choice(_WORDS) for _ in range(5)).capitalize(),
        summary=sentence(rng),
        published=_FIRST_DAY + dt.timedelta(days=number),
        tags=tuple(rng.sample(_TAGS, 3)),
        companies=tuple(rng.sample(_COMPANIES, 2)),
        body=_body(rng),
    )


def _body(rng: Random) -> str:
    def paragraph() -> str:
        return " ".join(sentence(rng) for _ in range(rng.randint(3, 5)))

    def items(count: int) -> str:
        return "\n".join(f"- **{rng.choice(_WORDS).capitalize()}**: {sentence(rng)}" for _ in range(count))

    def diagram() -> str:
        one, two, three, four = rng.sample(_WORDS, 4)
        return f"```mermaid\nflowchart LR\n  {one} --> {two}\n  {two} --> {three}\n  {two} --> {four}\n```"

    sections = {
        "Hook": {"Problem": paragraph(), "Stakes": paragraph()},
        "Architecture": {
            "Summary": f"{paragraph()}\n\n{paragraph()}",
            "Diagram": diagram(),
            "Components": items(5),
        },
        "Stress test": {
            "Setup": f"{paragraph()}\n\n{_CODE}",
            "Breaking point": paragraph(),
            "Evidence": items(3),
            "What it does not show": paragraph(),
        },
        "Bottleneck resolution": {"Root cause": paragraph(), "Solution": paragraph(), "Tradeoffs": items(3)},
    }
    lines = []
    for section, parts in sections.items():
        lines.append(f"## {section}\n")
        lines += [f"### {part}\n\n{text}\n" for part, text in parts.items()]
    return "\n".join([*lines, f"## Business impact\n\n{items(3)}\n"])
