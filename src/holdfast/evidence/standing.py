"""How the evidence of each drill stands: whether it is there, sound, and about the code as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.evidence.archive import load, stale_inputs
from holdfast.evidence.errors import EvidenceError
from holdfast.evidence.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One drill and its newest full record."""

    drill: str
    path: Path | None
    """``None``: there is no full record."""
    record: Record | None
    """``None`` also where the file cannot be read or contradicts itself; ``fault`` says so."""
    fault: str = ""
    stale: tuple[str, ...] = ()
    """Inputs that have changed or gone since."""

    @property
    def sound(self) -> bool:
        """Whether there is a record that says what its samples say."""
        return self.record is not None

    @property
    def current(self) -> bool:
        """Whether it is sound and nothing that it ran on has changed."""
        return self.sound and not self.stale


def newest(directory: Path, drill: str) -> Path | None:
    """The last full record of a drill, by the time in its name; quick runs are none."""
    files = [path for path in (directory / drill).glob("*.json") if not path.stem.endswith("-quick")]
    return max(files, key=lambda path: path.stem, default=None)


def standing(directory: Path, drill: str, root: Path) -> Standing:
    """How one drill stands. An unsound newest record is not passed over for an older one: somebody has to see it."""
    path = newest(directory, drill)
    if path is None:
        return Standing(drill=drill, path=None, record=None, fault="no full record")
    try:
        record = load(path)
    except EvidenceError as error:
        return Standing(drill=drill, path=path, record=None, fault=str(error))
    if (record.drill, record.id) != (drill, path.stem):
        fault = f"{path} is the record {record.id} of {record.drill}: it lies in the wrong place"
        return Standing(drill=drill, path=path, record=None, fault=fault)
    return Standing(drill=drill, path=path, record=record, stale=stale_inputs(record, root))


def standings(directory: Path, drills: Sequence[str], root: Path) -> tuple[Standing, ...]:
    """All of them, and after them what lies in the directory of drills that are no more."""
    kept = sorted(folder.name for folder in directory.iterdir() if folder.is_dir()) if directory.is_dir() else []
    names = dict.fromkeys((*drills, *(name for name in kept if newest(directory, name) is not None)))
    return tuple(standing(directory, name, root) for name in names)
