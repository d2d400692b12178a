"""The drill that the balancer exists for: half of its backends fail, each in its own way.

Three phases, for one contender after another, on the same schedule of faults and arrivals:

hold      75 % of the good capacity. Do clients notice? What does hiding the faults cost?
squeeze   110 % of the good capacity. How much of it is used when all of it is needed?
return    everybody is healthy again. How long until those that were out serve again?

Good capacity is what the fleet can answer well: healthy backends in full, the flapper for
its up share (0.49), the resetter for what it does not reset (0.8). Three healthy backends
of 200 requests/s, a flapper, a resetter, a hidden failure and a hang make 857/s. A balancer
that gives the half-good ones up has 600/s left: below the 643/s of the first phase, so
giving up is not free, which it would be if capacities were endless.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from holdfast.drills import ledgers
from holdfast.drills.contender import Contender
from holdfast.drills.contenders import UNPROTECTED, field_of
from holdfast.drills.faults import BackendSpec, Fault, FleetSpec
from holdfast.drills.findings import CONTROL, DATA_PLANE, Findings, Setting
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import Plan, run_plan

HOLD_SHARE: Final = 0.75
SQUEEZE_SHARE: Final = 1.10
RETURN_SHARE: Final = 0.5
"""Of the capacity of all backends, which are healthy then."""
MOST_ATTEMPTS: Final = 1.1
LEAST_CAPACITY: Final = 0.9
MOST_FLIPS: Final = 0.2
"""Of the control's flips: at least five times fewer."""
WORKERS: Final = 2
EJECTED: Final = ("hidden", "hang")
"""Backends that answer nothing well and so have to go."""


