"""Statements with ``?`` in the form that PostgreSQL takes."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count
from typing import Final

_PARTS: Final = re.compile(
    r"""
      '(?:[^']|'')*'            # text
    | "(?:[^"]|"")*"            # a name
    | --[^\n]*                  # a comment
    | /\*.*?\*/
    | (\$[a-z_]*\$).*?\1        # a function's body
    | (\?)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def numbered(sql: str) -> bytes:
    """``a = ? AND b = ?`` becomes ``a = $1 AND b = $2``; what stands in quotes and comments is left alone.

    Numbers need no escaping of ``%``, and psycopg sends such a statement as it is.
    """
    numbers = count(1)
    return _PARTS.sub(lambda part: f"${next(numbers)}" if part[2] else part[0], sql).encode()
