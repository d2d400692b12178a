"""What the scripted provider served, by its own count. A gateway's books are compared with these."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

State = Literal["open", "finished", "cancelled", "cut", "refused"]
"""``cut``: ended by a fault of ours; ``refused``: answered with an error before anything was produced."""
KEPT: Final = 100_000
"""Entries, about 500 bytes each; the oldest go first, and the totals still count them."""


class Entry(msgspec.Struct, kw_only=True, gc=False):
    """One attempt. Tokens are counted when they are handed to the socket, not when they were asked for."""

    number: int
    attempt: str
    """``x-holdfast-attempt``, else ``x-request-id``, else the number."""
    protocol: str
    kind: str
    model: str
    started: float
    """Seconds of :func:`time.monotonic`, which all processes of one machine share."""
    wall: float
    state: State = "open"
    status: int = 0
    """Of the answer; 0 when none began."""
    stream: bool = False
    prompt_tokens: int = 0
    """Of the request, whatever became of it."""
    tokens_in: int = 0
    """Those that a provider would charge for: ``prompt_tokens`` once an answer has begun with success."""
    tokens_out: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    """Part of ``tokens_out``, when the answer was complete."""
    frames: int = 0
    body_bytes: int = 0
    fault: str = ""
    first_token_s: float | None = None
    ended_s: float | None = None
    """Both since ``started``."""
    cancel_seen: float | None = None
    """Seconds of :func:`time.monotonic`, when the client's FIN or RST was noticed; nothing was produced after it."""


class MockLedger:
    """The last ``kept`` attempts in order of arrival, and totals over all of them, which cost nothing to ask for."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._open: dict[int, Entry] = {}
        self._number = 0
        self.most_in_flight = 0
        self.connections = 0
        self.requests = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.states: Counter[str] = Counter()
        self.models: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Entry]:
        """Oldest first."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> Entry:
        """The newest one. Raises ``IndexError``."""
        return self._entries[-1]

    @property
    def in_flight(self) -> int:
        """Attempts that are being answered."""
        return len(self._open)

    def open(self, attempt: str, protocol: str, kind: str, model: str, *, now: float, wall: float) -> Entry:
        """An attempt has arrived."""
        self._number += 1
        self.requests += 1
        self.models[model] += 1
        entry = Entry(
            number=self._number,
            attempt=attempt or str(self._number),
            protocol=protocol,
            kind=kind,
            model=model,
            started=now,
            wall=wall,
        )
        self._entries.append(entry)
        self._open[entry.number] = entry
        self.most_in_flight = max(self.most_in_flight, len(self._open))
        return entry

    def begun(self, entry: Entry) -> None:
        """The head of its answer was sent: from here on a provider charges for the prompt."""
        if entry.status == 200:
            entry.tokens_in = entry.prompt_tokens
            self.tokens_in += entry.tokens_in

    def produced(self, entry: Entry, tokens: int, *, now: float) -> None:
        """Output tokens were handed to the socket."""
        if entry.first_token_s is None:
            entry.first_token_s = round(now - entry.started, 6)
        entry.tokens_out += tokens
        self.tokens_out += tokens

    def close(self, entry: Entry, state: State, *, now: float) -> None:
        """It is over; only the first word about it counts."""
        if entry.state == "open":
            entry.state = state
            entry.ended_s = round(now - entry.started, 6)
            del self._open[entry.number]
            self.states[state] += 1

    def lines(self, since: int = 0) -> bytes:
        """JSON lines of what came after entry ``since``."""
        return msgspec.json.Encoder().encode_lines([entry for entry in self._entries if entry.number > since])

    def stats(self) -> dict[str, Any]:
        """Totals since the start, or since :meth:`clear`."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "connections": self.connections,
            "cancelled": self.states["cancelled"],
            "states": dict(self.states),
            "models": dict(self.models),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
        }

    def clear(self) -> None:
        """Forget all but what is in flight."""
        kept = self._open.values()
        self._entries.clear()
        self._entries.extend(kept)
        self.requests = self.most_in_flight = len(kept)
        self.tokens_in = sum(entry.tokens_in for entry in kept)
        self.tokens_out = sum(entry.tokens_out for entry in kept)
        self.states.clear()
        self.models = Counter(entry.model for entry in kept)
