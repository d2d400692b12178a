"""What can be wrong with evidence."""

from __future__ import annotations

from pathlib import Path

from holdfast.kernel import HoldfastError


class EvidenceError(HoldfastError):
    """Base class of this package."""


class ExpressionError(EvidenceError):
    """The ``from`` of a metric cannot be computed."""

    def __init__(self, expression: str, what: str) -> None:
        self.expression = expression
        super().__init__(f"the expression {expression!r} {what}")


class RecordUnreadableError(EvidenceError):
    """A file is not an evidence record."""

    exit_code = 2

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f"{path}: {what}; write records with 'holdfast drill run'")


class RecordInconsistentError(EvidenceError):
    """A record says something that its own samples do not."""

    def __init__(self, identity: str, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"evidence {identity} contradicts its own samples: " + "; ".join(faults))


class RecordExistsError(EvidenceError):
    """Records are never overwritten."""


class RecordsIncomparableError(EvidenceError):
    """Two records of different drills say nothing about each other."""

    exit_code = 2
