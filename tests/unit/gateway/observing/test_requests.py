"""The request log: which lines are written, and what is never in one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.gateway.core.settings import LogSettings
from holdfast.gateway.shell.observing.requests import RequestLog
from holdfast.kernel import Size
from holdfast.telemetry import LineLog
from tests.unit.gateway.observing.seen import attempt, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARD = "4111 1111 1111 1111"
KEY = "sk-proj-" + "a1B2c3D4e5F6g7H8" * 3


@contextmanager
def log(path: Path, settings: LogSettings) -> Iterator[RequestLog]:
    made = RequestLog(LineLog(os.open(path, os.O_WRONLY | os.O_CREAT), name="request_log"), settings, Random(1))
    yield made
    made.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_a_line_has_what_an_operator_asks_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings()) as made:
        made.request(seen())
    [line] = lines(path)
    assert line["ts"] == "2026-09-21T14:13:20.250Z"
    assert (line["action"], line["id"], line["status"], line["tenant"], line["key"]) == (
        "request",
        "req_1",
        200,
        "acme",
        "k1",
    )
    assert line["attempts"][0]["cost_nano"] == 50_000
    assert line["attempts"][0]["why"] == "the only one"


def test_errors_are_always_written_and_the_rest_by_share(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings(sample=0.1)) as made:
        for _ in range(1000):
            made.request(seen())
        for _ in range(20):
            made.request(seen(status=502, reason="upstream_failed"))
            made.request(seen(reason="cut"))
    found = lines(path)
    assert sum(line["status"] == 502 for line in found) == 20
    assert sum(line.get("reason") == "cut" for line in found) == 20
    assert 60 <= sum("reason" not in line for line in found) <= 140


def test_a_log_that_is_off_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings(requests=False)) as made:
        made.request(seen(status=500))
    assert path.read_bytes() == b""


def test_what_was_said_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings()) as made:
        made.request(seen(content={"messages": [{"content": "hello"}]}))
    assert "hello" not in path.read_text()


def test_content_is_redacted_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings(content="redacted", bound=Size(100))) as made:
        made.request(seen(content={"messages": [f"card {CARD}, key {KEY}, {'x' * 10_000}"]}))
        made.request(seen(content=f"{'y' * 90} {CARD}"))
    first, second = lines(path)
    for line in (first, second):
        assert "4111" not in line["content"]
        assert len(line["content"]) <= 100
    assert KEY[:20] not in path.read_text()


def test_a_key_in_a_providers_message_does_not_reach_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log(path, LogSettings()) as made:
        made.request(seen(status=401, message=f"wrong key {KEY}", attempts=[attempt(message=f"wrong key {KEY}")]))
    assert KEY[:20] not in path.read_text()
    assert "wrong key" in path.read_text()
