"""Who takes part in a drill: Holdfast first, the peers that are installed, the control last."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from holdfast.drills.contender import Contender
from holdfast.drills.findings import CONTROL
from holdfast.drills.ours import Holdfast
from holdfast.drills.peers import PEERS

UNPROTECTED: Final[Mapping[str, object]] = {
    "damping": {"enabled": False},
    "breaker": {"enabled": False},
    "retry": {"budget_percent": 100, "budget_floor_per_s": 100_000},
}
"""A pool without damping, breaker and retry budget (a floor that no drill reaches)."""


class ContenderFactory(Protocol):
    """Makes one contender for these backends."""

    def __call__(self, *, backends: Mapping[str, int], workers: int, directory: Path) -> Contender:
        """See :class:`Contender`."""
        ...


def field_of(
    *, without: Mapping[str, object] | None, section: Mapping[str, object] | None = None
) -> tuple[dict[str, ContenderFactory], tuple[str, ...]]:
    """Everybody who takes part, by name, in the order in which they run; and a note on each who is missing.

    ``without`` are the pool settings that make the control, ``None`` for no control.
    """
    found: dict[str, ContenderFactory] = {"holdfast": partial(Holdfast, section=section)}
    notes = []
    for peer in PEERS:
        reason = peer.missing()
        if reason is None:
            found[peer.program_name] = peer
        else:
            notes.append(f"without {peer.program_name}: {reason}")
    if without is not None:
        found[CONTROL] = partial(Holdfast, name=CONTROL, pool=without, section=section)
    return found, tuple(notes)
