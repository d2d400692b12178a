"""What a job will probably cost: moving mean and deviation of CPU time, per tenant and language. Pure.

Kept as TCP keeps round-trip times (Jacobson and Karels; RFC 6298, section 2)::

    mean      += 1/8 * (actual - mean)
    deviation += 1/4 * (abs(actual - mean) - deviation)          with the mean from before

The mean is what is reserved. Whether a job is heavy is judged by ``mean + 2 * deviation``: a tenant of whose
jobs one in five takes 3 s has a mean of 0.6 s, and would fill the slots that are for light jobs only.

A tenant that has not run this language yet is judged by everybody's figures for it, and a language that nobody
has run by :data:`UNKNOWN`. No estimate is above the job's own CPU limit, because there it is killed; so a job that
asks for little is light from the start.

A flood that is submitted at once is judged before its first job has run. So what is queued is to be judged again
when :func:`learn` changed the answer of :func:`expect`, or at the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.execution.core.settings import FairnessSettings

_MEAN_GAIN: Final = 1 / 8
_DEVIATION_GAIN: Final = 1 / 4
_DEVIATIONS: Final = 2.0
"""For costs that scatter evenly this is above nearly all of them. RFC 6298 takes 4, as too low costs a retransmission;
too high only costs a job the slots that are set aside for light ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is known of the cost of jobs of one kind."""

    mean_us: float
    deviation_us: float

    def observe(self, actual_us: int) -> Estimate:
        """With one more job that has ended."""
        error = actual_us - self.mean_us
        return Estimate(
            mean_us=self.mean_us + _MEAN_GAIN * error,
            deviation_us=self.deviation_us + _DEVIATION_GAIN * (abs(error) - self.deviation_us),
        )

    @property
    def upper_us(self) -> float:
        """What a job of this kind hardly exceeds."""
        return self.mean_us + _DEVIATIONS * self.deviation_us


UNKNOWN: Final = Estimate(mean_us=1_000_000.0, deviation_us=1_000_000.0)
"""For a language that nobody has run: 1 s, more than nearly all scripts take, and heavy by the default of
``heavy_over``. The first job that ends replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is written on a job when it is accepted."""

    cost_us: int
    """Reserved until the actual figure is known; at least 1."""
    heavy: bool


def learn(known: Estimate | None, actual_us: int) -> Estimate:
    """The figures after a job has ended; the first one counts in full (RFC 6298, 2.2)."""
    if known is None:
        return Estimate(mean_us=float(actual_us), deviation_us=actual_us / 2)
    return known.observe(actual_us)


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
        heavy=is_heavy(round(min(estimate.upper_us, limit_us)), compiled=compiled, settings=settings),
    )


def is_heavy(estimate_us: int, *, compiled: bool, settings: FairnessSettings) -> bool:
    """Whether a job must leave some slots to light ones. ``estimate_us`` is what it hardly exceeds."""
    return compiled or estimate_us > settings.heavy_over * 1e6
