"""How the evidence of a drill stands."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from holdfast.evidence import Claim, RecordInconsistentError, load, standing, standings, write
from tests.unit.evidence.records import small_record


def test_a_drill_without_a_full_record_has_none(tmp_path: Path) -> None:
    write(small_record(quick=True, identity="20260101T000000Z-abc-quick"), tmp_path)
    found = standing(tmp_path, "flapping", tmp_path)
    assert (found.path, found.sound, found.fault) == (None, False, "no full record")


def test_the_newest_full_record_speaks_for_a_drill(tmp_path: Path) -> None:
    write(small_record(identity="20260101T000000Z-abc"), tmp_path)
    later = write(small_record(identity="20260201T000000Z-abc"), tmp_path)
    write(small_record(quick=True, identity="20260301T000000Z-abc-quick"), tmp_path)
    found = standing(tmp_path, "flapping", tmp_path)
    assert found.path == later
    assert found.current


def test_a_changed_input_makes_it_stale_and_leaves_it_sound(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("new")
    write(small_record(inputs={"code.py": hashlib.sha256(b"old").hexdigest()}), tmp_path)
    found = standing(tmp_path, "flapping", tmp_path)
    assert (found.sound, found.current, found.stale) == (True, False, ("code.py",))


def test_an_unsound_record_is_not_passed_over_for_an_older_one(tmp_path: Path) -> None:
    write(small_record(identity="20260101T000000Z-abc"), tmp_path)
    later = write(small_record(identity="20260201T000000Z-abc"), tmp_path)
    later.write_text(later.read_text().replace("11.0", "12.0"))
    found = standing(tmp_path, "flapping", tmp_path)
    assert (found.path, found.sound) == (later, False)
    assert "attempts_per_request" in found.fault


def test_a_record_of_another_drill_does_not_speak_for_this_one(tmp_path: Path) -> None:
    path = write(small_record(drill="outage"), tmp_path)
    (tmp_path / "flapping").mkdir()
    path.rename(tmp_path / "flapping" / path.name)
    found = standing(tmp_path, "flapping", tmp_path)
    assert not found.sound
    assert "wrong place" in found.fault


def test_all_drills_are_told_and_what_is_left_of_old_ones(tmp_path: Path) -> None:
    write(small_record(drill="bygone"), tmp_path)
    assert [one.drill for one in standings(tmp_path, ["flapping"], tmp_path)] == ["flapping", "bygone"]
    assert [one.drill for one in standings(tmp_path / "absent", ["flapping"], tmp_path)] == ["flapping"]


def test_a_sample_that_no_metric_rests_on_cannot_be_flipped_either(tmp_path: Path) -> None:
    record = small_record()
    record = msgspec.structs.replace(record, samples={**record.samples, "holdfast.aside": (41.0,)})
    path = write(record, tmp_path)
    path.write_text(path.read_text().replace("41.0", "42.0"))
    with pytest.raises(RecordInconsistentError, match="seal"):
        load(path)


def test_a_whole_number_where_a_fraction_may_stand_breaks_no_seal(tmp_path: Path) -> None:
    claim = Claim.judge("none is lost", "holdfast.attempts_per_request", "<=", 2, 1.1)
    record = msgspec.structs.replace(small_record(), claims=(claim,), parameters={"rate": 3, "share": 2.0})
    assert load(write(record, tmp_path)).claims == (claim,)


def test_a_record_from_before_there_were_seals_is_read(tmp_path: Path) -> None:
    path = write(small_record(), tmp_path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(' "seal"')]
    lines[-2] = lines[-2].rstrip(",")
    path.write_text("\n".join(lines))
    assert load(path) == small_record()
