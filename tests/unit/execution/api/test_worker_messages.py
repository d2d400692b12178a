from __future__ import annotations

from typing import Any

import pytest

from holdfast.execution.core.protocol import GivenBack, Held, Output, Report, Sync, WireCompiled, WireResult
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.workers import check_report, check_sync

ID = "01ARYZ6S41TSV4RRFFQ69G5FAV"
SYNC: dict[str, Any] = {"worker": "w", "epoch": "e", "slots": 4, "free": 2}


def result(**fields: Any) -> WireResult:
    return WireResult(**{"id": ID, "token": 1, "verdict": "ok", **fields})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"worker": ""}, "worker"),
        ({"worker": "w" * 129}, "worker"),
        ({"worker": "w\n"}, "worker"),
        ({"epoch": "ä"}, "epoch"),
        ({"slots": 0}, "slots"),
        ({"slots": 10**6}, "slots"),
        ({"free": -1}, "free"),
        ({"free": 5}, "free"),
        ({"wait_s": float("nan")}, "wait_s"),
        ({"wait_s": -1.0}, "wait_s"),
        ({"languages": {"x" * 99: ""}}, "languages"),
        ({"held": (Held(id="x", token=1),)}, "held"),
        ({"held": (Held(id=ID, token=0),)}, "held"),
        ({"held": (Held(id=ID, token=1),) * 1025}, "held"),
    ],
)
def test_a_sync_that_cannot_be_is_refused(fields: dict[str, Any], field: str) -> None:
    check_sync(Sync(**SYNC))
    with pytest.raises(ProblemError) as caught:
        check_sync(Sync(**{**SYNC, **fields}))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"results": (result(verdict="fine"),)}, "results"),
        ({"results": (result(token=-1),)}, "results"),
        ({"results": (result(id="../../x"),)}, "results"),
        ({"results": (result(stdout=b"x" * 60, stderr=b"x" * 60),)}, "results"),
        ({"results": (result(message="x" * 5000),)}, "results"),
        ({"results": (result(cpu_ms=float("nan")),)}, "results"),
        ({"results": (result(cpu_ms=-1.0),)}, "results"),
        ({"results": (result(wall_ms=float("inf")),)}, "results"),
        ({"results": (result(memory_bytes=2**60),)}, "results"),
        ({"results": (result(exit_code=-5),)}, "results"),
        ({"results": (result(compiled=WireCompiled(stderr=b"x" * 101)),)}, "results"),
        ({"output": (Output(id=ID, token=1, seq=-1, stream="stdout", data=b""),)}, "output"),
        ({"output": (Output(id=ID, token=1, seq=0, stream="stdout", data=b"x" * 300_000),)}, "output"),
        ({"given_back": (GivenBack(id=ID, token=1, reason="x" * 5000),)}, "given_back"),
    ],
)
def test_a_report_that_cannot_be_is_refused(fields: dict[str, Any], field: str) -> None:
    check_report(Report(worker="w", epoch="e", results=(result(stdout=b"x" * 100),)), most_output=100)
    with pytest.raises(ProblemError) as caught:
        check_report(Report(worker="w", epoch="e", **fields), most_output=100)
    assert caught.value.field == field
