"""Logs: one JSON object per line in a pipe, one readable line on a terminal.

Code logs through the standard :mod:`logging` with an ``action`` and fields as ``extra``::

    log.info("backend is out", extra={"action": "backend_down", "pool": "web", "backend": "a"})

Every line has ``ts`` (RFC 3339, UTC, milliseconds), ``level``, ``action``, ``logger`` and
``pid``; ``message`` and the extra fields follow. Fields that are named like a secret are
masked. Formatting never raises: a line about a failure must not become the second failure.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

MASK: Final = "***"
"""What is shown in place of a secret."""

_SECRET: Final = re.compile(
    r"(?:^|[_\-.])(?:authorization|cookie|credentials?|pass(?:wd|word|phrase)?|secret|token|api[_-]?key|private[_-]?key)s?$",
    re.IGNORECASE,
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "action",
    "color_message",  # uvicorn says everything twice, once in colour
}
_DEPTH: Final = 6
"""Fields nested deeper than this are shown as ``...``: also ends reference cycles."""


def is_secret_name(name: str) -> bool:
    """Whether a field, header, setting or variable of this name holds something to hide.

    True for ``Authorization``, ``Set-Cookie``, ``admin_token``, ``DB_PASSWORD``, ``x-api-key``;
    false for ``key``, which names a file wherever Holdfast uses it.
    """
    return _SECRET.search(name) is not None


def redact(value: object, *, depth: int = _DEPTH) -> Any:
    """A copy that JSON can hold, with the values of secret names replaced by :data:`MASK`.

    ``depth`` levels of containers are followed. Never raises: what cannot even be
    shown becomes the name of its type.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    try:
        if isinstance(value, (Mapping, list, tuple, set, frozenset)) and depth == 0:
            return "..."
        if isinstance(value, Mapping):
            return {
                str(key): MASK if is_secret_name(str(key)) and item is not None else redact(item, depth=depth - 1)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [redact(item, depth=depth - 1) for item in value]
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return f"<{type(value).__name__}>"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    fields = redact(extras)
    return fields if isinstance(fields, dict) else {}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - wrong %-arguments, or a foreign __str__
        return f"{record.msg!s:.200} (its arguments do not fit)" if isinstance(record.msg, str) else "<no message>"


def _timestamp(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object per record, keys in a fixed order, always on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "action": redact(getattr(record, "action", None) or "log"),
            "logger": record.name,
            "pid": record.process,
            "message": _message(record),
        }
        for name, value in _fields(record).items():
            line[f"{name}_" if name in line else name] = value
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _traceback(self, record)
        return _encodable(json.dumps(line, ensure_ascii=False, default=str))


class HumanFormatter(logging.Formatter):
    """``12:30:45.123 WARNING backend is out  pool=web backend=a``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows on lines of its own."""
        clock = dt.datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(f" {name}={_inline(value)}" for name, value in _flat(_fields(record)))
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in _message(record))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {text}{' ' + fields if fields else ''}"
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + _traceback(self, record)
        return _encodable(line)


def _encodable(text: str) -> str:
    """Lone surrogates, which file names may carry, cannot be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _inline(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isprintable() and text and " " not in text else json.dumps(text, ensure_ascii=True)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    try:
        return formatter.formatException(record.exc_info) if record.exc_info else ""
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises
        return "<no traceback>"


class Stream(Protocol):
    """Where lines go: a text stream, or something that stands for one."""

    def write(self, text: str, /) -> object:
        """Take a text."""

    def flush(self) -> object:
        """Pass it on."""

    def isatty(self) -> bool:
        """Whether a person reads it."""
        ...


class _Handler(logging.StreamHandler[Stream]):
    """Writes lines, and keeps silent when the reader has gone (``holdfast up | head``)."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """There is nowhere left to say it."""


LOG_FORMAT: Final = "HOLDFAST_LOG_FORMAT"
"""``human`` or ``json``; by default a terminal gets ``human``. Children are told, as they write to a pipe."""


def format_from_environment() -> bool | None:
    """What :data:`LOG_FORMAT` asks for: readable lines, JSON, or (``None``) whatever suits the stream."""
    return {"human": True, "json": False}.get(os.environ.get(LOG_FORMAT, ""))


def configure(
    *, level: int | str = logging.INFO, stream: Stream | None = None, human: bool | None = None
) -> logging.Handler:
    """Send all logs to ``stream`` (standard error), replacing what an earlier call installed.

    ``human`` picks the readable format; by default a terminal gets it and anything else JSON.
    Returns the handler, so that a caller may close it.
    """
    target: Stream = sys.stderr if stream is None else stream
    readable = target.isatty() if human is None else human
    handler = _Handler(target)
    handler.setFormatter(HumanFormatter() if readable else JsonFormatter())
    root = logging.getLogger()
    for existing in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(level)
    return handler
