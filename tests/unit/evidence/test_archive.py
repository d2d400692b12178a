"""Records on disk: whole, never replaced, read with suspicion."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from holdfast.evidence import (
    RecordExistsError,
    RecordInconsistentError,
    RecordUnreadableError,
    load,
    sealed,
    stale_inputs,
    write,
)
from tests.unit.evidence.records import small_record


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    record = small_record()
    path = write(record, tmp_path)
    assert path == tmp_path / "flapping" / f"{record.id}.json"
    assert load(path) == sealed(record)


def test_the_file_names_a_metric_as_the_documentation_does(tmp_path: Path) -> None:
    document = json.loads(write(small_record(), tmp_path).read_text())
    metric = document["metrics"]["holdfast.latency_p99_ms"]
    assert metric == {"value": 30.0, "unit": "ms", "better": "lower", "from": "p99(samples.holdfast.latency_ms)"}


def test_a_record_is_never_replaced_and_leaves_no_draft(tmp_path: Path) -> None:
    path = write(small_record(), tmp_path)
    with pytest.raises(RecordExistsError, match="not replaced"):
        write(small_record(attempts=12), tmp_path)
    assert load(path) == sealed(small_record())
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_changed_number_is_noticed_on_reading(tmp_path: Path) -> None:
    path = write(small_record(), tmp_path)
    path.write_text(path.read_text().replace('"value":1.1,', '"value":1.0,'))
    with pytest.raises(RecordInconsistentError, match="attempts_per_request"):
        load(path)


@pytest.mark.parametrize("text", ["", "{}", '{"id": 1}', "\x00", "[]"])
def test_what_is_no_record_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RecordUnreadableError, match=str(path)):
        load(path)


def test_a_file_that_is_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RecordUnreadableError, match="absent"):
        load(tmp_path / "absent.json")


def test_a_record_is_stale_when_an_input_changed_or_went(tmp_path: Path) -> None:
    (tmp_path / "kept.py").write_text("a")
    (tmp_path / "changed.py").write_text("b")
    digest = {name: hashlib.sha256(text).hexdigest() for name, text in (("a", b"a"), ("b", b"b"))}
    record = small_record(inputs={"kept.py": digest["a"], "changed.py": digest["a"], "gone.py": digest["b"]})
    assert stale_inputs(record, tmp_path) == ("changed.py", "gone.py")
