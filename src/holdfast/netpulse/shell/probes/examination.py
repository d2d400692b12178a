"""Searches bodies, in a process that may be lost. Run by :mod:`.examiner` as a script; imports nothing of Holdfast.

Reads on its standard input, again and again: kind (``r`` or ``j``), lengths of expression and body (``!cII``), both.
Answers: kind (``+`` found, ``-`` not found, ``?`` cannot be answered), length (``!cI``), text.

A search that takes longer than the limit ends this process: SIGALRM is left to do what it does by itself, because a
handler in Python would have to wait for the very search that does not end.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import sys
from functools import lru_cache
from typing import Any, BinaryIO

ASKED = struct.Struct("!cII")
ANSWERED = struct.Struct("!cI")
VALUE_BYTES = 4096
"""Longest value that is handed back."""


def main(limit_s: float, memory_bytes: int) -> None:
    """Answer until the other side closes."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with os.fdopen(0, "rb") as asked, os.fdopen(1, "wb") as answered:
        while head := asked.read(ASKED.size):
            kind, expression_bytes, body_bytes = ASKED.unpack(head)
            expression, body = asked.read(expression_bytes), asked.read(body_bytes)
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            _answer(answered, *examine(kind, expression.decode(), body.decode(errors="replace")))
            signal.setitimer(signal.ITIMER_REAL, 0)


def examine(kind: bytes, expression: str, body: str) -> tuple[bytes, str]:
    """Search a body."""
    try:
        return _match(expression, body) if kind == b"r" else _query(expression, body)
    except MemoryError:
        return b"?", "it takes more memory than a search may have"
    except RecursionError:
        return b"?", "it goes deeper than a search may"


@lru_cache(maxsize=256)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _match(expression: str, body: str) -> tuple[bytes, str]:
    try:
        pattern = _pattern(expression)
    except re.error as error:
        return b"?", f"it is no regular expression: {error}"
    return (b"+", "") if pattern.search(body) else (b"-", "")


def _query(expression: str, body: str) -> tuple[bytes, str]:
    import jsonpath  # only when somebody asks: it takes 50 ms

    try:
        query = jsonpath.JSONPathEnvironment(strict=True).compile(expression)
    except jsonpath.JSONPathError as error:
        return b"?", f"it is no JSONPath: {error}"
    try:
        document: Any = json.loads(body)
    except ValueError:
        return b"-", ""
    match = query.match(document)
    if match is None:
        return b"-", ""
    value = match.value
    return b"+", value if isinstance(value, str) else json.dumps(value)


def _answer(out: BinaryIO, kind: bytes, text: str) -> None:
    data = text.encode(errors="replace")[:VALUE_BYTES]
    out.write(ANSWERED.pack(kind, len(data)) + data)
    out.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
