"""Bounds of one message."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may send. All sizes in bytes.

    The defaults stand between nginx (8 KiB a line, 32 KiB in all) and HAProxy (16 KiB in all).
    """

    request_line: int = 8 * 1024
    header_block: int = 32 * 1024
    headers: int = 100
    body: int | None = None

    def __post_init__(self) -> None:
        if min(self.request_line, self.header_block, self.headers) < 1:
            raise ValueError("limits of the request line, the header block and the header count must be at least 1")
