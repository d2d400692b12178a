"""The last requests, for the question why one of them went as it did."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from holdfast.gateway.core.money import usd
from holdfast.web.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.gateway.core.seen import Seen, SeenAttempt

KEPT: Final = 1000
"""Some 2 kB each. A second at full load, hours on a quiet day; what is older is in the request log."""


class Recent:
    """A ring of what is known of requests that are over."""

    def __init__(self, kept: int = KEPT) -> None:
        self._seen: deque[Seen] = deque(maxlen=kept)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._seen)

    def add(self, seen: Seen) -> None:
        """Keep one; the oldest makes room."""
        self._seen.append(seen)

    def find(self, request: str, tenant: str) -> Seen | None:
        """The latest with this id, of this tenant: clients choose ids, and another's may be the same."""
        return next((seen for seen in self._of(tenant) if seen.request == request), None)

    def latest(self, tenant: str, limit: int) -> list[Seen]:
        """Newest first."""
        found = self._of(tenant)
        return [seen for _, seen in zip(range(limit), found, strict=False)]

    def _of(self, tenant: str) -> Iterator[Seen]:
        return (seen for seen in reversed(self._seen) if seen.holder is not None and seen.holder.tenant == tenant)


def told(seen: Seen) -> dict[str, Any]:
    """A request in figures and words; JSON values only."""
    holder = seen.holder
    costs = [each.cost_nano for each in seen.attempts]
    known = [cost for cost in costs if cost is not None]
    return {
        "request": seen.request,
        "began": timestamp(seen.wall),
        "kind": seen.kind,
        "protocol": seen.protocol,
        "model": seen.model,
        "key": None if holder is None else holder.key_id,
        "team": None if holder is None else holder.team,
        "user": None if holder is None else holder.user,
        "stream": seen.stream,
        "status": seen.status,
        "reason": seen.reason or None,
        "message": seen.message or None,
        "cache": seen.cache or None,
        "queued_s": round(seen.queued_s, 4),
        "first_byte_s": None if seen.first_byte_s is None else round(seen.first_byte_s, 4),
        "duration_s": round(seen.duration_s, 4),
        "client_left": seen.client_left,
        "cost_nano": sum(known),
        "cost": usd(sum(known)),
        "unpriced": len(costs) - len(known),
        "attempts": [_attempt(each) for each in seen.attempts],
        "findings": [
            {"rule": each.rule, "action": each.action, "where": each.where, "score": each.score}
            for each in seen.findings
        ],
        "summary": _summary(seen),
    }


def _attempt(attempt: SeenAttempt) -> dict[str, Any]:
    usage, first = attempt.usage, attempt.first_token_s
    return {
        "attempt": attempt.id,
        "deployment": attempt.deployment,
        "why": attempt.why,
        "hedge": attempt.hedge,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "message": attempt.message or None,
        "began_s": round(attempt.began_s, 4),
        "first_token_s": None if first is None else round(first, 4),
        "duration_s": round(attempt.duration_s, 4),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated,
        "cost_nano": attempt.cost_nano,
    }


def _summary(seen: Seen) -> str:
    """For three in the morning."""
    if seen.cache and not seen.attempts:
        return f"It was answered from the cache ({seen.cache})."
    if not seen.attempts:
        return f"It reached no deployment: {seen.reason or 'no attempt was needed'}."
    steps = []
    for attempt in seen.attempts:
        how = "answered" if attempt.outcome == "ok" else attempt.outcome
        steps.append(f"{attempt.deployment}{' (hedge)' if attempt.hedge else ''} {how}")
    text = f"{', then '.join(steps)}."
    if seen.reason:
        text += f" The client was told {seen.reason}."
    elif seen.client_left:
        text += " The client left before the end."
    return text
