"""The plan of faults of a process: what goes wrong without being asked for, how often, and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from holdfast.gateway.shell.mock.orders import BadOrder, parse

_LIMITS: Final = ("share", "count", "model")
ACCEPT: Final = "reset_at_accept"


@dataclass(slots=True, kw_only=True)
class Fault:
    """Orders that some requests get."""

    orders: Mapping[str, Any]
    text: str
    at_accept: bool = False
    """The connection is reset before a request was read."""
    share: float = 1.0
    """Probability."""
    left: int | None = None
    """How many more times."""
    model: str | None = None
    served: int = field(default=0)
    """How many times it struck."""


def parse_fault(text: str) -> Fault:
    """Read ``share=0.05,first_token=2s``: orders, and ``share``, ``count`` and ``model`` as limits.

    Raises :class:`BadOrder`.
    """
    limits: dict[str, str] = {}
    orders: list[str] = []
    at_accept = False
    for part in (piece.strip() for piece in text.split(",")):
        name, _, value = part.partition("=")
        if name in _LIMITS:
            limits[name] = value
        elif name == ACCEPT:
            at_accept = True
        else:
            orders.append(part)
    found = parse(",".join(orders))
    if not found and not at_accept:
        raise BadOrder(f"fault {text!r} orders nothing; name what goes wrong, such as 429=3s or first_token=2s")
    try:
        share = float(limits.get("share", "1"))
        count = int(limits["count"]) if "count" in limits else None
    except ValueError as error:
        raise BadOrder(f"fault {text!r}: {error}") from None
    if not 0.0 <= share <= 1.0 or (count is not None and count < 0):
        raise BadOrder(f"fault {text!r}: share is between 0 and 1, count at least 0")
    return Fault(orders=found, text=text, at_accept=at_accept, share=share, left=count, model=limits.get("model"))


class FaultPlan:
    """Faults in force. Each request asks :meth:`draw` once; the dice are seeded, so a run can be repeated."""

    def __init__(self, rng: Random, faults: Iterable[Fault] = ()) -> None:
        self._rng = rng
        self.faults: list[Fault] = list(faults)

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self.faults.append(fault)

    def clear(self) -> None:
        """End all faults."""
        self.faults.clear()

    def draw(self, model: str) -> list[Fault]:
        """The faults that strike this request."""
        return [fault for fault in self.faults if not fault.at_accept and self._strikes(fault, model)]

    def at_accept(self) -> bool:
        """Whether a new connection is reset."""
        return any(fault.at_accept and self._strikes(fault, None) for fault in self.faults)

    def _strikes(self, fault: Fault, model: str | None) -> bool:
        if fault.left == 0 or (fault.model is not None and fault.model != model):
            return False
        if fault.share < 1.0 and self._rng.random() >= fault.share:
            return False
        if fault.left is not None:
            fault.left -= 1
        fault.served += 1
        return True
