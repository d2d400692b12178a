"""What can be wrong with a request to this API, beyond what can be with any (see :mod:`holdfast.web.problems`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from holdfast.kernel.settings import Path
from holdfast.kernel.settings import Problem as SettingsProblem
from holdfast.netpulse.errors import Conflict, Invalid, NetpulseError, NotFound, ReadOnly, Superseded
from holdfast.web import problems
from holdfast.web.problems import COMMON, Fault, ProblemType, catalogue

TYPES: Final = catalogue(
    *COMMON.values(),
    ProblemType(
        "conflict",
        409,
        "Its state does not allow this",
        "It exists already, or is not in a state for this; see detail.",
    ),
    ProblemType(
        "read-only",
        409,
        "It is written in the configuration file",
        "What the file says is changed in the file, and taken up on reload. What the API made is changed by the API.",
    ),
    ProblemType(
        "not-leading",
        503,
        "Another engine has taken over",
        "This process decides nothing any more and is about to end; ask the one that took over.",
    ),
)
"""Every type by name; documentation and tests go by it."""


class ProblemError(problems.ProblemError):
    """A request ends with a problem of :data:`TYPES`."""

    types = TYPES


def dotted(path: Path) -> str:
    """``("regions", 0)`` as ``regions[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def invalid(found: Iterable[SettingsProblem], *, what: str) -> ProblemError:
    """All that is wrong with a body. Values are left out: they may be secret."""
    faults = [Fault(path=dotted(each.path), message=each.message, remedy=each.remedy) for each in found]
    if not faults:
        return ProblemError("invalid-request", what)
    first = faults[0]
    text = f"{first.path}: {first.message}" if first.path else first.message
    more = f" (and {len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
    return ProblemError("invalid-request", f"{text}; {first.remedy}{more}", field=first.path or None, errors=faults)


def refusal(error: NetpulseError) -> ProblemError:
    """The problem that the engine's answer is."""
    if isinstance(error, Invalid):
        return invalid(error.problems, what=str(error))
    for kind, name in _NAMES.items():
        if isinstance(error, kind):
            return ProblemError(name, str(error))
    return ProblemError("internal-error", "see the log of the service")


_NAMES: Final[dict[type[NetpulseError], str]] = {
    NotFound: "not-found",
    ReadOnly: "read-only",
    Conflict: "conflict",
    Superseded: "not-leading",
}
