"""What must not be published is told with its file and line, whatever it was written as, by check and build alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.blog.core.write import skeleton
from holdfast.blog.errors import BlogError, OutputFailed, Refused
from holdfast.blog.shell.cache import CACHE
from holdfast.blog.shell.figures import Figures
from holdfast.blog.shell.project import Project, judge
from tests.unit.blog.shell.scene import PLAIN, TODAY, Scene, post

pytestmark = pytest.mark.usefixtures("vega")

SOUND = post("Title")
CHART = """```chart
title: Errors
kind: bar
caption: As clients saw them.
rows:
  - label: LABEL
    value: "{ev:flapping.errors}"
```"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.record()
    return made


def told(scene: Scene) -> list[str]:
    """What both say, without remedies; the same."""
    with pytest.raises(Refused) as refused:
        scene.build(PLAIN)
    found = judge(Project(scene.root), draughtsman=Figures(), today=TODAY, drafts=False)
    assert sorted(map(str, found.faults)) == sorted(map(str, refused.value.faults))
    return [f"{fault.file}:{fault.line}: {fault.message}" for fault in refused.value.faults]


def at(text: str, of: str) -> int:
    return of.split(text, 1)[0].count("\n") + 1


def written(before: str, after: str) -> str:
    assert before in SOUND, before
    return SOUND.replace(before, after, 1)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (written('"Title"', r'"A\uE000b"'), "title:", "title: the character U+E000 is no text"),
        (written('"Title"', r'"A\u202Eb"'), "title:", "title: the character U+202E shows text in another order"),
        (written('"Title"', r'"A\0b"'), "title:", "title: the character U+0000 is no text"),
        (written('"Title"', r'"A\x7fb"'), "title:", "title: the character U+007F is no text"),
        (written('"Title"', r'"A\uFFFEb"'), "title:", "title: the character U+FFFE is no text"),
        (written("[draft]", r'["a\uE001"]'), "tags:", "an entry of tags: the character U+E001 is no text"),
        (written("[draft]", r'["ok", "\a"]'), "tags:", "an entry of tags: the character U+0007 is no text"),
        (written("Companies: []", r'Companies: ["\uE000"]'), "Companies:", "the character U+E000 is no text"),
        (
            written("links: []", r'links: [{label: "\uE000", url: /}]'),
            "links:",
            "label of a link: the character U+E000",
        ),
        (written("Why it broke", "Why &#xE000; broke"), "Why &", "the character U+E000 is no text"),
        (written("Why it broke", "Why &#57344; broke"), "Why &", "the character U+E000 is no text"),
        (written("Why it broke", "Why\nit &#x202e;broke"), "it &#", "the character U+202E shows text"),
        (written("Why it broke", "Why [x](/ '&#xE000;')"), "Why [", "the character U+E000 is no text"),
        (written("client[Client]", 'client["a #57344; b"]'), "flowchart", "the character U+E000 is no text"),
        (written("client[Client]", 'client["a &#x202e; b"]'), "client[", "the character U+202E shows text"),
        (written("Why it broke there.", CHART.replace("LABEL", r'"\a"')), "- label", "the character U+0007 is no text"),
        (
            written("Why it broke there.", CHART.replace("LABEL", r'"\uE000"')),
            "- label",
            "the character U+E000 is no text",
        ),
        (written("Why it broke", f"{'> ' * 21}deep"), "> >", "more than 20 levels within each other"),
        (written("Why it broke", f"{'> ' * 300}deep"), "> >", "more than 20 levels within each other"),
        (written("Why it broke", f"{'**' * 30}deep{'**' * 30}"), "****", "more than 20 levels within each other"),
        (written("Why it broke there.", "```chart\n" + "[" * 3000 + "\n```"), "[[[", "nested too deep"),
        (written("Why it broke", "See [it](https://)."), "See [", "'https://' names no host"),
        (written("links: []", "links: [{label: Code, url: 'https://'}]"), "links:", "'https://' names no host"),
        (
            written("  client[Client] --> service[Service]\n  service --> backend[Backend]\n", ""),
            "flowchart",
            "nothing",
        ),
    ],
)
def test_no_escape_leads_past_what_a_text_may_hold(scene: Scene, text: str, where: str, message: str) -> None:
    scene.write("a-post", text)
    found = told(scene)
    assert [one for one in found if one.startswith(f"content/posts/a-post.md:{at(where, text)}:") and message in one], (
        found
    )


@pytest.mark.parametrize(
    "text",
    [
        written("client[Client]", 'client["#half; of it"]'),
        written("client[Client]", 'client["&half; of it"]'),
        written("client[Client]", 'client["&#52;2 errors"]'),
        written("client[Client]", 'client["f&shy;orty errors"]'),
        written("client[Client]", 'client["for<i>ty</i> errors"]'),
        written("client[Client] -->", 'client[Client] -->|"&frac34; of it"|'),
        written("accDescr: A client", "accDescr: #frac34; A client"),
        written("Why it broke there.", CHART.replace("LABEL", r'"\xBE of them"')),
        written("Why it broke there.", CHART.replace("LABEL", r'"\x34\x32 errors"')),
        written("Why it broke there.", CHART.replace("As clients saw them.", '"for\\\n  ty errors"')),
        written("Why it broke", "In two `seconds`"),
        written("Why it broke", "In t*w*o seconds"),
        written("Why it broke", "For**ty** errors"),
        written("Why it broke", "For&shy;ty errors"),
        written("Why it broke", "For&#x200b;ty errors"),
        written("Why it broke", "For&ic;ty errors"),
        written("Why it broke", "&half; of them"),
        written("Why it broke", "In v12 seconds"),
        written("Why it broke", "With errors42"),
        written("Why it broke", "A latency250ms"),
        written("Why it broke", "At a42%"),
        written("Why it broke", "Fortytwo tenants"),
        written("Why it broke", "XLII errors"),
        written("Why it broke", "四十 errors"),
    ],
)
def test_no_disguise_hides_a_number(scene: Scene, text: str) -> None:
    scene.write("a-post", text)
    assert all("is typed by hand" in one for one in told(scene))


