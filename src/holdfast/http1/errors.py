"""What is wrong with a message, as an HTTP status and a reason that a machine can match."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class BadMessage(HoldfastError):
    """A peer broke the rules of HTTP/1.1 or a limit; its connection cannot be used any further.

    ``status`` is what a client is answered (400, 413, 414, 431, 501, 505); for a message that
    came from a backend it is not used. ``reason`` is a stable identifier in ``snake_case``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
