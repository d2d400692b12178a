"""Where a service's log goes."""

from __future__ import annotations

import logging
from typing import Final

from holdfast.telemetry import logs

_NO_REQUEST: Final = "aiohttp.http_exceptions"


def log_to_stderr(stream: logs.Stream | None = None, *, interactive: bool | None = None) -> logging.Handler:
    """Set logging up for a service."""
    leave_refused_requests_out()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the balancer says itself when it is ready, and where
    choice = logs.format_from_environment()
    return logs.configure(stream=stream, human=interactive if choice is None else choice)


def leave_refused_requests_out() -> None:
    """Of the log: what is no HTTP is answered 400, and is the fault of whoever sent it.

    aiohttp tells it as an error of ours, with a traceback, so that anybody could fill the log who reaches a port.
    """
    logger = logging.getLogger("aiohttp.server")
    if _is_ours not in logger.filters:
        logger.addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[0] if record.exc_info else None
    return error is None or all(kind.__module__ != _NO_REQUEST for kind in error.__mro__)
