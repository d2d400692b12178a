"""Numbers for the names that every result would repeat: monitors, regions, agents, addresses.

A name is known by the day on which it was last used, written once a day: so what nobody uses any more can be forgotten.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.netpulse.shell.records import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from holdfast.store import Tx


class Kind(IntEnum):
    """Of a name."""

    DROPPED = 0
    """A monitor that is no more; its name is its number, until everything of it was removed."""
    MONITOR = 1
    REGION = 2
    SOURCE = 3
    """Region, failure domain and agent, as a JSON array."""
    ADDRESS = 4


class Names:
    """What is known in this process of the names used today."""

    def __init__(self) -> None:
        self.generation = 0
        """Counts the times that it forgot."""
        self._day = 0
        self._known: dict[Kind, dict[str, int]] = {}

    def resolve(self, tx: Tx, day: int, wanted: Mapping[Kind, Collection[str]]) -> dict[Kind, dict[str, int]]:
        """The numbers of names that are used on a day. To be given to :meth:`learn` after the commit."""
        known = self._known if day == self._day else {}
        numbers: dict[Kind, dict[str, int]] = {}
        for kind, names in wanted.items():
            of = known.get(kind, {})
            numbers[kind] = {name: of[name] for name in names if name in of}
            if unknown := [name for name in names if name not in of]:
                statement = sql.of(tx.dialect, sql.NAMES_USED)
                numbers[kind].update(tx.all(statement, int(kind), day, sql.several(tx.dialect, unknown)))
        return numbers

    def learn(self, day: int, numbers: Mapping[Kind, Mapping[str, int]], generation: int) -> None:
        """They are on disk, unless they were read before the last :meth:`forget` and may have been removed since."""
        if generation != self.generation:
            return
        if day != self._day:
            self._day, self._known = day, {}
        for kind, of in numbers.items():
            self._known.setdefault(kind, {}).update(of)

    def forget(self) -> None:
        """Some may have been removed."""
        self.generation += 1
        self._known = {}


def source(region: str, domain: str, agent: str) -> str:
    """The name of a source."""
    return msgspec.json.encode((region, domain, agent)).decode()


def parts(source: str) -> tuple[str, str, str]:
    """Region, domain and agent of a source."""
    return msgspec.json.decode(source, type=tuple[str, str, str])


def look_up(tx: Tx, ids: Iterable[Any]) -> dict[int, str]:
    """The names of numbers; those that were forgotten are missing."""
    wanted = sql.several(tx.dialect, {int(id) for id in ids})
    return dict(tx.all(sql.of(tx.dialect, sql.NAMES), wanted))
