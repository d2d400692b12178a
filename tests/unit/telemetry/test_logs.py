"""Log lines: always one line, always JSON, never a secret, never an exception."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.telemetry import MASK, HumanFormatter, JsonFormatter, configure, is_secret_name


class Hostile:
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def record(message: str = "hello", *args: object, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("holdfast.test").makeRecord(
        "holdfast.test", logging.WARNING, "file.py", 1, message, args, None, extra=extra
    )


def as_json(log: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(log)
    assert "\n" not in line
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def test_a_line_carries_time_level_action_logger_pid_and_the_extra_fields() -> None:
    log = record("backend %s is out", "a", action="backend_down", pool="web", after_s=1.5)
    line = as_json(log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "warning",
        "action": "backend_down",
        "logger": "holdfast.test",
        "pid": log.process,
        "message": "backend a is out",
        "pool": "web",
        "after_s": 1.5,
    }


def test_a_line_without_an_action_says_log() -> None:
    assert as_json(record())["action"] == "log"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "set-cookie",
        "admin_token",
        "DB_PASSWORD",
        "X-Api-Key",
        "client_secret",
        "private_key",
    ],
)
def test_the_value_of_a_secret_name_is_masked_at_any_depth(name: str) -> None:
    line = as_json(record(headers=[{name: "hunter2", "Accept": "*/*"}]))
    assert line["headers"] == [{name: MASK, "Accept": "*/*"}]


@pytest.mark.parametrize("name", ["key", "tokens_left_s", "pool", "passed", "secretary", "hash_on"])
def test_ordinary_names_are_not_masked(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "log",
    [
        record("%d requests", "many"),
        record("%s", Hostile()),
        record("field", thing=Hostile()),
        record("numbers", a=float("nan"), b=float("inf")),
        record("bytes", data=b"\xff\x00", names={1, 2}, when=object),
        record("lone surrogate", text="\udcff"),
    ],
    ids=lambda log: str(log.msg),
)
@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter()])
def test_formatting_never_raises(log: logging.LogRecord, formatter: logging.Formatter) -> None:
    line = formatter.format(log)
    line.encode()
    assert "\n" not in line


def test_a_field_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert "..." in JsonFormatter().format(record(loop=loop))


def test_a_field_cannot_take_the_place_of_a_standard_one() -> None:
    line = as_json(record(level="debug", pid="forged"))
    assert line["level"] == "warning"
    assert line["level_"] == "debug"


def test_a_traceback_stays_inside_its_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        log = record("failed")
        log.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: first\nsecond" in as_json(log)["exception"]


def test_the_readable_form_keeps_a_message_on_one_line_and_without_control_characters() -> None:
    line = HumanFormatter().format(record("a\nb\x1b[2J", pool="web", note="two words"))
    assert line.endswith(r'WARNING a\nb\x1b[2J  pool=web note="two words"')


def test_the_readable_form_spreads_a_group_of_figures() -> None:
    line = HumanFormatter().format(record("down", figures={"score": 3.0, "last": "status"}))
    assert line.endswith("down  figures.score=3.0 figures.last=status")


def test_configuring_twice_writes_each_line_once(root: logging.Logger) -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(stream=first)
    configure(stream=second)
    root.warning("once")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["message"] == "once"


def test_a_terminal_gets_the_readable_form(root: logging.Logger) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    configure(stream=terminal)
    root.warning("hello")
    assert terminal.getvalue().endswith("WARNING hello\n")


def test_a_reader_that_has_gone_is_not_an_error(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    configure(stream=Gone())
    root.warning("into the void")
    assert capsys.readouterr().err == ""
