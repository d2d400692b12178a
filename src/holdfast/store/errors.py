"""What can go wrong with a store."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class StoreError(HoldfastError):
    """The store cannot be used as it is; the text says what to do."""


class StoreUnavailable(StoreError):
    """The store did not answer in time, or the connection broke. Worth trying again."""


class StoreConflict(StoreError):
    """A uniqueness rule of the schema was broken."""
