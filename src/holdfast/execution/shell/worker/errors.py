"""What keeps a worker from working."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class WorkerError(HoldfastError):
    """The worker cannot start; the text says why and what to do."""


class Unanswered(HoldfastError):
    """The API did not answer, or not usefully: it is worth asking again."""


class Rejected(HoldfastError):
    """The API understood and will not take the request, however often it is repeated."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
