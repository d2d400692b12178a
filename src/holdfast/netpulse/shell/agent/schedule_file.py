"""The schedule as it was last ordered, so that an agent that starts while it is cut off goes on watching."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from holdfast.netpulse.core.protocol import ORDERS_BYTES, Target, decoder, encode
from holdfast.netpulse.core.settings import CanarySettings
from holdfast.netpulse.shell.files import replace_file

log = logging.getLogger(__name__)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch."""

    agent: str
    region: str
    version: str
    targets: tuple[Target, ...]
    canaries: tuple[CanarySettings, ...]


def load(path: Path, *, agent: str, region: str) -> Schedule | None:
    """The schedule of this agent; ``None`` when there is none that can be used, which is said."""
    try:
        if path.stat().st_size > ORDERS_BYTES:
            raise ValueError("it is too large")
        schedule = decoder(Schedule).decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _said("the schedule on disk cannot be used", path, error)
        return None
    return schedule if (schedule.agent, schedule.region) == (agent, region) else None


def save(path: Path, schedule: Schedule) -> None:
    """Replace the file, for its owner only: schedules hold passwords. A disk that does not take it is said."""
    try:
        replace_file(path, encode(schedule))
    except OSError as error:
        _said("the schedule could not be kept", path, error)


def _said(text: str, path: Path, error: Exception) -> None:
    log.warning(text, extra={"action": "schedule_file", "file": str(path), "error": str(error)})
