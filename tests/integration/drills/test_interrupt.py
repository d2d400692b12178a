"""A drill that is ended leaves nothing running. (The fixture ``nothing_is_left`` looks for what it started.)"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.drills.process import process_tree


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_drill_and_all_its_processes(number: signal.Signals, tmp_path: Path) -> None:
    drill = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "drill", "run", "outage", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    # The backends, the balancer's master and its two workers.
    while len(process_tree(drill.pid)) < 5:
        assert drill.poll() is None, drill.communicate()
        assert time.monotonic() < deadline, "the drill started nothing"
        time.sleep(0.05)
    drill.send_signal(number)
    _, errors = drill.communicate(timeout=60)
    assert drill.returncode == 1
    assert "ended by a signal; nothing was recorded" in errors
    assert not list(tmp_path.rglob("*.json"))
