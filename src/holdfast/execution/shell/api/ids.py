"""Identifiers of jobs: ULIDs, 26 characters that sort by time of submission.

48 bits of milliseconds since the epoch and 80 random ones, in Crockford's base 32
(https://github.com/ulid/spec). Within a millisecond the last one is counted up, so that ids of
one process rise strictly; they are names, not secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_SHIFTS: Final = tuple(range(120, -1, -10))
LENGTH: Final = 26


class JobIds:
    """A source of ids."""

    __slots__ = ("_entropy", "_last", "_last_ms")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        """``entropy`` is ``os.urandom``, or a test's."""
        self._entropy = entropy
        self._last_ms = -1
        self._last = 0

    def new(self, now: float) -> str:
        """A fresh id for something submitted at ``now`` (seconds since the epoch)."""
        ms = int(now * 1000)
        if ms > self._last_ms:
            self._last_ms = ms
            # The top bit stays free: counting up within a millisecond cannot run over into the time.
            self._last = ms << 80 | int.from_bytes(self._entropy(10)) >> 1
        else:  # the same millisecond, or a clock that was set back
            self._last += 1
        number = self._last
        return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def is_job_id(text: str) -> bool:
    """Whether ``text`` could be one; anything else need not be looked up."""
    return len(text) == LENGTH and all(c in _ALPHABET for c in text)
