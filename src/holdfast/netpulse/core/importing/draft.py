"""The section that is being made: ids, secrets, and the judgement of every monitor by the rules of the configuration.

What comes out is sound by construction: a monitor that :func:`~holdfast.netpulse.core.monitors.validate_monitor`
would refuse is not in it, and a remark says why. So the result can be put into a file as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

import msgspec
import yaml

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.forms import RANGES
from holdfast.netpulse.core.importing.remarks import Imported, Kind, Reference, Remark
from holdfast.netpulse.core.importing.source import Misread, Place
from holdfast.netpulse.core.monitors import validate_monitor
from holdfast.netpulse.core.settings import MonitorSettings, NetpulseSettings, RegionSettings
from holdfast.netpulse.errors import Invalid

MAX_TEXT: Final = 16 * 1024
"""Characters of one value that the configuration's reader takes."""
MAX_OUT: Final = 2**20
MAX_OUT_NODES: Final = 50_000
"""Bytes and values of a configuration file that its reader takes."""

_REGIONS: Final = {"local": {"embedded": True}}
_SETTINGS: Final = NetpulseSettings(regions={"local": RegionSettings(embedded=True)})
_REFERENCE: Final = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_DROPPABLE: Final[dict[tuple[str, ...], str]] = {
    ("http", "regex"): "the body is not searched",
    ("http", "jsonpath"): "the body's JSON is not looked at",
    ("http", "equals"): "the body's JSON is not compared",
    ("tcp", "expect"): "no answer is waited for",
}
"""Settings without which a monitor still says something, and what it does not say then."""


class Refusal(Exception):
    """This monitor cannot be taken over."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that may not be in the result; a reference to a variable takes its place."""

    value: str
    what: str
    """End of the variable's name: ``PASSWORD``, ``TOKEN``, ``AUTHORIZATION``."""
    path: str
    before: str = ""
    after: str = ""
    """What stands around it, in the notation of the file that was read."""
    fresh: bool = False
    """Not to be taken over, but to be made anew."""


def literal(text: str) -> str:
    """A text in the notation of the configuration file."""
    return text.replace("$", "$$")


