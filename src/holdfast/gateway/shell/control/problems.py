"""What can be wrong with a request to the control API, beyond what can be with any."""

from __future__ import annotations

from typing import Final

from holdfast.gateway.shell.tools.problems import TYPES as TOOL_TYPES
from holdfast.web import problems
from holdfast.web.problems import COMMON, ProblemType, catalogue

TYPES: Final = catalogue(
    *COMMON.values(),
    *TOOL_TYPES.values(),
    ProblemType(
        "not-ready",
        503,
        "The gateway cannot account for requests",
        "The store or the journal does not answer: nothing is sent to a provider that cannot be written down.",
    ),
)
"""Every type by name, those of tools, sessions and runs among them; documentation and tests go by it."""


class ProblemError(problems.ProblemError):
    """A request ends with a problem of :data:`TYPES`."""

    types = TYPES
