"""Pictures of the running console, taken again whenever somebody asks for it.

``content/shots.yaml`` says how each comes about::

    shots/backends.png:                      # below content/public, as posts link to it
      steps:
        - open: /monitors                    # a path of the console
        - wait: "tr[data-m=backend-c]"       # a CSS selector, at most `within` seconds
          text: flapping                     # and what one of those elements has to say
        - click: "tr[data-m=backend-c] a"
      size: [1200, 760]
      scheme: light
      only: main                             # one element instead of what is in sight
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import yaml

from holdfast.blog.core.fault import Fault
from holdfast.blog.errors import Refused, ShootFailed
from holdfast.blog.shell import output
from holdfast.blog.shell.browser import Scheme, Tab, browser, find_browser
from holdfast.blog.shell.files import PUBLIC

SHOTS: Final = "shots.yaml"
WITHIN_S: Final = 30.0
_LARGEST_FILE: Final = 256 * 1024
_LARGEST_PICTURE: Final = 1 << 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*(?:/[a-z0-9][a-z0-9-]*)*\.png")
_SHOWN: Final = 400

_Words = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
_Side = Annotated[int, msgspec.Meta(ge=200, le=3000)]


class Typing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text for a field."""

    into: _Words
    text: _Words


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to do; exactly one of the first four is there."""

    open: Annotated[str, msgspec.Meta(pattern=r"^/(?!/)[^\s\\]*$", max_length=500)] = ""
    wait: Annotated[str, msgspec.Meta(max_length=500)] = ""
    text: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """What an element that is waited for has to say."""
    click: Annotated[str, msgspec.Meta(max_length=500)] = ""
    type: Typing | None = None
    within: Annotated[float, msgspec.Meta(gt=0, le=600)] = WITHIN_S
    """Seconds for what a step waits for."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.open, self.wait, self.click, self.type))) != 1:
            raise ValueError("a step is one of open, wait, click and type")
        if self.text and not self.wait:
            raise ValueError("text belongs to a wait")

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class Shot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one picture comes about."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=200)]
    size: tuple[_Side, _Side] = (1200, 760)
    """Width and height of the window in pixels."""
    scheme: Scheme = "light"
    only: Annotated[str, msgspec.Meta(max_length=500)] = ""
    """Selector of the element that the picture shows; all that is in sight without."""


def read_shots(content: Path) -> dict[str, Shot]:
    """By path below ``content/public``. Raises :class:`Refused` with place and remedy; empty where no file is."""
    path = content / SHOTS
    name = f"{content.name}/{SHOTS}"
    try:
        with path.open("rb") as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _refused(name, 0, error.strerror or str(error), "make it a file that can be read") from error
    if len(data) > _LARGEST_FILE:
        raise _refused(name, 0, f"more than {_LARGEST_FILE:,} bytes", "take out what no post shows")
    try:
        raw = yaml.safe_load(data.decode())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _refused(name, line, f"not YAML: {error.problem}", "docs/blog.md shows one") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(name, 0, f"not YAML: {error}", "docs/blog.md shows one") from error
    if not isinstance(raw, dict | None):
        raise _refused(name, 1, "not a mapping of pictures", "begin it with shots/name.png: and its steps")
    return {str(key): _shot(name, str(key), value) for key, value in (raw or {}).items()}


def _shot(file: str, key: str, value: Any) -> Shot:
    if not _NAME.fullmatch(key):
        raise _refused(file, 0, f"{key!r} is no picture below content/public", "name it like shots/backends.png")
    try:
        return msgspec.convert(value, Shot)
    except msgspec.ValidationError as error:
        raise _refused(file, 0, f"{key}: {error}", "docs/blog.md shows what a picture has") from error


def _refused(file: str, line: int, message: str, remedy: str) -> Refused:
    return Refused([Fault(file=file, line=line, message=message, remedy=remedy)])


async def shoot(
    content: Path,
    names: Sequence[str],
    *,
    url: str,
    program: str = "",
    told: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Take these pictures (all without names) of the console at ``url``, and write each into its place.

    One that cannot be taken leaves the file that was there. Raises :class:`Refused`, :class:`ShootFailed`.
    """
    shots = read_shots(content)
    if not shots:
        raise ShootFailed(f"{content / SHOTS} names no picture; docs/blog.md shows how")
    unknown = [name for name in names if name not in shots]
    if unknown:
        raise ShootFailed(f"{content / SHOTS} has no {', '.join(unknown)}; it has {', '.join(shots)}")
    written = []
    base = url.rstrip("/")
    async with browser(find_browser(program)) as tab:
        for name in names or shots:
            picture = await _taken(tab, name, shots[name], base)
            if len(picture) > _LARGEST_PICTURE:
                raise ShootFailed(f"{name}: {len(picture):,} bytes; make its size smaller, or show one element only")
            target = content / PUBLIC / name
            target.parent.mkdir(parents=True, exist_ok=True)
            output.replace(target, picture)
            written.append(target)
            told(f"{target}: {len(picture):,} bytes")
    return tuple(written)


async def _taken(tab: Tab, name: str, shot: Shot, base: str) -> bytes:
    await tab.look(*shot.size, shot.scheme)
    for number, step in enumerate(shot.steps, 1):
        awaited = step.wait or step.click or (step.type.into if step.type else "")
        try:
            if step.open:
                await tab.open(base + step.open)
            await _await(tab, awaited, step.within, step.text)
            if step.click:
                await tab.click(step.click)
            elif step.type is not None:
                await tab.type(step.type.into, step.type.text)
        except ShootFailed as error:
            raise ShootFailed(f"{name}, step {number} {step}: {error}") from error
    try:
        await _await(tab, shot.only, WITHIN_S)
        return await tab.picture(shot.only)
    except ShootFailed as error:
        raise ShootFailed(f"{name}, its picture of {shot.only or 'the page'}: {error}") from error


async def _await(tab: Tab, selector: str, within_s: float, text: str = "") -> None:
    if not selector:
        return
    wanted, said = (msgspec.json.encode(each).decode() for each in (selector, text))
    found = f"[...document.querySelectorAll({wanted})].some((e) => e.innerText.includes({said}))"
    if not await tab.wait(found if text else f"document.querySelector({wanted})", within_s=within_s):
        what = f"{selector!r} with {text!r}" if text else repr(selector)
        there = " ".join((await tab.text()).split())[:_SHOWN]
        raise ShootFailed(f"{what} did not come within {within_s:g} s; what is there: {there}")
