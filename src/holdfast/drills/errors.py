"""What can go wrong with a drill itself, as opposed to with what it tests."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class DrillError(HoldfastError):
    """The drill could not be carried out, so it says nothing about its subject."""


class UnknownDrillError(DrillError):
    """No drill has that name."""

    exit_code = 2


class ToolMissingError(DrillError):
    """A program that the drill cannot do without is not installed."""

    exit_code = 2

    def __init__(self, program: str, package: str) -> None:
        self.program = program
        self.remedy = f"apt-get install {package}"
        super().__init__(f"{program} is not installed; {self.remedy}")


class ProcessFailedError(DrillError):
    """A process of the drill ended, or did not get ready in time."""
