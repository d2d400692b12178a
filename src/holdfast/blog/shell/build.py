"""From posts on disk to a site on disk: what changed is made, everything else stays as it is.

A post is made again when its file has changed, when this code, the address or a record has, or when something that
posts could point at has gone. Lists, feeds and the search index are made of entries, which are kept between builds, and
written where their bytes differ. The same input gives the same bytes, whatever was built before.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.reference import Unbacked
from holdfast.blog.core.site import Address
from holdfast.blog.core.surroundings import Surroundings, around
from holdfast.blog.errors import OutputFailed, OutputNotOurs, Refused
from holdfast.blog.shell import output
from holdfast.blog.shell.assets import Assets
from holdfast.blog.shell.cache import CACHE, Cache, Kept, made_with, read_cache
from holdfast.blog.shell.entry import Entry, grouped, newest_first
from holdfast.blog.shell.feeds import documents
from holdfast.blog.shell.figures import Figures
from holdfast.blog.shell.files import (
    PUBLIC,
    known_as,
    merged_names,
    post_files,
    public_faults,
    public_files,
    read_text,
)
from holdfast.blog.shell.images import size_of
from holdfast.blog.shell.pages import PER_PAGE, Pages, Picture, base_path
from holdfast.blog.shell.quotations import Quotations
from holdfast.blog.shell.readings import RecordedReadings
from holdfast.blog.shell.records import quoting, record_pages
from holdfast.blog.shell.rendering import CARD_SIZE, Made, Place, Setting, Written, rendered

SITE_CARD: Final = "cards/site.png"
_TAGS_SHOWN: Final = 24
"""On the index; the others are on their own page."""
_MISSING_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build did."""

    posts: int
    rendered: int
    """Posts that were made, not taken over."""
    written: tuple[str, ...]
    removed: tuple[str, ...]
    manifest: output.Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a site is built."""

    drafts: bool = False
    """Drafts are shown, and marked."""
    allow_stale: bool = False
    """Numbers of stale records are marked instead of refused."""
    cards: bool = True
    """Each post gets a picture for links to it: a tenth of a second each."""
    live: str = ""
    """Path where a browser hears of changes; empty in a site that is published."""
    workers: int = 1
    """Processes to render many posts with."""


def build(
    content: Path, evidence: Path, out: Path, *, address: Address, today: dt.date, options: Options | None = None
) -> Built:
    """Make ``out`` the site of the posts below ``content``. An absent ``content`` gives a site without posts.

    Raises :class:`~holdfast.blog.errors.Refused` with the faults of all posts,
    :class:`~holdfast.blog.errors.OutputNotOurs`, :class:`~holdfast.blog.errors.RenderFailed`,
    :class:`~holdfast.blog.errors.OutputFailed`, and ``OSError`` for what cannot be read. A build that raises leaves the
    site that was there; one that could not write on, the first one included, is completed by the next.
    """
    options = options or Options()
    job = _Build(content, evidence, out, address=address, today=today, options=options)
    posts = job.posts()
    pages, kept, redirects = job.files(posts)
    try:
        note = CACHE, msgspec.json.encode(job.cache(posts))
        changes = output.write(out, pages, kept=kept, redirects=redirects, note=note)
    except OSError as error:
        raise OutputFailed(
            f"{error.filename or out} cannot be written: {error.strerror}; "
            "make room there or choose another folder with -o, and build again"
        ) from error
    return Built(
        posts=len(posts.entries),
        rendered=len(posts.made),
        written=changes.written,
        removed=changes.removed,
        manifest=changes.manifest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posts:
    """What became of the posts."""

    kept: dict[str, Kept]
    """All of them, by file."""
    taken: frozenset[str]
    """Files of those that were taken over."""
    made: tuple[Made, ...]
    entries: list[Entry] = field(default_factory=list)
    """Newest first."""
    targets: frozenset[str] = frozenset()


class _Build:
    """One build."""

    def __init__(
        self, content: Path, evidence: Path, out: Path, *, address: Address, today: dt.date, options: Options
    ) -> None:
        self._before, self._unsure = output.read_known(out)
        _apart(out, content, evidence)
        self._content, self._out, self._address, self._options = content, out, address, options
        root = content.parent
        self._readings = RecordedReadings(evidence, root)
        self._drills = self._readings.drills()
        if faults := public_faults(content):
            raise Refused(faults)
        self._public = public_files(content)
        self._quoted = Quotations(root).quoted
        self._setting = Setting(
            address=address,
            root=root,
            evidence=evidence,
            today=today,
            drafts=options.drafts,
            allow_stale=options.allow_stale,
            cards=options.cards,
            live=options.live,
            sizes={name: size for name in sorted(self._public) if (size := size_of(self._source(name)))},
            site_card=Picture(path=SITE_CARD, width=CARD_SIZE[0], height=CARD_SIZE[1]),
        )
        how = (address, self._setting.sizes, options.drafts, options.allow_stale, options.cards, options.live)
        self._made_with = made_with(repr(how), *self._states())
        self._cache = read_cache(out, self._made_with)
        self._charts = dict(self._cache.charts) if self._cache else {}

    # ------------------------------------------------------------ posts

    def posts(self) -> _Posts:
        """Every post, made or taken over. Raises :class:`Refused`."""
        written, faults = self._read()
        taken = self._taken_over(written)
        posts, found = self._render(written, taken, faults)
        if taken and self._cache is not None and not posts.targets.issuperset(self._cache.targets):
            # Something to point at has gone, so that a link of what was taken over may lead nowhere now.
            posts, found = self._render(written, {}, faults)
        if found:
            raise Refused(sorted(set(found)))
        return posts

    def _read(self) -> tuple[list[Written], list[Fault]]:
        written: list[Written] = []
        faults: list[Fault] = []
        for path in post_files(self._content) if self._content.is_dir() else ():
            name = known_as(path, self._content)
            try:
                text = read_text(path, name)
            except Refused as refused:
                faults += refused.faults
            else:
                written.append(Written(name, text, hashlib.sha256(text.encode()).hexdigest()))
        return written, faults

    def _taken_over(self, written: Sequence[Written]) -> dict[str, Kept]:
        if self._cache is None:
            return {}
        found = {}
        for post in written:
            kept = self._cache.posts.get(post.file)
            if kept is not None and kept.digest == post.digest and all(map(self._is_there, kept.pages)):
                found[post.file] = kept
        return found

    def _render(
        self, written: Sequence[Written], taken: dict[str, Kept], faults: Sequence[Fault]
    ) -> tuple[_Posts, list[Fault]]:
        known = [kept.entry for kept in taken.values()]
        targets: frozenset[str] = frozenset()

        def surroundings(places: Sequence[Place]) -> Surroundings:
            nonlocal targets
            found = around([*known, *places], drills=self._drills, files=self._public, quoted=self._quoted)
            targets = found.pages | found.files
            return found

        found = rendered(
            [post for post in written if post.file not in taken],
            self._setting,
            surroundings=surroundings,
            cards=self._cards(),
            workers=self._options.workers,
        )
        kept = {**taken, **{made.file: _kept(made) for made in found.made}}
        posts = _Posts(
            kept=dict(sorted(kept.items())),
            taken=frozenset(taken),
            made=found.made,
            entries=newest_first([one.entry for one in kept.values()]),
            targets=targets,
        )
        return posts, [*faults, *found.faults, *_claimed_twice(posts.kept)]

    def _cards(self) -> dict[str, str]:
        """Digests of the cards that stand in the output, by slug."""
        kept = self._cache.posts.values() if self._cache else ()
        return {one.entry.slug: one.card for one in kept if one.card and self._is_there(card_of(one.entry))}

    # ------------------------------------------------------------ the site

    def files(self, posts: _Posts) -> tuple[dict[str, bytes], set[str], dict[str, str]]:
        """What to write by path, what to keep of what is there, and redirects."""
        pages = {name[1:]: self._source(name).read_bytes() for name in sorted(self._public)}
        kept = {path for file in posts.taken for path in posts.kept[file].pages}
        for made in posts.made:
            pages |= made.pages
            if made.card:
                kept |= {card_of(made.entry)} - pages.keys()
        assets = Assets(live=bool(self._options.live))
        pages |= assets.files
        maker = Pages(self._address, assets, card=self._setting.site_card, live=self._options.live)
        kept |= self._lists(maker, posts.entries, pages)
        kept |= self._evidence(maker, posts.entries, pages)
        kept |= self._site_card(pages)
        published = [entry for entry in posts.entries if not entry.draft]
        redirects = {}
        for entry in published:
            for old in entry.redirect_from:
                redirects[f"posts/{old}/"] = entry.path
                pages[f"posts/{old}/index.html"] = maker.moved(entry)
        unlisted = redirects.keys() | {entry.path for entry in posts.entries if entry.draft}
        found = sorted(path.removesuffix("index.html") for path in pages.keys() | kept if path.endswith("index.html"))
        pages |= documents(self._address, published, [path for path in found if path not in unlisted])
        return pages, kept, redirects

    def cache(self, posts: _Posts) -> Cache:
        """What the next build needs to know of this one."""
        return Cache(
            made_with=self._made_with,
            targets=sorted(posts.targets),
            posts=posts.kept,
            listed=_listed(posts.entries),
            quoted=_quoted(posts.entries),
            charts=dict(sorted(self._charts.items())),
        )

    def _lists(self, maker: Pages, entries: list[Entry], pages: dict[str, bytes]) -> set[str]:
        """Adds index, tags, companies and search; gives those that stand as they are."""
        there = {path for path in self._before if path.startswith(_LISTS) or path in {"index.html", "404.html"}}
        unchanged = self._cache is not None and self._cache.listed == _listed(entries)
        if unchanged and there and all(map(self._is_there, there)):
            return there
        pages |= dict(_lists(maker, entries))
        return set()

    def _evidence(self, maker: Pages, entries: list[Entry], pages: dict[str, bytes]) -> set[str]:
        """Adds the pages of records; gives those that stand as they are."""
        there = {path for path in self._before if path.startswith("evidence/")}
        unchanged = self._cache is not None and self._cache.quoted == _quoted(entries)
        if unchanged and there and all(map(self._is_there, there)):
            return there
        figures = Figures(base=base_path(self._address), allow_stale=True)
        pages |= record_pages(maker, self._readings, quoting(entries), figures, self._charts)
        return set()

    def _site_card(self, pages: dict[str, bytes]) -> set[str]:
        if not self._options.cards:
            return set()
        if self._cache is not None and self._is_there(SITE_CARD):
            return {SITE_CARD}
        from holdfast.blog.shell.cards import card

        pages[SITE_CARD] = card(self._address.title, self._address.about, None, (), site=self._address.title)
        return set()

    def _states(self) -> Iterator[str]:
        """Records, and which of them are stale: what every number depends on."""
        for drill in self._drills:
            try:
                record = self._readings.record(drill)
                yield f"{drill} {record.id} {' '.join(self._readings.stale(drill))}"
            except Unbacked as error:
                yield f"{drill} {error}"

    def _is_there(self, path: str) -> bool:
        file = self._before.get(path)
        return file is not None and path not in self._unsure and output.is_there(self._out, path, file)

    def _source(self, name: str) -> Path:
        return self._content / PUBLIC / name[1:]


_LISTS: Final = ("tags/", "companies/", "search/", "page/")


def card_of(entry: Entry) -> str:
    """Path of the picture of a post."""
    return f"cards/{entry.slug}.png"


def _kept(made: Made) -> Kept:
    own = {*made.pages, *([card_of(made.entry)] if made.card else [])}
    return Kept(digest=made.digest, pages=tuple(sorted(own)), card=made.card, entry=made.entry)


def _listed(entries: list[Entry]) -> str:
    shown = [
        (one.slug, one.title, one.summary, one.published_at, one.minutes, one.tags, one.companies, one.draft)
        for one in entries
    ]
    return hashlib.sha256(msgspec.json.encode(shown)).hexdigest()


def _quoted(entries: list[Entry]) -> dict[str, list[str]]:
    found = {
        drill: [f"{one.path} {one.title} {one.quotes[drill]}" for one in quoted]
        for drill, quoted in quoting(entries).items()
    }
    return dict(sorted(found.items()))


def _lists(maker: Pages, entries: list[Entry]) -> Iterator[tuple[str, bytes]]:
    """Index, tags, companies, search and the page that is none."""
    by_tag = grouped(entries, "tags")
    frequent = sorted(by_tag.items(), key=lambda one: (-len(one[1][1]), one[0]))[:_TAGS_SHOWN]
    last = max(1, -(-len(entries) // PER_PAGE))
    for number in range(1, last + 1):
        shown = entries[(number - 1) * PER_PAGE : number * PER_PAGE]
        name = f"page/{number}/index.html" if number > 1 else "index.html"
        yield name, maker.index(shown, number, last, sorted(frequent))
    for what, folder, names in (("Tag", "tags", "tags"), ("Written for", "companies", "companies")):
        for slug, (name, group) in grouped(entries, names).items():
            last = -(-len(group) // PER_PAGE)
            for number in range(1, last + 1):
                path = f"{folder}/{slug}/{f'page/{number}/' if number > 1 else ''}index.html"
                yield path, maker.group(what, f"{folder}/{slug}/", name, group, number, last)
    yield "tags/index.html", maker.tags(entries)
    yield "search/index.html", maker.search(entries)
    yield "404.html", maker.missing(entries[:_MISSING_SHOWN])


def _claimed_twice(kept: dict[str, Kept]) -> list[Fault]:
    """Slugs and former slugs are addresses; each leads to one post."""
    owners: dict[str, str] = {}
    faults = list(merged_names((file, one.entry) for file, one in kept.items()))
    own = [(one.entry.slug, file) for file, one in kept.items()]
    former = [(old, file) for file, one in kept.items() for old in one.entry.redirect_from]
    for slug, file in (*own, *former):
        owner = owners.setdefault(slug, file)
        if owner is not file:
            message, remedy = f"{slug!r} leads to {owner} already", "rename one of them, or take out redirectFrom"
            faults.append(Fault(file=file, line=0, message=message, remedy=remedy))
    return faults


def _apart(out: Path, *sources: Path) -> None:
    """The output may be neither below nor above what it is made of."""
    target = out.resolve()
    for source in sources:
        found = source.resolve()
        if target == found or target in found.parents or found in target.parents:
            raise OutputNotOurs(f"{out} and {source} lie in each other; choose another folder with -o")
