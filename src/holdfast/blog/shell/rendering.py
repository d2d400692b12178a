"""Posts to pages, in one process or several.

Reading a post and drawing its page take some ten milliseconds of pure Python, so a cold build of many posts divides
them among processes. Between its two steps everybody has to know what there is to link to: each worker reads its
posts, tells their addresses, gets those of all, and renders.
"""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Post
from holdfast.blog.core.render import render
from holdfast.blog.core.site import Address
from holdfast.blog.core.surroundings import NOWHERE, Surroundings
from holdfast.blog.errors import Refused, RenderFailed
from holdfast.blog.shell.assets import Assets
from holdfast.blog.shell.entry import Entry, entry_of
from holdfast.blog.shell.figures import Figures
from holdfast.blog.shell.pages import Pages, Picture, base_path
from holdfast.blog.shell.quotations import Quotations
from holdfast.blog.shell.readings import RecordedReadings

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

POSTS_PER_WORKER: Final = 32
"""Fewer are done sooner than another process is started."""
_WORKER_S: Final = 600.0
CARD_SIZE: Final = (1200, 630)


class Written(NamedTuple):
    """A post's file."""

    file: str
    text: str
    digest: str


class Place(NamedTuple):
    """What others have to know of a post to judge their links."""

    slug: str
    draft: bool
    tags: tuple[str, ...]
    companies: tuple[str, ...]
    redirect_from: tuple[str, ...]
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a page depends on besides its post."""

    address: Address
    root: Path
    evidence: Path
    today: dt.date
    drafts: bool = False
    allow_stale: bool = False
    cards: bool = True
    live: str = ""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of pictures, by path below the site's root."""
    site_card: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A post, ready to be written."""

    file: str
    digest: str
    card: str
    entry: Entry
    pages: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What became of posts."""

    made: tuple[Made, ...] = ()
    faults: tuple[Fault, ...] = ()


def rendered(
    posts: Sequence[Written],
    setting: Setting,
    *,
    surroundings: Callable[[Sequence[Place]], Surroundings],
    cards: dict[str, str],
    workers: int = 1,
) -> Rendering:
    """Render posts. ``cards`` are digests of the cards that there are already, by slug.

    With several ``workers`` processes are forked, so no thread of this one may hold a lock. Raises
    :class:`~holdfast.blog.errors.RenderFailed` when one of them dies.
    """
    count = min(workers, len(posts) // POSTS_PER_WORKER)
    if count < 2:
        return _work(posts, setting, surroundings, cards)
    context = multiprocessing.get_context("fork")
    crew: list[tuple[ForkProcess, Connection]] = []
    quotations = Quotations(setting.root)
    gc.freeze()  # what is here already would be looked at, and copied, in every collection of every worker
    try:
        for number in range(count):
            ours, theirs = context.Pipe()
            share = posts[number::count]
            process = context.Process(target=_labour, args=(theirs, share, setting, cards, quotations), daemon=True)
            process.start()
            theirs.close()
            crew.append((process, ours))
        told = [_receive(pipe) for _, pipe in crew]
        around_all = surroundings([place for places in told for place in places])
        bare = replace(around_all, quoted=NOWHERE.quoted)  # a process knows the repository itself
        for _, pipe in crew:
            pipe.send(bare)
        found = [_receive(pipe) for _, pipe in crew]
        return Rendering(
            made=tuple(one for part in found for one in part.made),
            faults=tuple(fault for part in found for fault in part.faults),
        )
    finally:
        gc.unfreeze()
        for process, pipe in crew:
            pipe.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


def _receive(pipe: Connection) -> Any:
    try:
        if not pipe.poll(_WORKER_S):
            raise RenderFailed(f"a process that renders posts said nothing for {_WORKER_S:.0f} s; build with --jobs 1")
        answer = pipe.recv()
    except (EOFError, OSError) as error:
        raise RenderFailed("a process that renders posts has died; build with --jobs 1 to see why") from error
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _labour(
    pipe: Connection, posts: Sequence[Written], setting: Setting, cards: dict[str, str], quotations: Quotations
) -> None:
    """What a worker does."""
    gc.disable()  # it ends in seconds, and tokens form no cycles worth a collection

    def exchange(places: Sequence[Place]) -> Surroundings:
        pipe.send(list(places))
        told: Surroundings = pipe.recv()
        return replace(told, quoted=quotations.quoted)

    try:
        pipe.send(_work(posts, setting, exchange, cards))
    except (EOFError, BrokenPipeError):
        pass  # nobody waits any more
    except Exception as error:  # noqa: BLE001 - told to who waits, with its words: tracebacks do not travel
        pipe.send(RenderFailed(f"{type(error).__name__}: {error}"))
    finally:
        pipe.close()


def _work(
    posts: Sequence[Written],
    setting: Setting,
    surroundings: Callable[[Sequence[Place]], Surroundings],
    cards: dict[str, str],
) -> Rendering:
    faults: list[Fault] = []
    read: list[tuple[Written, Post]] = []
    for written in posts:
        try:
            post = parse(written.text, file=written.file)
        except Refused as refused:
            faults += refused.faults
            continue
        if setting.drafts or not post.draft:
            read.append((written, post))
    around_them = surroundings(
        [Place(post.slug, post.draft, post.tags, post.companies, post.redirect_from, post.headings) for _, post in read]
    )
    studio = _Studio(setting)
    made = []
    for written, post in read:
        try:
            made.append(studio.make(written, post, around_them, cards.get(post.slug, "")))
        except Refused as refused:
            faults += refused.faults
    return Rendering(made=tuple(made), faults=tuple(faults))


class _Studio:
    """Everything that a page is made with."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._base = base_path(setting.address)
        self._readings = RecordedReadings(setting.evidence, setting.root)
        self._figures = Figures(base=self._base, allow_stale=setting.allow_stale)
        assets = Assets(live=bool(setting.live))
        self._pages = Pages(setting.address, assets, card=setting.site_card, live=setting.live)

    def make(self, written: Written, post: Post, surroundings: Surroundings, card: str) -> Made:
        setting = self._setting
        one = render(
            post,
            readings=self._readings,
            draughtsman=self._figures,
            today=setting.today,
            base=self._base,
            surroundings=surroundings,
            allow_stale=setting.allow_stale,
        )
        entry = entry_of(one, self._readings)
        pages = dict(one.assets)
        digest, picture = "", None
        if setting.cards and not entry.draft:
            path = f"cards/{entry.slug}.png"
            digest = _card_digest(entry, setting.address)
            picture = Picture(path=path, width=CARD_SIZE[0], height=CARD_SIZE[1])
            if digest != card:
                pages[path] = draw_card(entry, setting.address)
        pages[f"{entry.path}index.html"] = self._pages.post(entry, one, card=picture, sizes=setting.sizes)
        return Made(file=written.file, digest=written.digest, card=digest, entry=entry, pages=pages)


def draw_card(entry: Entry, address: Address) -> bytes:
    """The picture that others show for a post."""
    from holdfast.blog.shell.cards import card

    return card(entry.title, entry.summary, entry.published_at, entry.tags, site=address.title)


def _card_digest(entry: Entry, address: Address) -> str:
    parts = (entry.title, entry.summary, entry.published_at, entry.tags, address.title)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]
