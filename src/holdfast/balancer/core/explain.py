"""Why a backend is in or out of rotation, in figures and in words for three in the morning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from holdfast.balancer.core.events import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.balancer.core.health import BackendHealth
    from holdfast.balancer.core.settings import PoolSettings

Figures = dict[str, float | str]
Effect = Literal["in", "out", "trials", "lowered", "none"]
_RANK: Final[dict[Effect, int]] = {"in": 0, "out": 1, "trials": 2, "lowered": 3, "none": 4}


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that bears on a backend now."""

    rule: str
    effect: Effect
    """``in``: although other rules want it out. ``out``. ``trials``: out, but tried. ``lowered``: its
    weight. ``none``: worth knowing."""
    text: str
    figures: Figures = {}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one backend gets the traffic that it gets."""

    pool: str
    backend: str
    state: State
    in_rotation: bool
    weight: float
    """Effective."""
    since_s: float
    """Seconds in this state."""
    rotation_since_s: float
    """Seconds in or out of rotation."""
    until_s: float | None
    """Seconds until the state ends by itself; ``None`` when that depends on what happens."""
    summary: str
    reasons: tuple[Reason, ...]


class BackendSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One backend at a glance."""

    id: str
    url: str
    state: State
    in_rotation: bool
    weight: float
    """Effective."""
    configured_weight: float
    override_weight: float | None
    since_s: float
    penalty: float
    suppressed_s: float | None
    """Seconds until damping releases it."""
    breaker: str
    opening: int
    """Openings in a row."""
    success_ratio: float | None
    volume: int
    """Attempts in the window."""
    in_flight: int
    latency_s: float | None
    """EWMA, mean over the workers."""
    probed: bool
    probe_up: bool
    probe_latency_s: float | None
    flips: int


class PoolSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One pool at a glance."""

    pool: str
    panic: bool
    share_in_rotation: float
    """Of the members' weight, before panic brought any back."""
    in_flight_limit: int | None
    flips: int
    poison_requests: int
    """Requests that failed at several backends and were held against none."""
    backends: tuple[BackendSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """What an explanation needs to know of the pool."""

    pool: str
    settings: PoolSettings
    panic: bool
    share_in_rotation: float
    in_flight_limit: int | None


def snapshot(health: BackendHealth, now: float) -> BackendSnapshot:
    """The figures of one backend at this moment."""
    totals = health.window.totals(now)
    release = health.damping.reuse_at(now) if health.damping else None
    latencies = health.latency_s.values()
    return BackendSnapshot(
        id=health.id,
        url=health.url,
        state=health.state,
        in_rotation=health.weight > 0,
        weight=round(health.weight, 4),
        configured_weight=health.configured_weight,
        override_weight=health.override_weight,
        since_s=round(now - health.since, 3),
        penalty=round(health.damping.penalty(now), 1) if health.damping else 0.0,
        suppressed_s=None if release is None else round(release - now, 1),
        breaker=health.breaker.state if health.breaker else "off",
        opening=health.breaker.opening if health.breaker else 0,
        success_ratio=None if totals.success_ratio is None else round(totals.success_ratio, 4),
        volume=totals.successes + totals.failures,
        in_flight=sum(health.in_flight.values()),
        latency_s=round(sum(latencies) / len(latencies), 6) if latencies else None,
        probed=health.probed,
        probe_up=health.hysteresis.up,
        probe_latency_s=health.last_probe.latency_s if health.last_probe else None,
        flips=health.flips,
    )


def explain(health: BackendHealth, facts: PoolFacts, now: float) -> Explanation:
    """All rules that bear on one backend now, the decisive one first."""
    bearing = (
        _panic(health, facts),
        _administration(health),
        _checks(health, now),
        _traffic(health, facts, now),
        _damping(health, facts, now),
        _correlation(health, now),
    )
    reasons = [reason for reason in bearing if reason is not None] or [_nothing(health, now)]
    reasons.sort(key=lambda reason: _RANK[reason.effect])
    until = _until(health, now)
    return Explanation(
        pool=facts.pool,
        backend=health.id,
        state=health.state,
        in_rotation=health.weight > 0,
        weight=round(health.weight, 4),
        since_s=round(now - health.since, 3),
        rotation_since_s=round(now - health.rotation_since, 3),
        until_s=None if until is None else round(max(0.0, until - now), 3),
        summary=_summary(health, facts, until, now),
        reasons=tuple(reasons),
    )


def _until(health: BackendHealth, now: float) -> float | None:
    if health.state == "open" and health.breaker is not None:
        return health.breaker.until
    if health.state == "suppressed" and health.damping is not None:
        return health.damping.reuse_at(now)
    if health.state == "ramping" and health.breaker is not None:
        return health.breaker.ramp_until(now)
    return None


def _summary(health: BackendHealth, facts: PoolFacts, until: float | None, now: float) -> str:
    place = "in rotation" if health.weight > 0 else "out of rotation"
    text = f"{facts.pool}/{health.id} is {place} for {_time(now - health.rotation_since)} (state {health.state}"
    text += f" for {_time(now - health.since)}), weight {health.weight:.3g} of {health.share:.3g}."
    if until is not None:
        following = {"open": "trial requests begin", "suppressed": "damping releases it", "ramping": "full weight"}
        text += f" {following[health.state].capitalize()} in {_time(until - now)}."
    return text


def _panic(health: BackendHealth, facts: PoolFacts) -> Reason | None:
    if not facts.panic:
        return None
    threshold = facts.settings.admission.panic_threshold
    figures: Figures = {"share_in_rotation": round(facts.share_in_rotation, 3), "panic_threshold": threshold}
    text = f"The pool panics: {facts.share_in_rotation:.0%} of its weight is sound, less than {threshold:.0%}."
    if facts.in_flight_limit is not None:
        figures["in_flight_limit"] = facts.in_flight_limit
        text += f" It admits at most {facts.in_flight_limit} requests in flight."
    if health.state == "panic":
        carries = health.carries
        figures["carries"] = carries
        text += f" This backend would be out, but was last seen to carry {carries:.0%}, so it helps out."
        return Reason(rule="pool.panic", effect="in", text=text, figures=figures)
    return Reason(rule="pool.panic", effect="none", text=text, figures=figures)


def _administration(health: BackendHealth) -> Reason | None:
    if health.drained:
        return Reason(rule="admin.drain", effect="out", text="An operator drained it; undrain it to bring it back.")
    if health.share == 0:
        return Reason(rule="admin.weight", effect="out", text="Its weight is 0; give it a weight to use it.")
    if health.override_weight is not None and health.override_weight != health.configured_weight:
        text = f"An operator set weight {health.override_weight:g} instead of {health.configured_weight:g}."
        return Reason(rule="admin.weight", effect="none", text=text)
    return None


def _checks(health: BackendHealth, now: float) -> Reason | None:
    score, needed = health.hysteresis.score, health.hysteresis.needed
    figures: Figures = {"score": round(score, 3), "needed": needed}
    probe = health.last_probe
    if probe is not None and health.last_probe_at is not None:
        figures["last"] = probe.kind if probe.status is None else f"{probe.kind} {probe.status}"
        figures["last_s"] = round(now - health.last_probe_at, 3)
    if not health.hysteresis.up:
        text = f"Active checks took it out; passed checks in a row have reached {score:g} of {needed:g}"
        text += f" (last: {figures['last']})." if "last" in figures else "."
        return Reason(rule="hysteresis.fall", effect="out", text=text, figures=figures)
    if score:
        text = f"Active checks began to fail: {score:g} of {needed:g} (last: {figures.get('last', 'traffic')})."
        return Reason(rule="hysteresis.fall", effect="none", text=text, figures=figures)
    if probe is None:
        return Reason(rule="hysteresis.unchecked", effect="none", text="It has not been checked yet.")
    return None


def _traffic(health: BackendHealth, facts: PoolFacts, now: float) -> Reason | None:
    breaker = health.breaker
    if breaker is None:
        return None
    conviction = health.latest.get("open")
    figures: Figures = {**(conviction.figures if conviction else {}), "opening": breaker.opening}
    if breaker.state == "open":
        until_s = max(0.0, breaker.until - now) if breaker.until is not None else 0.0
        figures["until_s"] = round(until_s, 3)
        rule = conviction.rule if conviction else "breaker.trip"
        text = f"{_conviction(rule, figures)} It rests; trials begin in {_time(until_s)}."
        return Reason(rule=rule, effect="out", text=text, figures=figures)
    if breaker.state == "half_open":
        needed = facts.settings.breaker.trial_successes
        figures |= {"successes": breaker.successes, "successes_needed": needed, "trials": facts.settings.breaker.trials}
        text = f"On trial after opening {breaker.opening}: {breaker.successes} of {needed} live requests succeeded."
        return Reason(rule="breaker.half_open", effect="trials", text=text, figures=figures)
    if health.ramping(now):
        factor = breaker.ramp_factor(now)
        text = f"It came back a moment ago; its weight grows, now {factor:.0%}."
        return Reason(rule="breaker.ramp", effect="lowered", text=text, figures={"factor": round(factor, 3)})
    return None


def _conviction(rule: str, figures: Mapping[str, float | str]) -> str:
    if rule == "outlier.consecutive":
        return (
            f"Traffic: {figures['consecutive']} attempts failed in a row while its peers did not; with "
            f"{float(figures['failure_ratio_before']):.1%} failures before, {figures['required']} are too many for "
            "chance."
        )
    if rule == "outlier.success_ratio":
        return (
            f"Traffic: {float(figures['success_ratio']):.1%} of {figures['volume']} attempts in "
            f"{figures['window_s']:g} s succeeded, less than {float(figures['threshold']):.1%}, "
            "while its peers did not fail."
        )
    return f"Traffic: a trial request failed (opening {figures['opening']} in a row)."


def _damping(health: BackendHealth, facts: PoolFacts, now: float) -> Reason | None:
    damping = health.damping
    if damping is None:
        return None
    penalty, factor = damping.penalty(now), damping.factor(now)
    settings = facts.settings.damping
    figures: Figures = {
        "penalty": round(penalty, 1),
        "suppress": settings.suppress,
        "reuse": settings.reuse,
        "factor": round(factor, 3),
    }
    release = damping.reuse_at(now)
    if release is None:
        if factor > 0.995:
            return None
        text = (
            f"It flapped: penalty {penalty:.0f} leaves {factor:.0%} of its weight, and all of it at {settings.reuse:g}."
        )
        return Reason(rule="damping.penalty", effect="lowered", text=text, figures=figures)
    figures["release_in_s"] = round(release - now, 1)
    text = f"It flapped too much: penalty {penalty:.0f} passed {settings.suppress:g} and must decay to "
    text += f"{settings.reuse:g}, in {_time(release - now)}."
    if health.suppression_waived:
        text += f" The pool cannot do without it, so it stays with {factor:.0%} of its weight."
        return Reason(rule="damping.waived", effect="lowered", text=text, figures=figures)
    return Reason(rule="damping.suppress", effect="out", text=text, figures=figures)


def _correlation(health: BackendHealth, now: float) -> Reason | None:
    if health.correlated_at is None:
        return None
    ago_s = now - health.correlated_at
    text = f"{_time(ago_s)} ago it failed together with its peers; no backend is ejected for that."
    return Reason(rule="outlier.correlated", effect="none", text=text, figures={"ago_s": round(ago_s, 3)})


def _nothing(health: BackendHealth, now: float) -> Reason:
    totals = health.window.totals(now)
    volume = totals.successes + totals.failures
    text = "Nothing speaks against it."
    if totals.success_ratio is not None:
        text = f"Nothing speaks against it: {totals.success_ratio:.1%} of {volume} recent attempts succeeded."
    return Reason(rule="pool.sound", effect="none", text=text, figures={"volume": volume})


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
