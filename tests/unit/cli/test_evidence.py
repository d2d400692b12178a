"""``holdfast evidence``: what it prints and what it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast import drills
from holdfast.cli import main
from holdfast.drills import DrillInfo
from holdfast.evidence import load, write
from tests.unit.evidence.records import small_record


@pytest.fixture(autouse=True)
def _one_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drills, "list_drills", lambda: (DrillInfo(name="flapping", title="?"),))


def test_a_drill_without_a_record_is_told_with_the_command_that_writes_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["evidence", "status"]) == 1
    assert "holdfast drill run flapping" in capsys.readouterr().out


def test_a_current_record_is_good_and_a_stale_one_only_without_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(small_record(), tmp_path / "evidence")
    assert main(["evidence", "status", "--strict"]) == 0
    assert "current" in capsys.readouterr().out
    write(small_record(identity="20260201T000000Z-abc", inputs={"gone.py": "0" * 64}), tmp_path / "evidence")
    assert main(["evidence", "status"]) == 0
    assert "changed since: gone.py" in capsys.readouterr().out
    assert main(["evidence", "status", "--strict"]) == 1


def test_status_is_there_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(small_record(), tmp_path / "evidence")
    assert main(["evidence", "status", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["drill"], one["sound"], one["current"], one["sealed"]) == ("flapping", True, True, True)


def test_verification_names_the_record_and_the_metric_that_its_samples_do_not_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(small_record(), tmp_path / "evidence")
    assert main(["evidence", "verify"]) == 0
    assert "hold good; sealed" in capsys.readouterr().out
    path.write_text(path.read_text().replace("11.0", "12.0"))
    assert main(["evidence", "verify", str(path)]) == 1
    said = capsys.readouterr().err
    assert path.name in said
    assert "attempts_per_request" in said


def test_there_is_nothing_to_verify_without_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify"]) == 1
    assert "holdfast drill run" in capsys.readouterr().err


def test_a_drill_is_run_again_with_the_seed_of_its_record_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load(write(small_record(), tmp_path / "evidence"))
    seeds: list[int | None] = []

    def run_drill(_name: str, *, seed: int | None, out: Path, **_: object) -> Path:
        seeds.append(seed)
        return write(small_record(identity="20260201T000000Z-abc", attempts=12.0), out)

    monkeypatch.setattr(drills, "run_drill", run_drill)
    assert main(["evidence", "rerun", "flapping"]) in {0, 1}
    assert seeds == [before.seed]
    assert "attempts_per_request" in capsys.readouterr().out
