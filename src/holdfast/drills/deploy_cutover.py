"""What a cut-over costs when the new target is not what it seemed: in stages, all at once and watched, and just done.

A thousand seeded worlds in virtual time (:mod:`holdfast.deploy.core.cutover.simulate`), the same for each contender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from holdfast.deploy.core.cutover.simulate import STRATEGIES, Run, simulate
from holdfast.deploy.core.cutover.world import FAULTS
from holdfast.drills.findings import CONTROL, Findings, Setting
from holdfast.evidence import Better

CONTENDERS: Final = ("holdfast", "careful", CONTROL)
"""In the order of :data:`~holdfast.deploy.core.cutover.simulate.STRATEGIES`."""
UNSOUND: Final = FAULTS[1:]


class DeployCutover:
    """``holdfast drill run deploy-cutover``."""

    name = "deploy-cutover"
    title = "What does moving a name to a new target cost, when the target is sound and when it is not?"
    packages = ("deploy/core/cutover", "drills", "evidence", "kernel")

    async def run(self, setting: Setting) -> Findings:
        """All runs, then what they come to."""
        found = Findings(control_what="a one-shot switch: the record is changed, and later the old target is deleted")
        count = int(setting.pick(1_000, 40))
        found.parameters["runs"] = count
        setting.progress(f"deploy-cutover: {count} worlds, {len(STRATEGIES)} strategies in each")
        runs: list[Run] = []
        for run in simulate(Random(setting.seed), runs=count, new_random=Random):
            runs.append(run)
            await asyncio.sleep(0)
        for fault in FAULTS:
            _keep(found, fault, [run for run in runs if run.fault == fault])
        _judge(found)
        return found


def _keep(found: Findings, fault: str, runs: Sequence[Run]) -> None:
    for place, name in enumerate(CONTENDERS):
        outcomes = [run.outcomes[place] for run in runs]
        found.add(name, f"{fault}_failed", [one.failed for one in outcomes])
        found.add(name, f"{fault}_failed_share", [one.failed / max(1, one.requests) for one in outcomes])
        found.add(name, f"{fault}_broken", [one.broken for one in outcomes])
        found.add(name, f"{fault}_exposed", [one.exposed for one in outcomes])
        found.add(name, f"{fault}_rolled_back", [one.rolled_back for one in outcomes])
        found.add(name, f"{fault}_percent", [one.percent for one in outcomes if one.rolled_back])
        found.add(name, f"{fault}_detect_s", _known(one.detect_s for one in outcomes))
        found.add(name, f"{fault}_back_s", _known(one.back_s for one in outcomes))
        _measure(found, name, fault)
    pairs = [(run.outcomes[0], run.outcomes[-1]) for run in runs]
    no_worse = [ours.failed <= other.failed and ours.broken <= other.broken for ours, other in pairs]
    found.add("holdfast", f"{fault}_no_worse", no_worse)
    found.metric("holdfast", f"{fault}_no_worse", f"mean(${fault}_no_worse)", unit="share", better="higher")


def _known(numbers: Iterable[float | None]) -> list[float]:
    return [number for number in numbers if number is not None]


def _measure(found: Findings, name: str, fault: str) -> None:
    for series, unit in (("failed", "requests"), ("broken", "streams"), ("exposed", "requests")):
        for how in ("mean", "p50", "p95"):
            found.metric(name, f"{fault}_{series}_{how}", f"{how}(${fault}_{series})", unit=unit, better="lower")
    for series in ("detect_s", "back_s"):
        for how in ("p50", "p95"):
            found.metric(name, f"{fault}_{series}_{how}", f"{how}(${fault}_{series})", unit="s", better="lower")
    found.metric(name, f"{fault}_percent_p50", f"p50(${fault}_percent)", unit="%", better="lower")
    found.metric(name, f"{fault}_percent_p95", f"p95(${fault}_percent)", unit="%", better="lower")
    better: Better = "lower" if fault == "sound" else "higher"
    found.metric(name, f"{fault}_rolled_back", f"mean(${fault}_rolled_back)", unit="share", better=better)


def _judge(found: Findings) -> None:
    found.claim("a sound target costs no request", "holdfast.sound_failed_mean", "<=", 0, in_quick=True)
    found.claim("a sound target breaks no stream", "holdfast.sound_broken_mean", "<=", 0, in_quick=True)
    found.claim("a sound target is rolled back in at most 1 % of the runs", "holdfast.sound_rolled_back", "<=", 0.01)
    for fault in UNSOUND:
        found.claim(f"{fault}: every run is rolled back", f"holdfast.{fault}_rolled_back", ">=", 1.0, in_quick=True)
        found.claim(
            f"{fault}: in 95 % of the runs at most as many requests and streams are lost as by a one-shot switch",
            f"holdfast.{fault}_no_worse",
            ">=",
            0.95,
        )
    for fault in ("errors", "slow", "dead"):
        found.claim(f"{fault}: met at 1 % or before", f"holdfast.{fault}_percent_p95", "<=", 1, in_quick=True)
        found.claim(
            f"{fault}: half of the roll-backs bring everybody back within 10 min",
            f"holdfast.{fault}_back_s_p50",
            "<=",
            600,
        )
    found.claim("streams: half of the runs break no stream", "holdfast.streams_broken_p50", "<=", 0)