def test_what_new_wrote_is_no_post_yet(scene: Scene) -> None:
    text = skeleton("a-post", title="A title", today=TODAY)
    scene.write("a-post", text)
    scene.build()  # a draft
    text = text.replace("draft: true\n", "")
    scene.write("a-post", text)
    found = told(scene)
    assert len(found) == 14
    for begun in ("One sentence: what failed", "What went wrong, as somebody on call", "- What it costs."):
        line = f"content/posts/a-post.md:{at(begun, text)}: {begun.removeprefix('- ')[:40]!r}"
        assert [one for one in found if one.startswith(line[:-1]) and one.endswith("is what 'holdfast blog new' wrote")]


def test_numbers_that_a_diagram_reads_from_a_record_are_its_own(scene: Scene) -> None:
    scene.write("a-post", written("client[Client]", 'client["{ev:flapping.errors}<br/>errors &amp; more"]'))
    scene.build()
    assert "errors &amp; more" in scene.page("posts/a-post/index.html")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("index.html", "the site has /index.html itself"),
        ("posts", "the site has /posts itself"),
        ("posts/a/index.html", "the site has /posts/a/index.html itself"),
        (".holdfast-blog.json", "a name that begins with a dot"),
        ("shots/a\\b.png", "a backslash or a line's end in its name"),
        ("shots/a\x01b.png", "in its name the character U+0001 is no text"),
        (os.fsdecode(b"shots/caf\xe9.png"), "in its name the character U+DCE9 is no text"),
    ],
)
def test_a_file_that_cannot_be_published_is_named(scene: Scene, name: str, message: str) -> None:
    scene.picture(name)
    (found,) = told(scene)
    assert message in found
    found.encode()


def test_a_file_larger_than_anybody_is_served_is_not_read(scene: Scene) -> None:
    scene.picture("shots/x.png")
    os.truncate(scene.content / "public" / "shots" / "x.png", 2**40)
    assert "nobody is served more than" in told(scene)[0]


def test_a_pipe_and_a_folder_among_the_posts_are_told_and_not_waited_for(scene: Scene) -> None:
    os.mkfifo(scene.content / "posts" / "a-pipe.md")
    (scene.content / "posts" / "a-link.md").symlink_to(scene.root)
    assert [one.split(": ")[-1] for one in told(scene)] == ["Is a directory", "no file of text"]


def test_a_name_that_is_not_utf_8_is_told(scene: Scene) -> None:
    scene.write(os.fsdecode(b"caf\xe9"), SOUND)
    (found,) = told(scene)
    assert "is not a slug" in found


def test_folders_without_end_are_not_followed(scene: Scene) -> None:
    scene.content.joinpath("posts", *"abcdefghijklmnopqrstuvwxyz").mkdir(parents=True)
    with pytest.raises(BlogError, match="more than 20 folders within each other"):
        scene.build(PLAIN)
    with pytest.raises(BlogError, match="more than 20 folders within each other"):
        judge(Project(scene.root), draughtsman=Figures(), today=TODAY)


@pytest.mark.parametrize(
    ("one", "other", "address"), [("C++", "C#", "/tags/c/"), ("Sue & Co", "Sue Co", "/companies/sue-co/")]
)
def test_names_that_would_share_a_page_are_told(scene: Scene, one: str, other: str, address: str) -> None:
    key = address.split("/")[1].replace("companies", "targetCompanies")
    line = f"{key}: [{{}}]"
    before = "tags: [draft]" if key == "tags" else "targetCompanies: []"
    scene.write("one-post", written(before, line.format(one)))
    scene.write("two-post", written(before, line.format(f"'{other}'")))
    (found,) = told(scene)
    assert f"{other!r} and {one!r} (content/posts/one-post.md) would share the page {address}" in found


def test_spellings_of_one_name_share_its_page(scene: Scene) -> None:
    scene.write("one-post", written("[draft]", "[Load balancing]"))
    scene.write("two-post", written("[draft]", "[load-balancing]"))
    scene.build()
    assert scene.page("tags/load-balancing/index.html").count("/posts/") >= 2


def test_a_folder_in_the_place_of_the_cache_is_named(scene: Scene) -> None:
    scene.write("a-post", SOUND)
    scene.build()
    (scene.out / CACHE).unlink()
    (scene.out / CACHE).mkdir()
    with pytest.raises(OutputFailed, match="cannot be written"):
        scene.build()


@pytest.mark.parametrize("path", ["/feed.atom", "/posts.json", "/companies/acme/", "/posts/was-there/"])
def test_what_the_site_has_can_be_linked_to(scene: Scene, path: str) -> None:
    text = written("Why it broke", f"See [this]({path})").replace("Companies: []", "Companies: [Acme]")
    scene.write("a-post", text.replace("links: []", "links: []\nredirectFrom: [was-there]"))
    scene.build()
