"""What a job will probably cost, and whether it is heavy."""

from __future__ import annotations

from holdfast.execution.core.estimate import UNKNOWN, Estimate, Expected, expect, is_heavy, learn
from holdfast.execution.core.settings import FairnessSettings

FAIR = FairnessSettings()
S = 1_000_000


def guess(own: Estimate | None = None, language: Estimate | None = None, **options: object) -> Expected:
    defaults: dict[str, object] = {"cpu_limit_s": 10.0, "compiled": False, "settings": FAIR}
    return expect(own, language, **{**defaults, **options})  # type: ignore[arg-type]


def steady(mean_us: float) -> Estimate:
    return Estimate(mean_us=mean_us, high_us=mean_us)


def after(*costs_us: int) -> Estimate:
    known = None
    for cost_us in costs_us:
        known = learn(known, cost_us)
    assert known is not None
    return known


def test_a_language_that_nobody_ran_is_taken_for_heavy() -> None:
    assert guess() == Expected(cost_us=round(UNKNOWN.mean_us), heavy=True)


def test_a_job_that_asks_for_little_is_light_though_nothing_is_known() -> None:
    assert not guess(cpu_limit_s=2.0).heavy


def test_a_new_tenant_is_judged_by_everybody_who_runs_the_language() -> None:
    assert guess(None, steady(5_000)).cost_us == 5_000


def test_a_tenant_is_judged_by_its_own_jobs() -> None:
    assert guess(steady(70_000), steady(5_000)).cost_us == 70_000


def test_the_estimate_is_never_above_the_limit_of_the_job() -> None:
    assert guess(steady(60 * S), cpu_limit_s=1.5) == Expected(cost_us=3 * S // 2, heavy=False)


def test_the_first_job_counts_in_full() -> None:
    assert after(40_000) == Estimate(mean_us=40_000, high_us=40_000)


def test_the_mean_follows_a_change() -> None:
    assert 495_000 < after(*[5_000] * 20, *[500_000] * 60).mean_us <= 500_000


def test_a_tenant_that_mixes_short_and_long_jobs_is_heavy() -> None:
    known = after(*[*[5_000] * 20, 3 * S] * 3, *[5_000] * 20)
    assert known.mean_us < 1 * S
    assert guess(known).heavy


def test_a_single_long_job_is_forgotten() -> None:
    assert guess(after(3 * S, *[5_000] * 51)).heavy
    assert not guess(after(3 * S, *[5_000] * 52)).heavy


def test_even_jobs_below_the_bound_are_light() -> None:
    assert not guess(after(*[1_900_000] * 40)).heavy


def test_what_must_be_compiled_is_heavy_however_cheap() -> None:
    assert guess(steady(1_000), compiled=True).heavy
    assert is_heavy(1, compiled=True, settings=FAIR)


def test_heavy_begins_above_the_bound() -> None:
    assert not is_heavy(2 * S, compiled=False, settings=FAIR)
    assert is_heavy(2 * S + 1, compiled=False, settings=FAIR)


def test_a_job_always_costs_something() -> None:
    assert guess(steady(0.0)).cost_us == 1
