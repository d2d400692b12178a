"""Records and queues on SQLite (embedded) or PostgreSQL (to outgrow one machine)."""

from holdfast.store.database import Database, Dialect, Row, Tx
from holdfast.store.errors import StoreConflict, StoreError, StoreUnavailable
from holdfast.store.settings import StoreSettings

__all__ = ["Database", "Dialect", "Row", "StoreConflict", "StoreError", "StoreSettings", "StoreUnavailable", "Tx"]
