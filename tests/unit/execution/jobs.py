"""Jobs as the API hands them out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from holdfast.execution.core.protocol import WireFile, WireJob, WireLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = WireLimits(wall_s=20.0, cpu_s=20.0, memory_bytes=512 * 2**20, output_bytes=2**20, processes=128)
_numbers = itertools.count(1)


def job(language: str, files: Mapping[str, str | bytes], **fields: Any) -> WireJob:
    """A job; its entry is the first file."""
    wire = tuple(
        WireFile(path=path, data=text if isinstance(text, bytes) else text.encode()) for path, text in files.items()
    )
    values: dict[str, Any] = {
        "id": f"job{next(_numbers):04}",
        "tenant": "acme",
        "token": 1,
        "attempt": 1,
        "language": language,
        "files": wire,
        "entry": wire[0].path,
        "limits": LIMITS,
        "compile_limits": LIMITS,
        **fields,
    }
    return WireJob(**values)
