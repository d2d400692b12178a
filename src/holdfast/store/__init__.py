"""Records and queues on SQLite (embedded) or PostgreSQL (to outgrow one machine)."""

from holdfast.store.address import redacted
from holdfast.store.database import Database, Dialect, Row, Tx
from holdfast.store.errors import StoreConflict, StoreError, StoreUnavailable
from holdfast.store.open import open_database
from holdfast.store.settings import StoreSettings
from holdfast.store.validate import validate

__all__ = [
    "Database",
    "Dialect",
    "Row",
    "StoreConflict",
    "StoreError",
    "StoreSettings",
    "StoreUnavailable",
    "Tx",
    "open_database",
    "redacted",
    "validate",
]
