"""What the blog refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.kernel import HoldfastError

if TYPE_CHECKING:
    from holdfast.blog.core.fault import Fault


class BlogError(HoldfastError):
    """Base of what this room raises."""


class BlogInvalid(BlogError):
    """What was asked for cannot be done as it was asked: a slug that is none, a file that is there already."""

    exit_code = 2


class Refused(BlogError):
    """Posts that cannot be published as they are; every fault is named with its place and its remedy."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class OutputNotOurs(BlogError):
    """The folder to write into holds files that no build of ours wrote; nothing in it was touched."""

    exit_code = 2


class OutputFailed(BlogError):
    """The folder could not be written to its end: no room, or no right to."""


class RenderFailed(BlogError):
    """A library that draws or formats for us did not do its work."""


class ShootFailed(BlogError):
    """A picture could not be taken: no browser, no console, or something did not come."""
