"""A result as a row, and back: what takes room is packed.

``what`` is ``outcome | failure << 2 | flags << 8``. Times are milliseconds, as clocks that are compared over networks
are no better. Phases and the certificate's days are half-precision floats (IEEE 754 binary16): exact to 0.05 %, two
bytes each, and packed by one call. A check that was found up over HTTPS takes some 75 bytes of SQLite with its index.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.result import NO_PHASES, Failure, Observation, Outcome, Phases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.store import Row

COLUMNS: Final = (
    *("seq", "at", "monitor", "source", "delay", "total", "address", "status", "what", "day", "figures", "detail"),
)
DAY_S: Final = 86_400

FAILURES: Final = (
    *("", "resolve", "refused", "unreachable", "reset", "timeout", "tls", "certificate", "protocol", "status"),
    *("content", "redirect", "blocked", "missing", "exit", "blind", "agent"),
)
"""By their number in the tables: what stands here stays where it is, new ones are added at the end."""
_FAILURES: Final = tuple(Failure(name) for name in FAILURES)
_NUMBERS: Final = {failure: number << 2 for number, failure in enumerate(_FAILURES)}
_OUTCOMES: Final = tuple(Outcome)

CONFIRM, LATE, SIMULATED = 1 << 8, 1 << 9, 1 << 10

_HALF_MAX: Final = 65_504.0
"""Largest number of half precision: phases of more than 65 s are told as that."""
_INT_MAX: Final = 2**31 - 1
_DETAIL: Final = 200

_pack5, _unpack5 = struct.Struct("<5e").pack, struct.Struct("<5e").unpack
_pack6, _unpack6 = struct.Struct("<6e").pack, struct.Struct("<6e").unpack
_NAN: Final = math.nan


def day_of(observation: Observation) -> int:
    """On which it was received."""
    return int(observation.received // DAY_S)


def row(seq: int, seen: Observation, monitor: int, source: int, address: int) -> Row:
    """In the order of :data:`COLUMNS`."""
    at = round(seen.at * 1000)
    what = seen.outcome | _NUMBERS[seen.failure]
    if seen.confirm:
        what |= CONFIRM
    if seen.late:
        what |= LATE
    if seen.simulated:
        what |= SIMULATED
    return (
        seq,
        at,
        monitor,
        source,
        _bounded(round(seen.received * 1000) - at),
        _bounded(round(seen.total_ms * 100)),
        address,
        _bounded(seen.status),
        what,
        int(seen.received // DAY_S),
        figures(seen.phases, seen.cert_days),
        seen.detail[:_DETAIL].replace("\0", "") if seen.detail else "",  # PostgreSQL takes no zero bytes
    )


def observation(row: Row, names: Mapping[int, str], sources: Mapping[int, tuple[str, str, str]]) -> Observation:
    """Of :data:`COLUMNS`. Figures are those that were stored, so not exact to the last digit."""
    _, at, monitor, source, delay, total, address, status, what, _, packed, detail = row
    region, domain, agent = sources.get(source, ("", "", ""))
    phases, cert_days = unpacked(packed)
    return Observation(
        monitor=names.get(monitor, ""),
        region=region,
        domain=domain,
        agent=agent,
        at=at / 1000,
        received=(at + delay) / 1000,
        outcome=_OUTCOMES[what & 3],
        failure=_FAILURES[what >> 2 & 63],
        total_ms=total / 100,
        phases=phases,
        status=status,
        detail=detail,
        address=names.get(address, "") if address else "",
        cert_days=cert_days,
        confirm=bool(what & CONFIRM),
        late=bool(what & LATE),
        simulated=bool(what & SIMULATED),
    )


def figures(phases: Phases, cert_days: float | None) -> bytes:
    """Packed; nothing for nothing."""
    if cert_days is None:
        if phases is NO_PHASES or phases == NO_PHASES:
            return b""
        try:
            return _pack5(*_numbers(phases))
        except OverflowError:
            return _pack5(*map(_half, _numbers(phases)))
    numbers = (*_numbers(phases), cert_days)
    try:
        return _pack6(*numbers)
    except OverflowError:
        return _pack6(*map(_half, numbers))


def unpacked(packed: bytes) -> tuple[Phases, float | None]:
    """Phases, and the days that the certificate has left."""
    if not packed:
        return NO_PHASES, None
    if len(packed) == 10:
        return Phases(*map(_number, _unpack5(packed))), None
    *phases, cert_days = map(_number, _unpack6(packed))
    return Phases(*phases), cert_days


def phases_ms(packed: bytes) -> tuple[float, ...]:
    """Without a detour; what there was none of is not a number."""
    return _unpack5(packed) if len(packed) == 10 else _unpack6(packed)[:5]


def _numbers(phases: Phases) -> tuple[float, float, float, float, float]:
    return (
        _NAN if phases.resolve is None else phases.resolve,
        _NAN if phases.connect is None else phases.connect,
        _NAN if phases.tls is None else phases.tls,
        _NAN if phases.first_byte is None else phases.first_byte,
        _NAN if phases.transfer is None else phases.transfer,
    )


def _half(number: float) -> float:
    return number if number != number else max(-_HALF_MAX, min(_HALF_MAX, number))  # noqa: PLR0124 - not a number


def _number(number: float) -> float | None:
    return None if number != number else number  # noqa: PLR0124


def _bounded(number: int) -> int:
    return max(-_INT_MAX, min(_INT_MAX, number))
