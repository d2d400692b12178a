"""How long a blog of a thousand posts takes to build, beside Hugo, and how long a reader of drafts waits for an edit.

Both engines get the same generated posts and give readers the same things as far as both know them (see
:mod:`~holdfast.drills.blog_hugo`); ours draws the diagrams and checks every number on top. Cards for previews, which
Hugo does not make, are measured by themselves. A build is a process from its start to its end; an edit is also measured
in a process that is there already, which is how ``holdfast blog serve`` builds for somebody who writes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from holdfast.blog.core.settings import ABOUT, LOCAL_URL, TITLE
from holdfast.blog.core.site import Address
from holdfast.blog.shell.build import Options, build
from holdfast.drills.blog_hugo import program, version, write_site
from holdfast.drills.blog_posts import Post, posts, sentence
from holdfast.drills.errors import DrillError, ProcessFailedError
from holdfast.drills.findings import CONTROL, Findings, Setting

HUGO: Final = "hugo"
LONGEST_S: Final = 300.0
"""Of one build. What takes longer hangs."""
MOST_OF_HUGO: Final = 1.5
MOST_EDIT_MS: Final = 300.0
MOST_PAGE_BYTES: Final = 60 * 1024
"""Without images."""
_CARDS: Final = 50
"""Posts whose cards are drawn, to see what one costs."""


@dataclass(frozen=True, slots=True)
class Build:
    """What one build took."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and of those that it waited for."""


class BlogBuild:
    """``holdfast drill run blog-build``."""

    name = "blog-build"
    title = "How long does a blog of a thousand posts take to build, and one edited post?"
    packages = ("blog", "drills", "evidence", "kernel")
    locks = ("runtime.txt", "dev.txt")

    async def run(self, setting: Setting) -> Findings:
        """Cold builds in turns, then edits, then cards."""
        found = Findings(control_what="the same edit when what the last build left is gone")
        count, rounds = int(setting.pick(1_000, 40)), int(setting.pick(5, 1))
        edits = int(setting.pick(15, 3))
        found.parameters |= {"posts": count, "rounds": rounds, "edits": edits, "cores": len(os.sched_getaffinity(0))}
        sites = _Sites(setting.directory, posts(count, setting.seed))
        found.parameters["hugo"] = await version()
        for number in range(rounds):
            setting.progress(f"blog-build: {count} posts from nothing, round {number + 1} of {rounds}")
            await _cold(found, sites, number)
        setting.progress(f"blog-build: {edits} edits of one post")
        await _edits(found, sites, edits, Random(setting.seed))
        setting.progress("blog-build: cards")
        await _cards(found, sites, int(setting.pick(_CARDS, 4)))
        _judge(found)
        return found


class _Sites:
    """The posts, and what becomes of them."""

    def __init__(self, directory: Path, written: Sequence[Post]) -> None:
        self.posts = written
        self._directory = directory
        self._hugo = program()
        self.ours, self.theirs = directory / "ours", directory / "hugo"
        _write_ours(self.ours, written)
        write_site(self.theirs, written)

    @property
    def out(self) -> Path:
        """Where our site is made."""
        return self.ours / "blog-site"

    async def build(self, contender: str, *, cold: bool) -> Build:
        """One site; a cold one with nothing left of the last."""
        if contender == HUGO:
            # Hugo makes every page anew each time; what it keeps between builds are pictures and downloads.
            if cold:
                for left in (self.theirs / "public", self.theirs / "resources", self._directory / "hugo-cache"):
                    shutil.rmtree(left, ignore_errors=True)
            cache = f"--cacheDir={self._directory / 'hugo-cache'}"
            return await self._run([self._hugo, "--quiet", "--noBuildLock", f"--source={self.theirs}", cache])
        if cold:
            shutil.rmtree(self.out, ignore_errors=True)
        return await self._run(_command(self.ours))

    def build_here(self) -> Build:
        """Ours, in this process, which has what it imports."""
        began, cpu = time.perf_counter(), time.process_time()
        build(
            self.ours / "content",
            self.ours / "evidence",
            self.out,
            address=Address(base=LOCAL_URL, title=TITLE, about=ABOUT),
            today=dt.datetime.now(dt.UTC).date(),
            options=Options(cards=False),
        )
        return Build(wall_s=time.perf_counter() - began, cpu_s=time.process_time() - cpu)

    async def cards(self, count: int) -> tuple[Build, Build]:
        """So many posts without cards, and with."""
        directory = self._directory / "cards"
        _write_ours(directory, self.posts[:count])
        without = await self._run(_command(directory))
        shutil.rmtree(directory / "blog-site")
        return without, await self._run([each for each in _command(directory) if each != "--no-cards"])

    async def _run(self, argv: Sequence[str]) -> Build:
        log = self._directory / "build.log"
        began = time.perf_counter()
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=asyncio.subprocess.STDOUT
            )
            before = os.times()
            try:
                async with asyncio.timeout(LONGEST_S):
                    status = await process.wait()
            except BaseException:
                process.kill()
                await process.wait()
                raise
        wall_s, after = time.perf_counter() - began, os.times()
        if status:
            raise ProcessFailedError(f"{argv[0]} ended with {status}: {log.read_text(errors='replace')[-2000:]}")
        # Of the children that have ended: one build runs at a time.
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        return Build(wall_s=wall_s, cpu_s=cpu_s)


def _command(directory: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "holdfast", "blog", "build", "-C", str(directory), "--no-cards"]


