from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from holdfast.deploy.core.footprint import footprint
from holdfast.deploy.core.workload import Workload
from holdfast.deploy.shell.evidence import read_evidence
from holdfast.evidence import Claim, Machine, Record, Samples, measure, write

STARTED = dt.datetime(2026, 11, 22, 14, tzinfo=dt.UTC)


def record(id: str, cpu_us: float, *, day: int = 0, **changed: object) -> Record:
    samples: dict[str, Samples] = {"holdfast.cpu_us_64B": (cpu_us,)}
    plain = Record(
        id=id,
        drill="throughput",
        title="t",
        argv=("holdfast",),
        commit=None,
        dirty=False,
        inputs={},
        machine=Machine(cpu="c", cores=2, memory_bytes=1, kernel="k"),
        versions={},
        seed=1,
        quick=False,
        started=STARTED + dt.timedelta(days=day),
        duration_s=1.0,
        parameters={"rounds": 5, "model": "demo", "warm": True},
        samples=samples,
        metrics={
            "holdfast.cpu_us_64B": measure(
                "median(samples.holdfast.cpu_us_64B)", unit="us", better="lower", samples=samples
            )
        },
    )
    found = msgspec.structs.replace(plain, **changed)
    return msgspec.structs.replace(found, argv=(*found.argv, "--quick")) if found.quick else found


def test_the_newest_record_is_read(tmp_path: Path) -> None:
    for one in (record("b-old", 30.0), record("a-new", 25.0, day=1)):
        write(one, tmp_path)
    found = read_evidence(tmp_path)
    assert found.notes == ()
    assert found.measured["throughput"].record == "a-new"
    assert found.measured["throughput"].parameters == {"rounds": 5.0}
    assert footprint(Workload(service="balancer"), found.measured).traffic.cpu == 25e-6


def test_a_quick_run_is_passed_over(tmp_path: Path) -> None:
    for one in (record("sound", 30.0), record("quick", 25.0, day=1, quick=True)):
        write(one, tmp_path)
    assert read_evidence(tmp_path).measured["throughput"].record == "sound"


def test_a_figure_that_was_hoped_to_be_better_is_still_a_figure(tmp_path: Path) -> None:
    failed = Claim.judge("is quick", "holdfast.cpu_us_64B", "<=", 1.0, 30.0)
    write(record("r", 30.0, claims=(failed,)), tmp_path)
    assert read_evidence(tmp_path).measured["throughput"].record == "r"


def test_a_record_that_contradicts_itself_is_not_used_and_named(tmp_path: Path) -> None:
    path = write(record("r", 30.0), tmp_path)
    path.write_text(path.read_text().replace('"value":30.0', '"value":3.0'))
    (tmp_path / "throughput" / "torn.json").write_text("{")
    found = read_evidence(tmp_path)
    assert found.measured == {}
    assert len(found.notes) == 2
    assert all(note.startswith("not used: ") for note in found.notes)


def test_a_stale_record_is_used_with_a_note(tmp_path: Path) -> None:
    write(record("r", 30.0, inputs={"src/gone.py": "0" * 64}), tmp_path)
    found = read_evidence(tmp_path, root=tmp_path)
    assert found.measured["throughput"].stale
    assert found.notes == ("throughput/r is stale: src/gone.py has changed since (1 in all)",)


def test_a_directory_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_evidence(tmp_path / "none").measured == {}
