"""What keeps an agent from working."""

from __future__ import annotations

from holdfast.netpulse.errors import NetpulseError


class AgentError(NetpulseError):
    """The agent cannot start; the text says why and what to do."""


class Unanswered(NetpulseError):
    """The engine did not answer, or not usefully: it is worth asking again."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Forbidden(Unanswered):
    """The engine will not have this agent: its certificate was revoked or has expired, or names another.

    It is about who sends, not about what is sent, so results are kept until a certificate is good again.
    """


class Rejected(NetpulseError):
    """The engine understood and will not take the message, however often it is repeated."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