def shown(text: str, limit: int = 80) -> str:
    """A text of strangers, fit for a terminal and for one line."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


@dataclass(slots=True)
class Entry:
    """One monitor on its way over."""

    draft: Draft
    name: str
    path: str
    settings: dict[str, Any] = field(default_factory=dict)

    def dropped(self, place: Place | str, message: str) -> None:
        """Say that a part of it is not asked for any more."""
        self._remark("dropped", place, message)

    def changed(self, place: Place | str, message: str) -> None:
        """Say that a part of it is asked otherwise."""
        self._remark("changed", place, message)

    def refuse(self, message: str) -> NoReturn:
        """Give it up."""
        raise Refusal(message)

    def cadence(self, interval: float, timeout: float, place: Place) -> None:
        """Set interval and timeout, each moved into its range where it has to be."""
        low, high = RANGES[MonitorSettings]["interval"]
        every = min(max(interval, low), high)
        if every != interval:
            self.changed(place, f"an interval of {Duration(interval)} becomes {Duration(every)}")
        low, high = RANGES[MonitorSettings]["timeout"]
        limit = min(max(timeout, low), high, every)
        if abs(limit - timeout) > 1e-9:
            self.changed(place, f"a timeout of {Duration(timeout)} becomes {Duration(limit)}")
        self.settings["interval"] = str(Duration(every))
        self.settings["timeout"] = str(Duration(limit))

    def _remark(self, kind: Kind, place: Place | str, message: str) -> None:
        path = place.path if isinstance(place, Place) else place
        self.draft.remarks.append(Remark(kind=kind, place=path, monitor=self.name, message=message))


@dataclass(slots=True)
class Draft:
    """The section on its way: feed it entries, then :meth:`finish`."""

    notation: Callable[[str], str] = literal
    """From the notation of the file that is read to that of the configuration file."""
    monitors: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    """Variables that the file itself refers to; no secret may take the name of one."""
    _values: dict[tuple[str, str], str] = field(default_factory=dict)
    _general: dict[str, int] = field(default_factory=dict)

    def note(self, kind: Kind, place: Place | str, message: str) -> None:
        """Say something that is about no single monitor."""
        path = place.path if isinstance(place, Place) else place
        self.remarks.append(Remark(kind=kind, place=path, monitor="", message=message))

    def general(self, message: str) -> None:
        """Say something that is true of many monitors once, with their number."""
        self._general[message] = self._general.get(message, 0) + 1

    def take(self, place: Place, read: Callable[[Place, Entry], None], *, name: str = "") -> None:
        """Take one monitor over: ``read`` fills its settings, or raises :class:`Refusal` or ``Misread``."""
        entry = Entry(self, shown(name) or place.path, place.path)
        before, general = len(self.remarks), dict(self._general)
        try:
            read(place, entry)
            self._add(entry)
        except (Refusal, Misread) as error:
            del self.remarks[before:]  # of what was given up, only that
            self._general = general
            self.remarks.append(
                Remark(
                    kind="refused",
                    place=error.path if isinstance(error, Misread) else place.path,
                    monitor=entry.name,
                    message=error.message if isinstance(error, Misread) else str(error),
                )
            )

    def finish(self, title: str) -> Imported:
        """The section. Raises :class:`~holdfast.netpulse.errors.Invalid` when there is nothing in it, or too much."""
        remarks = [
            *_once(self.remarks),
            *(
                Remark(kind="note", place="", monitor="", message=f"{message} ({counted(count)})")
                for message, count in self._general.items()
            ),
        ]
        if not self.monitors:
            lines = "".join(f"\n{remark}" for remark in remarks)
            raise Invalid(f"no monitor could be taken over from {title}{lines}")
        section = {"regions": _REGIONS, "monitors": self.monitors}
        text = _render(section, title) if _nodes(section) < MAX_OUT_NODES else ""
        if not text or len(text.encode()) > MAX_OUT:
            raise Invalid(f"{len(self.monitors)} monitors do not fit into one file; split the source")
        return Imported(section=section, text=text, remarks=tuple(remarks), references=tuple(self.references.values()))

    def _add(self, entry: Entry) -> None:
        if len(self.monitors) > MAX_OUT_NODES // 5:  # none is less than five values: it would come to nothing
            raise Invalid(f"more than {len(self.monitors)} monitors do not fit into one file; split the source")
        id = self._id(entry)
        found: dict[str, Reference] = {}
        given = {"name": entry.name, **entry.settings}
        settings = {key: given[key] for key in MonitorSettings.__struct_fields__ if key in given}
        if settings["name"] == id:
            del settings["name"]
        written = self._written(settings, id, entry.path, found)
        while problem := self._problem(id, written):
            what = _DROPPABLE.get(tuple(map(str, problem.path[:2])))
            if what is None:
                where = ".".join(map(str, problem.path))
                entry.refuse(f"{where + ' ' if where else ''}would be {problem.message}; {problem.remedy}")
            kind, name = map(str, problem.path[:2])
            check = written[kind]
            del check[name]
            if name == "jsonpath":
                check.pop("equals", None)
            entry.dropped(entry.path, f"{kind}.{name} would be {problem.message}: {what}")
        self.monitors[id] = written
        self.references.update(found)

    def _problem(self, id: str, written: dict[str, Any]) -> Problem | None:
        # A variable may stand for a name or for a number, and only its owner knows which: either is given the benefit.
        first: Problem | None = None
        for stand_in in ("stand-in-0123456789", "8080"):
            try:
                monitor = msgspec.convert(_filled(written, stand_in), MonitorSettings, dec_hook=_decode)
            except (msgspec.ValidationError, ValueError) as error:
                return Problem(path=(), value=None, message=f"not sound: {error}", remedy="write it by hand")
            problems = validate_monitor(id, monitor, _SETTINGS)
            if not problems:
                return None
            first = first or problems[0]
        return first

    def _id(self, entry: Entry) -> str:
        wanted = slug(entry.name) or slug(entry.path) or "monitor"
        group = slug(str(entry.settings.get("group", "")))
        candidates = [wanted, f"{group}-{wanted}"[:64].strip("-._")] if group else [wanted]
        for candidate in candidates:
            if candidate not in self.monitors:
                return candidate
        number = 2
        while (id := f"{wanted[:58]}-{number}") in self.monitors:
            number += 1
        return id

    def _written(self, value: Any, id: str, path: str, found: dict[str, Reference]) -> Any:
        """Settings in the notation of the configuration file, secrets replaced."""
        if isinstance(value, Mapping):
            return {key: self._written(each, id, path, found) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._written(each, id, path, found) for each in value]
        if isinstance(value, Secret):
            name = self._reference(value, id, found)
            return f"{self.notation(value.before)}${{{name}}}{self.notation(value.after)}"
        if not isinstance(value, str):
            return value
        if len(value) > MAX_TEXT:
            raise Refusal(f"has a text of more than {MAX_TEXT} characters")
        if any(0xD800 <= ord(each) <= 0xDFFF for each in value):
            raise Refusal("has a text that is not Unicode")
        text = self.notation(value)
        for match in _REFERENCE.finditer(text):
            if name := match[1]:
                found.setdefault(
                    name, Reference(name=name, place=path, message="taken from the environment there, too")
                )
        return text

    def _reference(self, secret: Secret, id: str, found: dict[str, Reference]) -> str:
        key = (secret.what, secret.value)
        if not secret.fresh and secret.value:
            name = self._values.get(key, "")
            if name in self.references or name in found:  # one key that twenty monitors carry stays one variable
                return name
        wanted = re.sub(r"[^A-Z0-9]+", "_", f"{id}_{secret.what}".upper()).strip("_")
        wanted = wanted if not wanted[0].isdigit() else f"M_{wanted}"
        name, number = wanted, 2
        while name in self.references or name in found or name in self.reserved:
            name, number = f"{re.sub(r'_[A-Z]+$', '', wanted)}_{number}_{secret.what}", number + 1
        if secret.fresh:
            message = "make a token for it: 16 to 128 letters, digits, hyphens and underscores, by chance"
        elif secret.value:
            message = "set it to what stands in the source"
            self._values[key] = name
        else:
            message = "set it to what the file that is named in the source holds"
        found[name] = Reference(name=name, place=secret.path, message=message)
        return name


def _once(remarks: Sequence[Remark]) -> Iterator[Remark]:
    """Remarks on what several monitors share, a module of blackbox_exporter for instance, once with their number."""
    times = Counter((each.kind, each.place, each.message) for each in remarks)
    for each in remarks:
        count = times.pop((each.kind, each.place, each.message), 0)
        if count == 1:
            yield each
        elif count:
            yield replace(each, monitor="", message=f"{each.message} ({counted(count)})")


def counted(number: int) -> str:
    """``1 monitor``, ``2 monitors``."""
    return f"{number} monitor" if number == 1 else f"{number} monitors"


def slug(text: str) -> str:
    """A name as an id: lower-case letters, digits, dots, hyphens and underscores; may be empty."""
    text = re.sub(r"^[a-z]+://", "", text[:400])
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9._\-]+", "-", ascii_only)).strip("-._")[:60].strip("-._")


def _filled(value: Any, stand_in: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, stand_in) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, stand_in) for each in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: stand_in if match[1] else "$", value)
    return value


def _decode(kind: type, value: Any) -> Any:
    if kind in (Duration, Size):
        return kind.parse(value)
    raise NotImplementedError(kind)


def _render(section: Mapping[str, Any], title: str) -> str:
    rest = {key: value for key, value in section.items() if key != "regions"}
    body = yaml.dump(rest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    indented = "".join(f"  {line}\n" if line else "\n" for line in body.splitlines())
    head = f"# Taken over from {title}. Say in `regions` where it is watched from.\nnetpulse:\n"
    return f"{head}  regions: {{local: {{embedded: true}}}}\n{indented}"


class _Dumper(yaml.SafeDumper):
    """Lists on one line: they are short here."""

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)

    def ignore_aliases(self, data: Any) -> bool:  # the reader takes none
        return True


_Dumper.add_representer(list, _Dumper.represent_list)


def _nodes(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_nodes, value.values()))
    return 1 + sum(map(_nodes, value)) if isinstance(value, (list, tuple)) else 1
