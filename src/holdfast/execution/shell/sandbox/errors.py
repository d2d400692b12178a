"""What a sandbox raises. What a *program* does is never an exception but an outcome."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class SandboxError(HoldfastError):
    """Base class. ``where`` is the program, file or slot; ``remedy`` what to do about it."""

    def __init__(self, error: str, *, where: str, remedy: str) -> None:
        """Keep the three parts apart, for those who show them as fields."""
        super().__init__(f"{where}: {error}; {remedy}")
        self.error = error
        self.where = where
        self.remedy = remedy


class SandboxUnavailable(SandboxError):
    """This machine cannot isolate or limit programs as it was asked to."""


class SlotBroken(SandboxError):
    """A slot did not do what it was told in time. It is replaced; the job may be tried again."""
