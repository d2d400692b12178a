"""What NetPulse knows, on SQLite or PostgreSQL."""

from holdfast.netpulse.shell.records.records import NetpulseRecords

__all__ = ["NetpulseRecords"]
