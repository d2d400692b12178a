"""Every backend fails at once, then one comes back.

While all of them answer 503, retrying is pure harm: attempts must stay within the retry
budget, 1.2 per request plus the floor of 10/s. The budget looks back ten seconds, so the floor
of that time may be spent at once, and the requests of the warm-up have earned their share too.
When the first backend returns, clients must
have answers within two seconds, and no second wave of errors may follow.
"""

from __future__ import annotations

from typing import Final

from holdfast.drills import ledgers
from holdfast.drills.contender import Contender
from holdfast.drills.contenders import UNPROTECTED, field_of
from holdfast.drills.faults import BackendSpec, Fault, FleetSpec
from holdfast.drills.findings import DATA_PLANE, Findings, Setting
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import Outcome, Plan, run_plan

BACKENDS: Final = 4
RATE_PER_S: Final = 150.0
"""Three quarters of what the one that returns can carry."""
BUDGET: Final = 1.2
FLOOR_PER_S: Final = 10.0
WINDOW_S: Final = 10.0
"""How far the retry budget looks back."""
RECOVERY_S: Final = 2.0
MOST_LATE_ERRORS: Final = 0.01
WORKERS: Final = 2


def fleet_spec(seed: int, outage_s: float) -> FleetSpec:
    """All unavailable from the epoch on; the first one returns after ``outage_s``."""
    down = Fault(kind="unavailable")
    back = Fault(kind="healthy", at_s=outage_s)
    first = BackendSpec(name="first", schedule=(down, back))
    rest = (BackendSpec(name=f"rest{number}", schedule=(down,)) for number in range(1, BACKENDS))
    return FleetSpec(seed=seed, backends=(first, *rest))


class Outage:
    """``holdfast drill run outage``."""

    name = "outage"
    title = "Does a total outage stay bounded, and end when the first backend returns?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Run all contenders, then compare."""
        outage_s, after_s = setting.pick(10, 1), setting.pick(10, 1.5)
        found = Findings(control_what="the same balancer with damping, breaker and retry budget off")
        found.parameters |= {"outage_s": outage_s, "after_s": after_s, "rate_per_s": RATE_PER_S, "workers": WORKERS}
        spec = fleet_spec(setting.seed, outage_s)
        field, notes = field_of(without=UNPROTECTED)
        found.notes += notes
        for name, contender in field.items():
            setting.progress(f"outage: {name}, {outage_s + after_s:g} s")
            with (
                Fleet(spec) as fleet,
                contender(backends=fleet.ports, workers=WORKERS, directory=setting.directory) as proxy,
            ):
                await _measure(found, setting, fleet, proxy, outage_s=outage_s, after_s=after_s)
        for name in field:
            _conclude(found, name)
        found.claim(
            f"attempts stay within {BUDGET} per request plus the floor",
            "holdfast.attempts_over_budget",
            "<=",
            0,
            in_quick=True,
        )
        found.claim("clients have answers soon after the return", "holdfast.first_success_s", "<=", RECOVERY_S)
        found.claim("no burst of errors follows", "holdfast.late_errors", "<=", MOST_LATE_ERRORS)
        return found


async def _measure(
    found: Findings, setting: Setting, fleet: Fleet, proxy: Contender, *, outage_s: float, after_s: float
) -> None:
    name = proxy.name
    warm = Plan(rate_per_s=RATE_PER_S, duration_s=setting.pick(2, 0.5), seed=setting.seed, first_id=10**9)
    warmed = await run_plan(warm, port=proxy.port)
    epoch = fleet.begin()
    plan = Plan(rate_per_s=RATE_PER_S, duration_s=outage_s + after_s, seed=setting.seed)
    result = await run_plan(plan, port=proxy.port)
    # The plan starts within a millisecond of the epoch; both clocks are the machine's.
    offset = result.started - epoch
    back = outage_s - offset
    during = sum(intended < back for intended in result.intended)
    reached = sum(moment < epoch + outage_s for times in ledgers.moments(fleet.ledger()).values() for moment in times)
    successes = [
        done - back
        for done, outcome in zip(result.done, result.outcome, strict=True)
        if outcome == Outcome.OK and done >= back
    ]
    late = [
        float(outcome != Outcome.OK)
        for intended, outcome in zip(result.intended, result.outcome, strict=True)
        if intended >= back + RECOVERY_S
    ]
    found.add_load(name, result)
    found.add(name, "outage_requests", [during])
    found.add(name, "outage_attempts", [reached])
    found.add(name, "outage_floor", [FLOOR_PER_S * max(outage_s, WINDOW_S)])
    found.add(name, "outage_earned_before", [(BUDGET - 1) * len(warmed.intended)])
    found.add(name, "first_success_s", [min(successes)] if successes else [])
    found.add(name, "requests_after_recovery", [len(late)])
    found.add(name, "errors_after_recovery", [sum(late)])


def _conclude(found: Findings, name: str) -> None:
    per_request = "ratio($outage_attempts, $outage_requests)"
    found.metric(name, "attempts_per_request", per_request, unit="", better="lower")
    over = f"sum($outage_attempts) - {BUDGET} * sum($outage_requests) - sum($outage_floor) - sum($outage_earned_before)"
    found.metric(name, "attempts_over_budget", over, unit="attempts", better="lower")
    found.metric(name, "first_success_s", "min($first_success_s)", unit="s", better="lower")
    late = "ratio($errors_after_recovery, $requests_after_recovery)"
    found.metric(name, "late_errors", late, unit="of requests", better="lower")
    found.metric(name, "generator_lag_p99_ms", "p99($generator_lag_ms)", unit="ms", better="lower")
