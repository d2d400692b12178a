"""``holdfast blog``: posts whose every number is read from a record."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.blog.core.drawing import Draughtsman
    from holdfast.blog.core.fault import Fault
    from holdfast.blog.errors import BlogError
    from holdfast.blog.shell.build import Built
    from holdfast.blog.shell.project import Judgement, Project

app = typer.Typer(
    help="The engineering blog: posts with a strict arc, whose every number is read from a recorded drill.",
    no_args_is_help=True,
)

Directory = Annotated[
    Path, typer.Option("-C", "--directory", metavar="DIR", help="The project; here without.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
AllowStale = Annotated[
    bool, typer.Option("--allow-stale", help="Numbers of stale records are warned of and marked, not refused.")
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUT", help="Folder of the site; blog-site without.", show_default=False),
]
Content = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the posts; content without.", show_default=False)
]
Evidence = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the records; evidence without.", show_default=False)
]
RESULTS = "<!-- results -->"
Title = Annotated[str, typer.Option(help="Of the site.", show_default=False)]
About = Annotated[str, typer.Option(help="The site in one sentence.", show_default=False)]


@app.callback()
def _root() -> None:
    """Say what to install before anything is imported that needs it."""
    from holdfast.blog.errors import BlogError

    missing = [name for name in ("markdown_it", "pygments") if importlib.util.find_spec(name) is None]
    if missing:
        raise BlogError(f"the blog needs {' and '.join(missing)}; run: pip install 'holdfast[blog]'")


@app.command()
def new(
    slug: Annotated[str, typer.Argument(help="Of the post: lower-case letters, digits and hyphens.")],
    title: Annotated[str, typer.Option(help="Its title; made from the slug without.")] = "",
    directory: Directory = Path(),
) -> None:
    """Write the skeleton of a post, a draft that passes every check."""
    from holdfast.blog.core.front import SLUG_REMEDY, TITLE_LONGEST, valid_slug
    from holdfast.blog.core.numerals import NUMBER_REMEDY, typed
    from holdfast.blog.core.quoting import without_references
    from holdfast.blog.core.write import STEPS, skeleton
    from holdfast.blog.errors import BlogInvalid
    from holdfast.blog.shell.files import POSTS
    from holdfast.blog.shell.imports import write_new

    if not valid_slug(slug):
        raise BlogInvalid(f"{slug!r} is not a slug; {SLUG_REMEDY}")
    title = _sound("--title", title)
    for figure in typed(without_references(title)):
        raise BlogInvalid(f"--title: the number {figure.text!r} is typed by hand; {NUMBER_REMEDY}")
    if len(title) > TITLE_LONGEST:
        raise BlogInvalid(f"--title has {len(title)} characters; keep it to {TITLE_LONGEST}")
    path = directory / "content" / POSTS / f"{slug}.md"
    write_new(path, skeleton(slug, title=title, today=_today()))
    print(path)
    for number, step in enumerate(STEPS, start=1):
        print(f"{number}. {step.format(file=path)}", file=sys.stderr)


@app.command()
def check(
    directory: Directory = Path(),
    published: Annotated[bool, typer.Option("--published", help="Leave out drafts, as a build does.")] = False,
    allow_stale: AllowStale = False,
    as_json: Json = False,
) -> None:
    """Judge all posts and the README: form, numbers, links, diagrams, evidence. Writes nothing."""
    from holdfast.blog.errors import Refused
    from holdfast.blog.shell.project import Project, judge

    project = Project(directory)
    found = judge(project, draughtsman=_draughtsman(), today=_today(), drafts=not published, allow_stale=allow_stale)
    readme = project.readme.read_text(encoding="utf-8", errors="replace") if project.readme.is_file() else ""
    faults = (*found.faults, *results_faults(project, readme))
    if as_json:
        _print_json(found, faults)
        raise typer.Exit(2 if faults else 0)
    for drill in found.stale:
        print(f"warning: {drill}: its record is stale; run 'holdfast evidence rerun {drill}'", file=sys.stderr)
    if faults:
        raise Refused(faults)
    print(f"{_counted(len(found.rendered), 'post')}, {_counted(found.numbers, 'number')}, no fault")


@app.command()
def build(
    directory: Directory = Path(),
    output: Output = None,
    base_url: Annotated[
        str, typer.Option("--base-url", help="Where readers find it; ends in a slash.", show_default=False)
    ] = "",
    content: Content = None,
    evidence: Evidence = None,
    title: Title = "",
    about: About = "",
    jobs: Annotated[int, typer.Option(min=0, max=64, help="Processes; 0: one for each core.")] = 0,
    cards: Annotated[bool, typer.Option(help="Draw a picture for links to each post.")] = True,
    drafts: Annotated[bool, typer.Option("--drafts", help="Show drafts, and mark them.")] = False,
    allow_stale: AllowStale = False,
    as_json: Json = False,
) -> None:
    """Build the site: what has changed since the last time, and all of it the first time."""
    from holdfast.blog.core.settings import ABOUT, LOCAL_URL, TITLE, sound_url
    from holdfast.blog.core.site import Address
    from holdfast.blog.errors import BlogInvalid, Refused

    _require_extra()
    from holdfast.blog.shell.build import Options
    from holdfast.blog.shell.build import build as build_site

    if base_url and not sound_url(base_url):
        raise BlogInvalid(f"--base-url {base_url!r} is not the URL of a site; write it like https://example.org/blog/")
    out = output or directory / "blog-site"
    try:
        built = build_site(
            content or directory / "content",
            evidence or directory / "evidence",
            out,
            address=Address(
                base=base_url or LOCAL_URL,
                title=_sound("--title", title) or TITLE,
                about=_sound("--about", about) or ABOUT,
            ),
            today=_today(),
            options=Options(
                drafts=drafts, allow_stale=allow_stale, cards=cards, workers=jobs or len(os.sched_getaffinity(0))
            ),
        )
    except Refused as refused:
        if as_json:
            print(json.dumps({"faults": [_fault_json(fault) for fault in refused.faults]}, indent=2))
            raise typer.Exit(2) from None
        raise
    if as_json:
        counts = {"posts": built.posts, "rendered": built.rendered}
        print(json.dumps({**counts, "written": len(built.written), "removed": len(built.removed)}, indent=2))
        return
    changed = f"{_counted(len(built.written), 'file')} written, {len(built.removed):,} removed"
    print(f"{out}: {_counted(built.posts, 'post')}, {built.rendered:,} made anew, {changed}")


@app.command()
def serve(
    directory: Directory = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine; 0 chooses a free one.")] = 8186,
    content: Content = None,
    evidence: Evidence = None,
    title: Title = "",
    about: About = "",
) -> None:
    """Show the site while you write: drafts too, loaded again when you save, faults in the page."""
    import asyncio
    import tempfile

    from holdfast.blog.core.settings import ABOUT, TITLE
    from holdfast.cli.logs import leave_refused_requests_out

    _require_extra()
    from holdfast.blog.shell.live import Sources, serve_live

    leave_refused_requests_out()

    with tempfile.TemporaryDirectory(prefix="holdfast-blog-") as made:
        sources = Sources(
            content=content or directory / "content",
            evidence=evidence or directory / "evidence",
            out=Path(made, "site"),
            title=_sound("--title", title) or TITLE,
            about=_sound("--about", about) or ABOUT,
        )

        def ready(url: str) -> None:
            print(f"{url}/", flush=True)
            print("watching for changes; Ctrl-C ends it", file=sys.stderr)

        asyncio.run(serve_live(sources, f"127.0.0.1:{port}", ready=ready, told=_told, today=_today))


def _require_extra() -> None:
    """Raise :class:`~holdfast.blog.errors.BlogError` where the libraries that build posts are not installed."""
    from importlib.util import find_spec

    from holdfast.blog.errors import BlogError

    missing = [name for name in ("markdown_it", "merman", "pygments", "vl_convert") if not find_spec(name)]
    if missing:
        raise BlogError(f"building posts needs {', '.join(missing)}; run: pip install 'holdfast[blog]'")


def _told(found: Built | BlogError) -> None:
    from holdfast.blog.errors import BlogError

    if isinstance(found, BlogError):
        print(found, file=sys.stderr)
    else:
        made = f"{found.rendered:,} made anew"
        print(
            f"{_counted(found.posts, 'post')}, {made}, {_counted(len(found.written), 'file')} written", file=sys.stderr
        )


@app.command()
def shoot(
    names: Annotated[
        list[str] | None, typer.Argument(help="Pictures of content/shots.yaml; all without.", show_default=False)
    ] = None,
    directory: Directory = Path(),
    content: Content = None,
    url: Annotated[str, typer.Option(help="Of the running console.")] = "http://127.0.0.1:8080",
    program: Annotated[
        str, typer.Option("--browser", metavar="PROGRAM", help="Chromium by name or path.", show_default=False)
    ] = "",
) -> None:
    """Take the posts' screenshots again, from the running console."""
    import asyncio

    from holdfast.blog.core.settings import sound_url
    from holdfast.blog.errors import BlogInvalid
    from holdfast.blog.shell.shoot import shoot as take

    if not sound_url(url.rstrip("/") + "/"):
        raise BlogInvalid(f"--url {url!r} is not the URL of a console; write it like http://127.0.0.1:8080")
    asyncio.run(take(content or directory / "content", names or (), url=url, program=program, told=print))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help='One post, an array, or {"posts": [...]}, with the keys of posts.json.')],
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Take in posts as drafts, all or none, and say which of their numbers want evidence."""
    from holdfast.blog.shell.imports import import_posts
    from holdfast.blog.shell.project import Project, judge

    project = Project(directory)
    posts = import_posts(file, project.content)
    found = judge(project, draughtsman=_draughtsman(), today=_today(), readme=False)
    written = {post.file for post in posts}
    faults = tuple(fault for fault in found.faults if fault.file in written)
    if as_json:
        print(json.dumps({"written": sorted(written), "faults": [_fault_json(fault) for fault in faults]}, indent=2))
        return
    for name in sorted(written):
        print(name)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(
            f"{_counted(len(faults), 'fault')} to mend before 'holdfast blog check' passes",
            file=sys.stderr,
        )


def _sound(option: str, text: str) -> str:
    """On one line. Raises ``BlogInvalid`` for what is no text."""
    from holdfast.blog.core.source import unfit
    from holdfast.blog.errors import BlogInvalid

    if wrong := unfit(text):
        raise BlogInvalid(f"{option}: {wrong}; write it in UTF-8, without that character")
    return " ".join(text.split())


def _today() -> dt.date:
    return dt.datetime.now(tz=dt.UTC).date()


def _draughtsman() -> Draughtsman:
    from holdfast.blog.shell.figures import Figures

    return Figures()


def results_faults(project: Project, readme: str) -> tuple[Fault, ...]:
    """The README's tables are made from the records, and have to be what they say."""
    if RESULTS not in readme:  # the drills take seconds to import
        return ()
    from holdfast.blog.core.fault import Fault
    from holdfast.drills.results import BEGIN, END, newest, table
    from holdfast.evidence import EvidenceError, load

    before, begun, rest = readme.partition(f"{BEGIN}\n")
    block, ended, _ = rest.partition(f"\n{END}")
    if not begun or not ended or not project.evidence.is_dir():
        return ()
    line = before.count("\n") + 2
    try:
        records = {
            drill: (path.relative_to(project.root).as_posix(), load(path))
            for drill, path in newest(project.evidence).items()
        }
    except EvidenceError as error:
        return (Fault(file=project.readme.name, line=line, message=str(error), remedy="run the drill again"),)
    wanted, written = table(records).split("\n"), block.split("\n")
    if wanted == written:
        return ()
    at = next((at for at, (ours, theirs) in enumerate(zip(wanted, written, strict=False)) if ours != theirs), 0)
    return (
        Fault(
            file=project.readme.name,
            line=line + at,
            message=f"the results are not what the records say: {written[at][:80]!r}",
            remedy="run scripts/results",
        ),
    )


def _print_json(found: Judgement, faults: Sequence[Fault]) -> None:
    shown = {
        "posts": len(found.rendered),
        "numbers": found.numbers,
        "stale": list(found.stale),
        "faults": [_fault_json(fault) for fault in faults],
    }
    print(json.dumps(shown, indent=2, ensure_ascii=False))


def _fault_json(fault: Fault) -> dict[str, str | int]:
    return {"file": fault.file, "line": fault.line, "message": fault.message, "remedy": fault.remedy}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
