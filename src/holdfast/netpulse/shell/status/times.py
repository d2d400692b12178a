"""Moments as the page, the feeds and the JSON write them. Seconds since the epoch in, UTC out."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def iso(at: float) -> str:
    """``2026-01-31T12:00:00Z`` (RFC 3339)."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(at: float) -> str:
    """``31 Jan 2026, 12:00 UTC``."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y, %H:%M UTC")


def mail(at: float) -> str:
    """``Sat, 31 Jan 2026 12:00:00 +0000`` (RFC 5322)."""
    return format_datetime(datetime.fromtimestamp(at, UTC))
