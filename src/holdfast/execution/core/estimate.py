"""What a job will probably cost: moving mean and high-water mark of CPU time, per tenant and language. Pure.

::

    mean += 1/8 * (actual - mean)
    high  = max(actual, high * (1 - 1/128))

The mean is what is reserved. The high-water mark tells whether a job is heavy. A tenant of whose jobs one in five
takes 3 s has a mean of 0.6 s, and by that its long jobs would fill the slots that are for light ones. It is the
rare long job that holds a slot: one of 3 s among two hundred of 5 ms is three quarters of their time.

A tenant that has not run this language yet is judged by everybody's figures for it, and a language that nobody has
run by :data:`UNKNOWN`. No estimate is above the job's own CPU limit, because there it is killed; so a job that
asks for little is light from the start.

A flood that is submitted at once is judged before its first job has run. So what is queued is to be judged again
when :func:`learn` changed the answer of :func:`expect`, or at the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.execution.core.settings import FairnessSettings

_GAIN: Final = 1 / 8
"""As of TCP's round-trip times (RFC 6298, section 2): half of the mean is from the last five jobs."""
_FALL: Final = 1 / 128
"""A job of 3 s keeps a tenant heavy for 52 short ones, one of 10 s for 206. Being heavy too long costs a tenant a
quarter of the slots, being light too long costs the others the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is known of the CPU time of jobs of one kind."""

    mean_us: float
    high_us: float

    def observe(self, actual_us: int) -> Estimate:
        """With one more job that has ended."""
        return Estimate(
            mean_us=self.mean_us + _GAIN * (actual_us - self.mean_us),
            high_us=max(actual_us, self.high_us * (1 - _FALL)),
        )


UNKNOWN: Final = Estimate(mean_us=1_000_000.0, high_us=3_000_000.0)
"""For a language that nobody has run: 1 s, more than nearly all scripts take, and heavy by the default of
``heavy_over``. The first job that ends replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is written on a job when it is accepted."""

    cost_us: int
    """Reserved until the actual figure is known; at least 1."""
    heavy: bool


def learn(known: Estimate | None, actual_us: int) -> Estimate:
    """The figures after a job has ended; the first one counts in full."""
    return Estimate(mean_us=actual_us, high_us=actual_us) if known is None else known.observe(actual_us)


def expect(
    own: Estimate | None,
    language: Estimate | None,
    *,
    cpu_limit_s: float,
    compiled: bool,
    settings: FairnessSettings,
) -> Expected:
    """What one job will cost.

    Args:
        own: Of this tenant and language.
        language: Of this language, all tenants.
        cpu_limit_s: The job's limit, that of compiling included.
        compiled: Whether it has to be compiled. ``True`` while it is unknown if a compiled program is cached.
        settings: For ``heavy_over``.
    """
    estimate = own or language or UNKNOWN
    limit_us = cpu_limit_s * 1e6
    return Expected(
        cost_us=max(1, round(min(estimate.mean_us, limit_us))),
        heavy=is_heavy(round(min(estimate.high_us, limit_us)), compiled=compiled, settings=settings),
    )


def is_heavy(estimate_us: int, *, compiled: bool, settings: FairnessSettings) -> bool:
    """Whether a job must leave some slots to light ones. ``estimate_us`` is what it may well take."""
    return compiled or estimate_us > settings.heavy_over * 1e6
