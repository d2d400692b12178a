"""What NetPulse refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.kernel import HoldfastError
from holdfast.kernel.settings import Problem


class NetpulseError(HoldfastError):
    """Base of what this room raises."""


class NotFound(NetpulseError):
    """No such thing for this tenant."""


class Conflict(NetpulseError):
    """It exists already, or its state does not allow this."""


class ReadOnly(NetpulseError):
    """It is written in the configuration file; change it there."""


class Superseded(NetpulseError):
    """Another engine has taken over the records; this one has to stop deciding."""


class Invalid(NetpulseError):
    """What was given is wrong."""

    exit_code = 2

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)
