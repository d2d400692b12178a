"""Style, script and icon, each under a name that changes with its content, so that browsers may keep it for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

_PARTS: Final = {
    "blog.css": ("blog.css", "code.css", "figures.css"),  # one style sheet, so that a page waits for one
    "blog.js": ("blog.js",),
    "icon.svg": ("icon.svg",),
}
_LIVE: Final = {"live.js": ("live.js",)}


class Assets:
    """What pages load from the site itself. ``live`` adds what ``holdfast blog serve`` needs."""

    def __init__(self, *, live: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        """By path below the site's root."""
        self._paths: dict[str, str] = {}
        for name, parts in {**_PARTS, **(_LIVE if live else {})}.items():
            data = b"\n".join(_read(part) for part in parts)
            stem, _, kind = name.rpartition(".")
            path = f"static/{stem}.{hashlib.sha256(data).hexdigest()[:12]}.{kind}"
            self.files[path] = data
            self._paths[name] = path

    def path(self, name: str) -> str:
        """Where a file is, below the site's root. Raises ``KeyError``."""
        return self._paths[name]


@cache
def _read(name: str) -> bytes:
    return files("holdfast.blog").joinpath("static", name).read_bytes()
