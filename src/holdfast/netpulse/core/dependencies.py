"""Who cannot work without whom: the graph that ``depends_on`` draws.

``holdfast check`` refuses cycles (:func:`cycles`) and parents that do not exist (:func:`unknown`). A graph that has
them all the same, because monitors were made and dropped one by one, loses nothing: unknown parents are left out, and
walks visit each monitor once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence


class Dependencies:
    """A graph that does not change. What was asked once is kept."""

    __slots__ = ("_above", "_below", "_children", "_parents")

    def __init__(self, depends_on: Mapping[str, Sequence[str]]) -> None:
        self._parents = {
            monitor: tuple(parent for parent in dict.fromkeys(parents) if parent in depends_on and parent != monitor)
            for monitor, parents in depends_on.items()
        }
        children: dict[str, list[str]] = {}
        for monitor, parents in self._parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(monitor)
        self._children = children
        self._above: dict[str, tuple[str, ...]] = {}
        self._below: dict[str, tuple[str, ...]] = {}

    def ancestors(self, monitor: str) -> tuple[str, ...]:
        """Parents, their parents and so on, the nearest first; never the monitor itself."""
        if monitor not in self._above:
            self._above[monitor] = _walk(monitor, self._parents)
        return self._above[monitor]

    def descendants(self, monitor: str) -> tuple[str, ...]:
        """All that depend on it, directly or not, the nearest first."""
        if monitor not in self._below:
            self._below[monitor] = _walk(monitor, self._children)
        return self._below[monitor]


def _walk(start: str, edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = deque([start])
    while waiting:
        for name in edges.get(waiting.popleft(), ()):
            if name != start and name not in found:
                found[name] = None
                waiting.append(name)
    return tuple(found)


def unknown(depends_on: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Pairs of a monitor and a parent of it that does not exist."""
    return [
        (monitor, parent) for monitor, parents in depends_on.items() for parent in parents if parent not in depends_on
    ]


def cycles(depends_on: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Circles of dependencies, each as a way round that ends where it began: ``("a", "b", "a")``.

    Not all there are (that can be exponentially many), but none exactly when there is none. Every edge is looked at
    once.
    """
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in depends_on:
        if start in done:
            continue
        path: list[str] = [start]
        place = {start: 0}  # where a monitor stands on the path
        ways = [iter(depends_on[start])]
        while ways:
            parent = next(ways[-1], None)
            if parent is None:
                ways.pop()
                left = path.pop()
                del place[left]
                done.add(left)
            elif parent in place:
                found.append((*path[place[parent] :], parent))
            elif parent in depends_on and parent not in done:
                place[parent] = len(path)
                path.append(parent)
                ways.append(iter(depends_on[parent]))
    return found
