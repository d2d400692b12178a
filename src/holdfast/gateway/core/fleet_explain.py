"""Why a deployment gets the requests that it gets, in figures and in words for three in the morning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.gateway.core.fleet_health import IN_ROTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.gateway.core.fleet_health import DeploymentHealth
    from holdfast.gateway.core.settings import GatewaySettings

Reason = dict[str, Any]
"""``rule``, ``effect`` (``out``, ``trials``, ``lowered``, ``none``), ``text``, ``figures``."""
_RANK = {"out": 0, "trials": 1, "lowered": 2, "none": 3}


def explain(state: DeploymentHealth, settings: GatewaySettings, now: float) -> Mapping[str, Any]:
    """All rules that bear on it now, the decisive one first; JSON values only."""
    bearing = (
        _cooling(state, now),
        _breaker(state, settings, now),
        _damping(state, now),
        _key(state, now),
        _limit(state),
        _correlation(state, now),
    )
    reasons = [reason for reason in bearing if reason is not None] or [_nothing(state, now)]
    reasons.sort(key=lambda reason: _RANK[reason["effect"]])
    until = state.until(now)
    late = state.first_tokens.quantile(state.deployment.hedge.quantile, now)
    return {
        "deployment": state.id,
        "provider": state.deployment.provider,
        "model": state.deployment.model,
        "state": state.state,
        "in_rotation": state.state in IN_ROTATION,
        "weight": round(state.weight, 4) if state.state in IN_ROTATION else 0.0,
        "configured_weight": state.deployment.weight,
        "since_s": round(now - state.since, 3),
        "rotation_since_s": round(now - state.rotation_since, 3),
        "until_s": None if until is None else round(max(0.0, until - now), 3),
        "flips": state.flips,
        "in_flight": state.in_flight,
        "tokens_in_flight": state.tokens_in_flight,
        "token_limit": state.tokens.limit,
        "success": round(state.success, 3),
        "first_token_s": round(state.latency_s, 4) or None,
        "first_token_p50_s": _quantile(state, 0.5, now),
        "first_token_p95_s": _quantile(state, 0.95, now),
        "first_token_late_s": None if late is None else round(late, 4),
        "rule": reasons[0]["rule"],
        "figures": reasons[0]["figures"],
        "summary": _summary(state, until, now),
        "reasons": reasons,
    }


def _quantile(state: DeploymentHealth, share: float, now: float) -> float | None:
    found = state.first_tokens.quantile(share, now)
    return None if found is None else round(found, 4)


def _summary(state: DeploymentHealth, until: float | None, now: float) -> str:
    place = "in rotation" if state.state in IN_ROTATION else "out of rotation"
    text = f"{state.id} is {place} for {_time(now - state.rotation_since)} (state {state.state}"
    text += f" for {_time(now - state.since)})."
    if until is not None:
        following = {
            "cooling": "Requests begin again",
            "open": "Trial requests begin",
            "suppressed": "Damping releases it",
            "ramping": "Full weight",
        }
        text += f" {following[state.state]} in {_time(max(0.0, until - now))}."
    return text


def _cooling(state: DeploymentHealth, now: float) -> Reason | None:
    if not state.cooling(now):
        return None
    left_s = state.cooling_until - now
    said = "that it is at a rate limit" if state.cooling_rule == "cooldown.rate_limited" else "that it is overloaded"
    text = f"It said {said}, {state.consecutive_busy} times in a row; it gets no request for another {_time(left_s)}."
    figures = {"left_s": round(left_s, 3), "consecutive": state.consecutive_busy, "token_limit": state.tokens.limit}
    return _reason(state.cooling_rule, "out", text, figures)


def _breaker(state: DeploymentHealth, settings: GatewaySettings, now: float) -> Reason | None:
    breaker, latest = state.breaker, state.latest
    figures: dict[str, Any] = {**(latest.figures if latest is not None else {}), "opening": breaker.opening}
    if breaker.state == "open":
        left_s = max(0.0, (breaker.until or now) - now)
        text = f"It failed while others did not (opening {breaker.opening} in a row). It rests; trials begin in "
        rule = latest.rule if latest is not None else "breaker.trip"
        return _reason(rule, "out", f"{text}{_time(left_s)}.", {**figures, "left_s": round(left_s, 3)})
    if breaker.state == "half_open":
        needed = settings.health.trial_successes
        text = f"On trial after opening {breaker.opening}: {breaker.successes} of {needed} live requests succeeded."
        figures |= {"successes": breaker.successes, "successes_needed": needed, "trials": settings.health.trials}
        return _reason("breaker.half_open", "trials", text, figures)
    if breaker.ramp_until(now) is not None:
        factor = breaker.ramp_factor(now)
        text = f"It came back a moment ago; its weight grows, now {factor:.0%}."
        return _reason("breaker.ramp", "lowered", text, {"factor": round(factor, 3)})
    return None


def _damping(state: DeploymentHealth, now: float) -> Reason | None:
    if state.damping is None:
        return None
    penalty, factor = state.damping.penalty(now), state.damping.factor(now)
    figures: dict[str, Any] = {"penalty": round(penalty, 1), "factor": round(factor, 3), "flips": state.flips}
    release = state.damping.reuse_at(now)
    if release is not None:
        text = f"It flapped too much (penalty {penalty:.0f}); it is used only when nothing else is left, for another "
        figures["release_in_s"] = round(release - now, 1)
        return _reason("damping.suppress", "out", f"{text}{_time(release - now)}.", figures)
    if factor > 0.995:
        return None
    return _reason("damping.penalty", "lowered", f"It flapped: {factor:.0%} of its weight is left.", figures)


def _key(state: DeploymentHealth, now: float) -> Reason | None:
    if state.auth_at is None:
        return None
    text = f"The provider has refused our key since {_time(now - state.auth_at)} ago; check `key` of provider "
    text += f"{state.deployment.provider}. Nobody is ejected for that."
    return _reason("key.refused", "none", text, {"refused_s": round(now - state.auth_at, 3)})


def _limit(state: DeploymentHealth) -> Reason | None:
    if state.tokens.limit >= state.tokens.highest:
        return None
    text = f"Refusals or latency lowered its limit to {state.tokens.limit} tokens in flight, of {state.tokens.highest}."
    figures = {"token_limit": state.tokens.limit, "highest": state.tokens.highest}
    return _reason("admission.limit", "lowered", text, figures)


def _correlation(state: DeploymentHealth, now: float) -> Reason | None:
    if state.correlated_at is None:
        return None
    ago_s = now - state.correlated_at
    text = f"{_time(ago_s)} ago it failed together with its peers; no deployment is ejected for that."
    return _reason("outlier.correlated", "none", text, {"ago_s": round(ago_s, 3)})


def _nothing(state: DeploymentHealth, now: float) -> Reason:
    totals = state.window.totals(now)
    volume = totals.successes + totals.failures
    text = "Nothing speaks against it."
    if totals.success_ratio is not None:
        text = f"Nothing speaks against it: {totals.success_ratio:.1%} of {volume} recent attempts succeeded."
    return _reason("fleet.sound", "none", text, {"volume": volume})


def _reason(rule: str, effect: str, text: str, figures: dict[str, Any]) -> Reason:
    return {"rule": rule, "effect": effect, "text": text, "figures": figures}


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
