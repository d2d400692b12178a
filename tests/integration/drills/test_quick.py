"""Every drill, in its quick form, from the contenders to the record on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.drills import list_drills, run_drill
from holdfast.evidence import load, project_root, stale_inputs
from tests.databases import require_postgresql
from tests.integration.execution.sandbox.harness import require_full_tier
from tests.machine import require_tool

NEEDS = {
    "throughput": (("wrk", "wrk"), ("nginx", "nginx")),
    "burst": (("bwrap", "bubblewrap"), ("g++", "g++")),
    "runner": (("bwrap", "bubblewrap"), ("wrk", "wrk")),
    "execution-chaos": (("bwrap", "bubblewrap"), ("ip", "iproute2"), ("nsenter", "util-linux")),
    "scale-to-zero": (("bwrap", "bubblewrap"),),
    "noise": (
        *(("ip", "iproute2"), ("nsenter", "util-linux"), ("nft", "nftables"), ("prometheus", "prometheus")),
        *((name, name) for name in ("prometheus-blackbox-exporter", "prometheus-alertmanager")),
    ),
}
"""Drill -> programs and packages that it cannot show what it is for without."""


@pytest.mark.usefixtures("at_full_speed")  # what measures is not slowed down by being measured
@pytest.mark.timeout(480)  # of which a quiet machine needs 15 to 50; drills run beside other tests
@pytest.mark.parametrize("name", [drill.name for drill in list_drills()])
def test_a_quick_run_leaves_a_record_whose_claims_hold_as_far_as_it_can_judge(name: str, tmp_path: Path) -> None:
    for program, package in NEEDS.get(name, ()):
        require_tool(program, package)
    if name in {"runner", "execution-chaos", "watch-capacity", "watch-chaos"}:
        require_postgresql()
    if ("bwrap", "bubblewrap") in NEEDS.get(name, ()):
        require_full_tier()
    said: list[str] = []
    record = load(run_drill(name, quick=True, seed=11, out=tmp_path, progress=said.append))
    assert record.failed_claims() == ()
    assert record.metrics
    assert record.seed == 11
    assert said
    assert stale_inputs(record, project_root()) == ()
    assert (record.control is not None) == (name != "idle")
    assert all("unsent" not in series for series in record.samples)
