"""Whether the pager rings for outages, once each, and for nothing else.

Three parts, each with more reality and less time than the one before. Years of one target in virtual time, seen by the
detector and by simpler rules (:mod:`.noise_virtual`). Hours of many targets in virtual time, decided by the whole
engine (:mod:`.noise_scenes`). Minutes of real agents, targets and faults in network namespaces, beside
blackbox_exporter with Prometheus and Alertmanager (:mod:`.noise_excerpt`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from holdfast.drills import noise_excerpt, noise_scenes, noise_virtual
from holdfast.drills.findings import NETPULSE, Findings, Setting


class Noise:
    """``holdfast drill run noise``."""

    name = "noise"
    title = "Does the pager ring for outages, once each, and for nothing else?"
    packages = NETPULSE

    async def run(self, setting: Setting) -> Findings:
        """The parts, one after the other."""
        found = Findings(control_what="one sum of evidence over all regions, not capped per failure domain")
        await _played(
            noise_virtual.play_all(
                found,
                seed=setting.seed,
                scale=setting.pick(1.0, 0.005),
                count=int(setting.pick(60, 2)),
                progress=setting.progress,
            )
        )
        await _played(
            noise_scenes.play_scenes(found, seed=setting.seed, quick=setting.quick, progress=setting.progress)
        )
        await noise_excerpt.play_excerpt(found, setting)
        noise_virtual.judge(found)
        noise_scenes.judge_scenes(found)
        return found


async def _played(parts: Iterator[None]) -> None:
    """Play to the end, and let a signal in between the parts."""
    for _ in parts:
        await asyncio.sleep(0)
