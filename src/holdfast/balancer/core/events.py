"""State transitions of backends, as values that can be logged, streamed and kept.

state        in rotation   meaning
-----------  ------------  ----------------------------------------------------------------
up           yes           nothing speaks against it
ramping      yes           it came back a moment ago; its weight still grows
down         no            active health checks fail
open         no            traffic failed; it rests
half_open    trials only   traffic failed; a few live requests try it
suppressed   no            it flapped too much, and the rest of the pool can do without it
drained      no            an operator took it out
panic        yes           it would be out, but too little else is left
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["up", "ramping", "down", "open", "half_open", "suppressed", "drained", "panic"]


class Transition(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """One backend changed state, or (``from`` equal to ``to``) was spared a change."""

    at: float
    """Monotonic seconds; who writes it down adds the wall clock."""
    pool: str
    backend: str
    before: State
    after: State
    rule: str
    """``policy.rule``, for example ``outlier.consecutive``, ``damping.reuse``, ``pool.panic``."""
    figures: dict[str, float | str] = {}
    """What the rule compared; units are part of the names."""
