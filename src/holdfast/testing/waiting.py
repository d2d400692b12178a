"""Waiting for what has no event to wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_EVERY_S: Final = 0.002


async def eventually(condition: Callable[[], object], what: str = "", *, within_s: float = 5.0) -> None:
    """Return once ``condition()`` is true. Raises ``TimeoutError``, which says ``what`` did not come.

    For counters and transports of a subject that has no reason to announce their changes; where there is an
    event, wait for that.
    """
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - see above: there is no event
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise TimeoutError(f"did not come within {within_s} s: {what or condition}") from None
