"""From "so many false pages a year are acceptable" to thresholds, and from thresholds to what detection takes.

The thresholds are fitted to :mod:`holdfast.drills.noise_world`, played with the detector itself and with
confirmations. Logarithms of false pages a year fall by about one per nat:

    one domain     10 nats  12 nats  14 nats  16 nats           two domains    12.2 nats   14 nats   18 nats
    5 s               383       35      3.3                      5 s                 0.5
    30 s               55      7.8      1.5     0.17             30 s                1.9      0.25      0.03
    300 s              16      1.6     0.35                      300 s              0.43
    3600 s            1.4     0.19                               3600 s             0.06

(1.5 years at 5 s, 6 at 30 s, 40 and 300 at the longer ones; two domains 2, 12 to 30, 150 and 1,000. Below one a year
these are few events.) Three domains and more keep the figures of two: one of them may be stuck, and then two are what
is left. Rates below what was seen in those years are extrapolated; the slope is taken flatter than it was measured, so
that they err to the safe side.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.netpulse.core.detector import CONFIRM_SPACING_S, Detector, Policy
from holdfast.netpulse.core.filter import BAD_FAILS, BAD_SHARE, DOWN_FAILS, GOOD_FAILS
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import MonitorSettings

YEAR_S: Final = 365.25 * 86_400.0
LEAST_PER_YEAR: Final = 0.01
MOST_PER_YEAR: Final = 52.0
"""Once a week: whoever accepts more wants a simple rule."""

_INTERVALS_S: Final = (5.0, 30.0, 300.0, 3_600.0)
_PAIR: Final = (1.8, 0.65, -0.7, -2.6)
"""Two domains: logarithm of the false pages of a year at a threshold of 12.2 nats, for each of ``_INTERVALS_S``, with
some reserve."""
_PAIR_AT: Final = 12.2
"""Also the least: two lone failures are at most 12.1 nats."""
_PAIR_PER_NAT: Final = 0.8
_PARTIAL_MORE: Final = 4.0
"""Nats on top for "partial": its evidence fades slowly, so lone failures minutes apart add up."""
_LONE: Final = (5.95, 4.01, 2.78, 0.32)
"""One domain: the same at 10 nats."""
_LONE_AT: Final = 10.0
_LONE_LEAST: Final = 6.5
"""A lone failure is at most 6.05 nats."""
_LONE_PER_NAT: Final = 0.95


def threshold(false_pages_per_year: float, *, interval_s: float, domains: Sequence[int]) -> float:
    """Nats at which an alarm is raised; ``domains`` gives the number of regions in each failure domain.

    Raises ``ValueError`` for a rate or a layout that no threshold can keep.
    """
    if not LEAST_PER_YEAR <= false_pages_per_year <= MOST_PER_YEAR:
        raise ValueError(
            f"false_pages_per_year is {false_pages_per_year:g}; it must be from {LEAST_PER_YEAR:g} (one in a century)"
            f" to {MOST_PER_YEAR:g} (one a week)"
        )
    if not domains or min(domains) < 1:
        raise ValueError("nobody watches: name at least one region")
    if not (math.isfinite(interval_s) and interval_s > 0):
        raise ValueError(f"interval is {interval_s:g} s; it must be a finite time above 0")
    wanted = math.log(false_pages_per_year)
    # The regions of one domain are as one that probes more often: they may share their spells.
    if len(domains) == 1:
        return max(_LONE_LEAST, _LONE_AT + (_between(_LONE, interval_s / domains[0]) - wanted) / _LONE_PER_NAT)
    return max(_PAIR_AT, _PAIR_AT + (_between(_PAIR, interval_s) - wanted) / _PAIR_PER_NAT)


def _between(figures: Sequence[float], interval_s: float) -> float:
    """Of the nearest two intervals, in proportion to the logarithm; beyond the ends by the slope of the last two."""
    index = min(max(bisect(_INTERVALS_S, interval_s) - 1, 0), len(_INTERVALS_S) - 2)
    low, high = math.log(_INTERVALS_S[index]), math.log(_INTERVALS_S[index + 1])
    part = (math.log(interval_s) - low) / (high - low)
    return figures[index] + part * (figures[index + 1] - figures[index])


def information(*, good_fails: float = GOOD_FAILS, bad_share: float = BAD_SHARE) -> float:
    """Nats that one probe of a target that is down carries, were probes independent: 5.46 in the reference world."""
    up = good_fails + (BAD_FAILS - good_fails) * bad_share
    return DOWN_FAILS * math.log(DOWN_FAILS / up) + (1 - DOWN_FAILS) * math.log((1 - DOWN_FAILS) / (1 - up))


def bound_s(false_pages_per_year: float, *, interval_s: float, regions: int) -> float:
    """No rule with so few false alarms is quicker on average, in the worst case: ``ln(gamma) / I`` probes.

    Lorden 1971; ``gamma`` is the mean number of probes between false alarms. Losses that come in spells make it
    optimistic.
    """
    probes = YEAR_S / interval_s * regions / false_pages_per_year
    return max(math.log(probes), 0.0) / information() * interval_s / regions


def expected_delay_s(
    policy: Policy, *, timeout_s: float, domains: Mapping[str, str], confirmations: bool, phases: int = 8
) -> float:
    """Mean time from an outage to its alarm, when every probe fails by its timeout: by playing it.

    The outage begins at ``phases`` moments, evenly spread between two probes.
    """
    regions = tuple(domains)
    step = policy.interval_s / len(regions)
    total = 0.0
    for phase in range(phases):
        began = (phase + 0.5) / phases * step
        total += _delay(policy, timeout_s, domains, confirmations, began, step)
    return total / phases


def _delay(
    policy: Policy, timeout_s: float, domains: Mapping[str, str], confirmations: bool, began: float, step: float
) -> float:
    detector = Detector("", policy, domains)
    regions = tuple(domains)
    for number, region in enumerate(regions):
        detector.observe(_result(region, domains, number * step - policy.interval_s, 0.0, failed=False))
    # The region that probed last before the outage is the last to see it.
    pending = [
        (number * step if number * step >= began else number * step + policy.interval_s, region, True)
        for number, region in enumerate(regions)
    ]
    looking = False
    for _ in range(10_000):
        pending.sort()
        start, region, scheduled = pending.pop(0)
        if scheduled:
            pending.append((start + policy.interval_s, region, True))
        if not region:
            if detector.suspicious:
                pending.append((start + CONFIRM_SPACING_S, "", False))
                pending += [(start, wanted, False) for wanted in detector.confirmations(start)]
            continue
        if any(signal.active for signal in detector.observe(_result(region, domains, start, timeout_s, failed=True))):
            return start + timeout_s - began
        if confirmations:
            ended = start + timeout_s
            pending += [(ended, wanted, False) for wanted in detector.confirmations(ended)]
            if not looking:
                looking = True
                pending.append((ended + CONFIRM_SPACING_S, "", False))
    return math.inf


def _result(region: str, domains: Mapping[str, str], at: float, took_s: float, *, failed: bool) -> Observation:
    return Observation(
        monitor="",
        region=region,
        domain=domains[region],
        agent=region,
        at=at,
        received=at + took_s,
        outcome=Outcome.DOWN if failed else Outcome.UP,
        failure=Failure.TIMEOUT if failed else Failure.NONE,
        total_ms=took_s * 1e3,
    )


def policy_for(spec: MonitorSettings, *, default_rate: float, domains: Mapping[str, str]) -> Policy:
    """What a monitor's detector decides by; ``domains`` gives the failure domain of each region that watches it."""
    rate = spec.false_pages_per_year or default_rate
    of: dict[str, int] = {}
    for domain in domains.values():
        of[domain] = of.get(domain, 0) + 1
    kind, stated_s, cert_days, interval_s = _kind(spec)
    needed = threshold(rate, interval_s=interval_s, domains=tuple(of.values()))
    lone = threshold(rate, interval_s=interval_s, domains=(max(of.values()),))
    return Policy(
        threshold=needed,
        cap=needed if len(of) == 1 else needed / 2,
        lone_threshold=lone,
        partial_threshold=needed + _PARTIAL_MORE,
        slow_threshold=needed,
        interval_s=interval_s,
        rule=spec.rule,
        slow_bound_ms=stated_s * 1e3 if stated_s else None,
        cert_days=cert_days,
        kind=kind,
    )


def _kind(spec: MonitorSettings) -> tuple[str, float, int, float]:
    """Kind of check, stated bound on its time, days before a certificate's end, and seconds between results."""
    interval_s = float(spec.interval)
    if spec.http is not None:
        return "http", float(spec.http.max_time), spec.http.cert_days, interval_s
    if spec.tls is not None:
        return "tls", 0.0, spec.tls.cert_days, interval_s
    if spec.heartbeat is not None:
        return "heartbeat", 0.0, 0, float(spec.heartbeat.period)
    kinds = ("tcp", "dns", "icmp", "websocket", "grpc", "command")
    return next((kind for kind in kinds if getattr(spec, kind) is not None), "http"), 0.0, 0, interval_s
