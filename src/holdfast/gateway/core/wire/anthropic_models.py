"""What models of Anthropic's protocol can be asked for, told by their names; and what thinking costs.

The API says these things nowhere that a gateway could ask without a call, and it refuses a request that asks a model
for what it has not (status 400), so a translated request has to know. Names are looked at wherever the generation
stands in them, so that ``anthropic.claude-sonnet-4-5-20250929-v1:0`` and ``claude-opus-4-6@latest`` are found too.

==================  ==========  ========  =======  ======
generation          thinking    sampling  schemas  xhigh
==================  ==========  ========  =======  ======
Claude 2, 3, 3.5    none        yes       no       no
3.7, 4, 4.1         budget      yes       no       no
4.5                 budget      yes       yes      no
4.6                 adaptive    yes       yes      no
4.7 and later       adaptive    no        yes      yes
not Claude          budget      yes       yes      no
==================  ==========  ========  =======  ======

Sources: Anthropic's pages on extended thinking, adaptive thinking, effort and structured outputs; the flags of
LiteLLM's model map. Claude's names without a generation that is known here are taken for later ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

DEFAULT_MAX_TOKENS = 4096
"""For clients of protocols where nothing has to be said. LiteLLM's default too; every Claude since 3 can do it."""

MINIMUM_BUDGET = 1024
"""Least ``thinking.budget_tokens`` that the API accepts."""

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 27_904}
"""Tokens of thinking for OpenAI's efforts: the ones that Google documents for its own OpenAI-compatible endpoint, so
that an effort means the same wherever it lands. ``xhigh`` is what leaves :data:`DEFAULT_MAX_TOKENS` for the answer
within 32,000, the least output bound of a model that takes budgets (Opus 4)."""

_EFFORTS = ("low", "medium", "high")
"""What a budget is read as. Never ``xhigh``: most models of other providers refuse that word."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a request to a model may contain."""

    thinking: Literal["none", "budget", "adaptive"] = "budget"
    sampling: bool = True
    """``temperature``, ``top_p`` and ``top_k``."""
    schemas: bool = True
    """``output_config.format`` and strict tools."""
    top_effort: str = "max"
    """What ``xhigh`` is called there."""
    certain: bool = True
    """Whether the name tells; what a client of this protocol says to a model that nobody knows is not corrected."""


_GENERATION = re.compile(r"claude-(?:[a-z]+-)?v?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
"""``claude-3-7-sonnet``, ``claude-opus-4.1``, ``claude-sonnet-4-20250514`` (whose date is no part of it)."""


def abilities(model: str) -> Abilities:
    """What ``model`` can be asked for."""
    name = model.lower()
    if "claude" not in name:
        return Abilities(certain=False)
    found = _GENERATION.search(name)
    generation = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    if generation < (3, 7):
        return Abilities(thinking="none", schemas=False)
    if generation < (4, 5):
        return Abilities(schemas=False)
    if generation < (4, 6):
        return Abilities()
    if generation < (4, 7):
        return Abilities(thinking="adaptive")
    return Abilities(thinking="adaptive", sampling=False, top_effort="xhigh")


def budget_of(effort: str) -> int:
    """Tokens of thinking for an effort; words that nobody has heard of count as ``medium``, OpenAI's default."""
    return _BUDGETS.get(effort, _BUDGETS["medium"])


def effort_of(tokens: int) -> str:
    """The least effort whose budget is at least ``tokens``; ``high`` above all."""
    return next((effort for effort in _EFFORTS if tokens <= _BUDGETS[effort]), "high")
