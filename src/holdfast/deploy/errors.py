"""What the deploy planner refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.kernel import HoldfastError
from holdfast.kernel.settings import Problem


class DeployError(HoldfastError):
    """Base of what this room raises."""


class Invalid(DeployError):
    """What was asked for cannot be read, or contradicts itself."""

    exit_code = 2

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


class NothingFits(DeployError):
    """No platform carries a workload; the text names the closest and what would have to give."""


class ToolFailed(DeployError):
    """A checker or generator that we call did not do its work."""
