"""The figures of the README are those of the records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from holdfast.drills.results import newest
from holdfast.evidence import load

ROOT = Path(__file__).parents[3]


def test_the_readme_says_what_the_newest_records_say() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "results"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_every_committed_record_is_whole_and_was_made_from_a_commit() -> None:
    records = {drill: load(path) for drill, path in newest(ROOT / "evidence").items()}
    assert records
    assert not [drill for drill, record in records.items() if record.dirty or record.quick or record.commit is None]