def fleet_spec(seed: int) -> FleetSpec:
    """The backends of the drill."""
    return FleetSpec(
        seed=seed,
        backends=(
            *(BackendSpec(name=f"healthy{number}") for number in (1, 2, 3)),
            BackendSpec(name="flap", schedule=(Fault(kind="flap", period_s=1.4, down_s=0.7),)),
            BackendSpec(name="reset", schedule=(Fault(kind="reset", share=0.2),)),
            BackendSpec(name="hidden", schedule=(Fault(kind="hidden"),)),
            BackendSpec(name="hang", schedule=(Fault(kind="hang"),)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How long each phase lasts, in seconds."""

    hold_s: float = 45.0
    squeeze_s: float = 9.8
    """Seven whole cycles of the flapper, so that it is up for half of it wherever it begins."""
    return_s: float = 25.0


QUICK: Final = Phases(hold_s=1.0, squeeze_s=0.7, return_s=0.5)


class Flapping:
    """``holdfast drill run flapping``."""

    name = "flapping"
    title = "Do clients notice backends that flap, reset, lie and hang, and what does hiding them cost?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Run all contenders, then compare."""
        found = Findings(control_what="the same balancer with damping, breaker and retry budget off")
        spec = fleet_spec(setting.seed)
        good = spec.good_capacity_per_s()
        phases = QUICK if setting.quick else Phases()
        found.parameters |= {
            "good_capacity_per_s": good,
            "hold_per_s": good * HOLD_SHARE,
            "hold_s": phases.hold_s,
            "squeeze_per_s": good * SQUEEZE_SHARE,
            "squeeze_s": phases.squeeze_s,
            "return_s": phases.return_s,
            "workers": WORKERS,
        }
        field, notes = field_of(without=UNPROTECTED)
        found.notes += notes
        for name, contender in field.items():
            setting.progress(f"flapping: {name}")
            with (
                Fleet(spec) as fleet,
                contender(backends=fleet.ports, workers=WORKERS, directory=setting.directory) as proxy,
            ):
                await _measure(found, setting, phases, fleet, proxy)
        _conclude(found, [name for name in field if name != CONTROL])
        return found


async def _measure(found: Findings, setting: Setting, phases: Phases, fleet: Fleet, proxy: Contender) -> None:
    name, spec = proxy.name, fleet.spec
    good = spec.good_capacity_per_s()
    whole = sum(backend.capacity_per_s for backend in spec.backends)
    hold_s, squeeze_s, return_s = phases.hold_s, phases.squeeze_s, phases.return_s
    # Healthy warm-up: connections are open and latencies known before the first fault.
    warm = Plan(rate_per_s=good * RETURN_SHARE, duration_s=setting.pick(2, 0.5), seed=setting.seed, first_id=10**9)
    await run_plan(warm, port=proxy.port)
    flips_before = proxy.flips()
    epoch = fleet.begin()

    setting.progress(f"flapping: {name}: hold, {hold_s:g} s")
    plan = Plan(rate_per_s=good * HOLD_SHARE, duration_s=hold_s, seed=setting.seed)
    held = await run_plan(plan, port=proxy.port)
    ledger = fleet.ledger()
    # A balancer reports its counters in batches; what it decided last is in them a moment later.
    await asyncio.sleep(0.2)
    found.add_load(name, held)
    found.add(name, "flips", [proxy.flips() - flips_before])
    found.add(name, "attempts", [ledgers.attempts(ledger)])
    moments = ledgers.moments(ledger)
    for backend in EJECTED:
        seen = [moment for moment in moments[backend] if moment < epoch + hold_s]
        found.add(name, f"eject_{backend}_s", [ledgers.time_to_eject_s(seen, until=epoch + hold_s)])
    for backend, per_second in ledgers.attempts_per_second(moments, epoch, int(hold_s)).items():
        found.add(name, f"attempts_per_s.{backend}", per_second)

    setting.progress(f"flapping: {name}: squeeze, {squeeze_s:g} s")
    plan = Plan(rate_per_s=good * SQUEEZE_SHARE, duration_s=squeeze_s, seed=setting.seed + 1, first_id=10**7)
    squeezed = await run_plan(plan, port=proxy.port)
    found.add(name, "squeeze_answered", [squeezed.answered_within(0.0, squeeze_s)])
    found.add(name, "squeeze_good_capacity", [good * squeeze_s])

    setting.progress(f"flapping: {name}: return, {return_s:g} s")
    healed = fleet.heal()
    plan = Plan(rate_per_s=whole * RETURN_SHARE, duration_s=return_s, seed=setting.seed + 2, first_id=2 * 10**7)
    await run_plan(plan, port=proxy.port)
    fair = whole * RETURN_SHARE / len(spec.backends)
    moments = ledgers.moments(fleet.ledger())
    for backend in EJECTED:
        seen = [moment for moment in moments[backend] if moment >= healed]
        restored = ledgers.time_to_restore_s(seen, start=healed, until=healed + return_s, fair_per_s=fair)
        found.add(name, f"restore_{backend}_s", [restored])


def _conclude(found: Findings, contenders: list[str]) -> None:
    for name in [*contenders, *([CONTROL] if found.control_samples else [])]:
        found.metric(name, "errors", "sum($errors)", unit="requests", better="lower")
        for quantile in ("p50", "p99", "p999"):
            found.metric(name, f"latency_{quantile}_ms", f"{quantile}($latency_ms)", unit="ms", better="lower")
        found.metric(name, "attempts_per_request", "ratio($attempts, $requests)", unit="", better="lower")
        capacity = "ratio($squeeze_answered, $squeeze_good_capacity)"
        found.metric(name, "good_capacity_used", capacity, unit="", better="higher")
        found.metric(name, "flips", "sum($flips)", unit="", better="lower")
        for backend in EJECTED:
            found.metric(name, f"eject_{backend}_s", f"mean($eject_{backend}_s)", unit="s", better="lower")
            found.metric(name, f"restore_{backend}_s", f"mean($restore_{backend}_s)", unit="s", better="lower")
        found.metric(name, "generator_lag_p99_ms", "p99($generator_lag_ms)", unit="ms", better="lower")
    for name in contenders:
        found.metric(name, "flips_of_control", "ratio($flips, control.flips)", unit="", better="lower")
    found.claim("clients see no error while a backend is good", "holdfast.errors", "==", 0)
    found.claim("hiding faults costs few attempts", "holdfast.attempts_per_request", "<=", MOST_ATTEMPTS)
    found.claim("the good capacity is used", "holdfast.good_capacity_used", ">=", LEAST_CAPACITY)
    found.claim("five times fewer flips than the control", "holdfast.flips_of_control", "<=", MOST_FLIPS)
    missed = (
        f"(sum($errors) > 0) + (ratio($attempts, $requests) > {MOST_ATTEMPTS})"
        f" + (ratio($squeeze_answered, $squeeze_good_capacity) < {LEAST_CAPACITY})"
        f" + (sum($flips) > {MOST_FLIPS} * sum(control.flips))"
    )
    for name in contenders:
        found.metric(name, "bounds_missed", missed, unit="of 4", better="lower")
        if name != "holdfast":
            found.claim(f"{name} misses at least one of these", f"{name}.bounds_missed", ">=", 1)
