"""References are answered from the newest sound record of a drill, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from holdfast import evidence
from holdfast.blog.core.reference import Unbacked
from holdfast.blog.shell.readings import RecordedReadings
from tests.unit.evidence.records import small_record


@dataclass
class Records:
    root: Path

    @property
    def archive(self) -> Path:
        return self.root / "evidence"

    def readings(self) -> RecordedReadings:
        return RecordedReadings(self.archive, self.root)

    def why_not(self, reference: str) -> str:
        with pytest.raises(Unbacked) as raised:
            self.readings().read(reference)
        return str(raised.value)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "code.py").write_text("one = 1\n")
    (tmp_path / "notes.txt").write_text("notes\n")
    made = Records(tmp_path)
    inputs = evidence.digest_files([tmp_path / "code.py"], tmp_path)
    evidence.write(small_record(inputs=inputs), made.archive)
    return made


def test_a_metric_of_ours_may_leave_out_the_contender(records: Records) -> None:
    short, full = (records.readings().read(f"flapping.{name}attempts_per_request") for name in ("", "holdfast."))
    assert short == full
    assert (short.value, short.drill, short.record) == (1.1, "flapping", "20260101T000000Z-abc")
    assert short.name == "holdfast.attempts_per_request"
    assert short.derivation.startswith("ratio(")
    assert short.stale == ()


def test_the_control_and_parameters_are_read_by_their_names(records: Records) -> None:
    control = records.readings().read("flapping.control.attempts_per_request")
    assert (control.name, control.value) == ("control.attempts_per_request", 3.0)
    parameter = records.readings().read("flapping#rate_per_s")
    assert (parameter.name, parameter.value, parameter.unit) == ("#rate_per_s", 10.0, "per s")


def test_samples_are_read_as_they_were_recorded(records: Records) -> None:
    rounds = records.readings().series("flapping.rounds")
    assert (rounds.name, rounds.values, rounds.counts) == ("holdfast.rounds", (1.0, 1.2), (1, 1))
    assert records.readings().series("flapping.holdfast.latency_ms").values == (1.0, 2.0, 30.0)
    assert records.readings().series("flapping.control.attempts").values == (30.0,)
    with pytest.raises(Unbacked, match="has no samples 'nothing'"):
        records.readings().series("flapping.nothing")


def test_the_newest_full_record_answers(records: Records) -> None:
    evidence.write(small_record(identity="20260201T000000Z-abc", attempts=12.0), records.archive)
    evidence.write(small_record(identity="20260301T000000Z-abc-quick", attempts=13.0, quick=True), records.archive)
    assert records.readings().read("flapping.attempts_per_request").value == 1.2
    assert records.readings().drills() == ("flapping",)


def test_an_input_that_changed_makes_it_stale_and_an_unrelated_file_does_not(records: Records) -> None:
    (records.root / "notes.txt").write_text("other notes\n")
    assert records.readings().read("flapping.attempts_per_request").stale == ()
    (records.root / "code.py").write_text("one = 2\n")
    assert records.readings().read("flapping.attempts_per_request").stale == ("code.py",)
    assert records.readings().stale("flapping") == ("code.py",)


def test_a_drill_without_a_record_is_told_with_those_that_have_one(records: Records) -> None:
    assert records.why_not("nothing.errors") == (
        "no full record of a drill 'nothing' (there are records of flapping); run 'holdfast drill run nothing'"
    )
    assert "no full record" in Records(records.root / "elsewhere").why_not("flapping.errors")


def test_a_metric_that_is_not_there_is_told_with_the_nearest_ones(records: Records) -> None:
    text = records.why_not("flapping.atempts_per_request")
    assert "has no metric 'atempts_per_request'; it has attempts_per_request" in text
    assert "holdfast evidence rerun flapping" in text  # the drill may have been another one then
    assert "has no number #rate; it has rate_per_s" in records.why_not("flapping#rate")


def test_a_flipped_sample_makes_the_record_unsound(records: Records) -> None:
    path = next(records.archive.glob("*/*.json"))
    path.write_text(path.read_text().replace("[11.0]", "[12.0]"))
    text = records.why_not("flapping.attempts_per_request")
    assert "is not sound" in text
    assert text.endswith("; run 'holdfast evidence rerun flapping'")


def test_an_unsound_newest_record_is_not_passed_over_for_an_older_one(records: Records) -> None:
    (records.archive / "flapping" / "20260201T000000Z-abc.json").write_text("{}")
    assert "is not sound" in records.why_not("flapping.attempts_per_request")


def test_a_record_of_another_drill_or_version_backs_nothing(records: Records) -> None:
    evidence.write(small_record(identity="20260201T000000Z-abc", drill="outage"), records.archive)
    (records.archive / "outage").rename(records.archive / "reload")
    assert "is the record 20260201T000000Z-abc of outage" in records.why_not("reload.attempts_per_request")
    small = small_record(identity="20260201T000000Z-abc")
    metrics = {name: metric for name, metric in small.metrics.items() if name != "holdfast.cpu_us"}
    evidence.write(msgspec.structs.replace(small, metrics=metrics), records.archive)
    assert "has no metric 'cpu_us'" in records.why_not("flapping.cpu_us")


def test_a_metric_without_a_value_backs_nothing(records: Records) -> None:
    evidence.write(small_record(identity="20260201T000000Z-abc", latency=()), records.archive)
    assert "is undefined for its samples" in records.why_not("flapping.latency_p99_ms")