def _write_ours(directory: Path, written: Sequence[Post]) -> None:
    content = directory / "content" / "posts"
    content.mkdir(parents=True)
    for post in written:
        (content / f"{post.slug}.md").write_text(post.ours(), encoding="utf-8")


async def _cold(found: Findings, sites: _Sites, number: int) -> None:
    """Both, in turns that begin with another each time."""
    order = ("holdfast", HUGO) if number % 2 == 0 else (HUGO, "holdfast")
    for contender in order:
        build = await sites.build(contender, cold=True)
        _keep(found, contender, "cold", build)
    digest, largest = await asyncio.to_thread(_weigh, sites.out)
    known = found.parameters.setdefault("site", digest)
    _append(found, "holdfast", "differs", float(digest != known))
    _append(found, "holdfast", "page_bytes", largest)
    _, largest = await asyncio.to_thread(_weigh, sites.theirs / "public")
    _append(found, HUGO, "page_bytes", largest)


async def _edits(found: Findings, sites: _Sites, count: int, rng: Random) -> None:
    """Edits in turns: here, by a command, by Hugo."""
    sites.build_here()  # the first imports what a build needs
    for number in range(count):
        _keep(found, "holdfast", "edit", await _edited(sites, rng, "here"))
        _keep(found, "holdfast", "edit_command", await _edited(sites, rng, "holdfast"))
        _keep(found, HUGO, "edit_command", await _edited(sites, rng, HUGO))
        if number == 0:
            _keep(found, CONTROL, "edit_command", await sites.build("holdfast", cold=True))


async def _edited(sites: _Sites, rng: Random, contender: str) -> Build:
    """One sentence more in one post."""
    post, said = rng.choice(sites.posts), sentence(rng)
    directory = sites.theirs if contender == HUGO else sites.ours
    file = directory / "content" / "posts" / f"{post.slug}.md"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("### Stakes\n", f"### Stakes\n\n{said}\n", 1), encoding="utf-8")
    if contender == "here":
        done = await asyncio.to_thread(sites.build_here)
    else:
        done = await sites.build(contender, cold=False)
    page = (sites.theirs / "public" if contender == HUGO else sites.out) / "posts" / post.slug / "index.html"
    if said not in page.read_text(encoding="utf-8"):
        raise DrillError(f"{contender}: the page of {post.slug} is as it was before the edit")
    return done


async def _cards(found: Findings, sites: _Sites, count: int) -> None:
    without, with_cards = await sites.cards(count)
    found.add("holdfast", "card_cpu_ms", [(with_cards.cpu_s - without.cpu_s) / count * 1e3])


def _keep(found: Findings, contender: str, what: str, build: Build) -> None:
    _append(found, contender, f"{what}_s", build.wall_s)
    _append(found, contender, f"{what}_cpu_s", build.cpu_s)


def _append(found: Findings, contender: str, series: str, value: float) -> None:
    before = found.control_samples.get(series) if contender == CONTROL else found.samples.get(f"{contender}.{series}")
    found.add(contender, series, [*(before if isinstance(before, tuple) else ()), value])


def _weigh(directory: Path) -> tuple[str, int]:
    """What all files come to, in sixteen digits, and the size of the largest page."""
    digest, largest = hashlib.sha256(), 0
    for path in sorted(directory.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(directory).as_posix()} {len(content)}\n".encode())
        digest.update(content)
        if path.suffix == ".html":
            largest = max(largest, len(content))
    return digest.hexdigest()[:16], largest


def _judge(found: Findings) -> None:
    for name in ("holdfast", HUGO):
        for series in ("cold_s", "cold_cpu_s"):
            found.metric(
                name,
                series,
                f"median(${series})",
                unit="s",
                better="lower",
                low=f"min(${series})",
                high=f"max(${series})",
            )
        found.metric(name, "largest_page_bytes", "max($page_bytes)", unit="B", better="lower")
    for name in ("holdfast", HUGO, CONTROL):
        found.metric(name, "edit_command_p50_ms", "p50($edit_command_s) * 1000", unit="ms", better="lower")
    found.metric("holdfast", "edit_p50_ms", "p50($edit_s) * 1000", unit="ms", better="lower")
    found.metric("holdfast", "edit_max_ms", "max($edit_s) * 1000", unit="ms", better="lower")
    found.metric("holdfast", "card_cpu_ms", "max($card_cpu_ms)", unit="ms", better="lower")
    found.metric("holdfast", "builds_that_differ", "sum($differs)", unit="", better="lower")
    for series in ("cold_s", "cold_cpu_s"):
        ratio = f"${series} / samples.{HUGO}.{series}"
        found.metric(
            "holdfast",
            f"{series.removesuffix('_s')}_against_hugo",
            f"median({ratio})",
            unit="",
            better="lower",
            low=f"min({ratio})",
            high=f"max({ratio})",
        )
    found.claim(f"cold at most {MOST_OF_HUGO} times Hugo's time", "holdfast.cold_against_hugo", "<=", MOST_OF_HUGO)
    found.claim("one post edited in under 300 ms", "holdfast.edit_p50_ms", "<=", MOST_EDIT_MS)
    found.claim(
        "no page is heavier than 60 KiB without pictures",
        "holdfast.largest_page_bytes",
        "<=",
        MOST_PAGE_BYTES,
        in_quick=True,
    )
    found.claim("the same posts give the same bytes", "holdfast.builds_that_differ", "<=", 0, in_quick=True)
