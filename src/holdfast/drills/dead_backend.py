"""One backend of four dies, again and again, in the middle of its work.

A GET may be repeated, so none may fail. A POST may not be repeated once a byte of it has
reached a backend: the ledgers of the backends prove that none arrived twice. (A POST in
flight at the moment of death therefore fails, as it must; the drill records how many.)
"""

from __future__ import annotations

from typing import Final

from holdfast.drills import ledgers
from holdfast.drills.contender import Contender
from holdfast.drills.contenders import field_of
from holdfast.drills.faults import BackendSpec, Fault, FleetSpec
from holdfast.drills.findings import DATA_PLANE, Findings, Setting
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import Plan, run_plan

BACKENDS: Final = 4
LOAD_SHARE: Final = 0.6
"""Of the capacity of those that live."""
POST_SHARE: Final = 0.3
WORKERS: Final = 2
WITHOUT: Final = {"retry": {"attempts": 1}}


def fleet_spec(seed: int, *, deaths: int, life_s: float) -> FleetSpec:
    """The first backend lives and is dead for ``life_s`` each, ``deaths`` times over."""
    schedule = []
    for number in range(deaths):
        schedule.append(Fault(kind="refuse", at_s=(2 * number + 1) * life_s))
        schedule.append(Fault(kind="healthy", at_s=(2 * number + 2) * life_s))
    dying = BackendSpec(name="dying", schedule=tuple(schedule))
    return FleetSpec(seed=seed, backends=(dying, *(BackendSpec(name=f"good{n}") for n in range(1, BACKENDS))))


class DeadBackend:
    """``holdfast drill run dead-backend``."""

    name = "dead-backend"
    title = "When one backend dies, does any GET fail, and does any POST reach a backend twice?"
    packages = DATA_PLANE

    async def run(self, setting: Setting) -> Findings:
        """Run all contenders, then compare."""
        deaths, life_s = int(setting.pick(4, 1)), setting.pick(3, 1)
        found = Findings(control_what="the same balancer with one attempt per request")
        spec = fleet_spec(setting.seed, deaths=deaths, life_s=life_s)
        rate = LOAD_SHARE * sum(backend.capacity_per_s for backend in spec.backends[1:])
        duration_s = (2 * deaths + 1) * life_s
        found.parameters |= {
            "deaths": deaths,
            "life_s": life_s,
            "rate_per_s": rate,
            "post_share": POST_SHARE,
            "workers": WORKERS,
        }
        field, notes = field_of(without=WITHOUT)
        found.notes += notes
        for name, contender in field.items():
            setting.progress(f"dead-backend: {name}, {duration_s:g} s")
            with (
                Fleet(spec) as fleet,
                contender(backends=fleet.ports, workers=WORKERS, directory=setting.directory) as proxy,
            ):
                await _measure(found, setting, fleet, proxy, rate=rate, duration_s=duration_s)
            _conclude(found, name)
        found.claim("no GET fails", "holdfast.get_errors", "==", 0, in_quick=True)
        found.claim("no POST reaches a backend twice", "holdfast.post_repeats", "==", 0, in_quick=True)
        return found


async def _measure(
    found: Findings, setting: Setting, fleet: Fleet, proxy: Contender, *, rate: float, duration_s: float
) -> None:
    name = proxy.name
    warm = Plan(rate_per_s=rate, duration_s=setting.pick(2, 0.5), seed=setting.seed, first_id=10**9)
    await run_plan(warm, port=proxy.port)
    fleet.begin()
    plan = Plan(rate_per_s=rate, duration_s=duration_s, seed=setting.seed, post_share=POST_SHARE)
    result = await run_plan(plan, port=proxy.port)
    ledger = fleet.ledger()
    posts = result.post_ids()
    repeats = sum(times - 1 for number, times in ledgers.attempts_by_id(ledger).items() if number in posts)
    found.add_load(name, result)
    found.add(name, "get_errors", [result.errors(posts=False)])
    found.add(name, "posts", [len(posts)])
    found.add(name, "post_errors", [result.errors(posts=True)])
    found.add(name, "post_repeats", [repeats])
    found.add(name, "attempts", [ledgers.attempts(ledger)])


def _conclude(found: Findings, name: str) -> None:
    found.metric(name, "get_errors", "sum($get_errors)", unit="requests", better="lower")
    found.metric(name, "post_repeats", "sum($post_repeats)", unit="attempts", better="lower")
    found.metric(name, "post_errors", "ratio($post_errors, $posts)", unit="of POSTs", better="lower")
    found.metric(name, "attempts_per_request", "ratio($attempts, $requests)", unit="", better="lower")
    found.metric(name, "latency_p99_ms", "p99($latency_ms)", unit="ms", better="lower")
    found.metric(name, "generator_lag_p99_ms", "p99($generator_lag_ms)", unit="ms", better="lower")
