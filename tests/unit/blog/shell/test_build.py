"""A site is made of what changed, owned to the last file, and the same bytes whatever was built before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from holdfast.blog.core.site import Address
from holdfast.blog.errors import OutputFailed, OutputNotOurs, Refused
from holdfast.blog.shell import output
from holdfast.blog.shell.build import Options
from holdfast.blog.shell.cache import CACHE
from holdfast.blog.shell.output import MANIFEST, PENDING, Manifest
from tests.unit.blog.shell.scene import ADDRESS, PLAIN, Scene, lettered, post

pytestmark = pytest.mark.usefixtures("vega")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.write("first-post", post("First", date="2026-11-01"))
    made.write("second-post", post("Second", date="2026-11-02"))
    return made


def faults(scene: Scene, options: Options = PLAIN) -> str:
    with pytest.raises(Refused) as caught:
        scene.build(options)
    return str(caught.value)


def test_a_site_has_every_kind_of_page_and_document(scene: Scene) -> None:
    scene.record()
    built = scene.build()
    wanted = {"index.html", "404.html", "posts.json", "feed.rss", "feed.atom", "feed.json", "sitemap.xml", "robots.txt"}
    wanted |= {"search.json", "search/index.html", "tags/index.html", "evidence/index.html"}
    wanted |= {"posts/first-post/index.html", "evidence/flapping/index.html"}
    assert wanted <= scene.files().keys()
    assert built.manifest.files.keys() == scene.files().keys() - {MANIFEST, CACHE}


def test_newest_posts_come_first(scene: Scene) -> None:
    scene.build()
    index = scene.page("index.html")
    assert index.index("posts/second-post/") < index.index("posts/first-post/")
    assert [one["slug"] for one in json.loads(scene.page("posts.json"))] == ["second-post", "first-post"]


def test_the_same_posts_give_the_same_bytes(scene: Scene) -> None:
    scene.record()
    scene.build()
    cold = scene.files()
    assert scene.build().written == ()
    scene.write("third-post", post("Third"))
    scene.build()
    scene.remove("third-post")
    scene.build()
    assert scene.files() == cold
    shutil.rmtree(scene.out)
    scene.build()
    assert scene.files() == cold


def test_many_workers_make_what_one_makes(scene: Scene) -> None:
    for number in range(70):
        scene.write(f"post-{number:02}", post(lettered(number), date=f"2026-10-{number % 28 + 1:02}"))
    scene.build(Options(cards=False, workers=2))
    many = scene.files()
    shutil.rmtree(scene.out)
    scene.build()
    assert scene.files() == many


def test_what_is_wrong_is_told_whichever_process_finds_it(scene: Scene) -> None:
    for number in range(70):
        scene.write(f"post-{number:02}", post(lettered(number)))
    scene.write("post-03", post("Title", says="It took [this](/posts/nowhere/)."))
    scene.write("post-04", post("Title").replace("## Hook", "## Hock"))
    told = faults(scene, Options(cards=False, workers=2))
    assert "content/posts/post-03.md:" in told
    assert "content/posts/post-04.md:" in told
    assert not scene.out.exists()


def test_an_edit_makes_that_post_and_its_lists_only(scene: Scene) -> None:
    scene.record()
    scene.build()
    scene.write("first-post", post("First, better", date="2026-11-01"))
    built = scene.build()
    assert built.rendered == 1
    assert "posts/second-post/index.html" not in built.written
    assert not any(path.startswith("evidence/") for path in built.written)
    assert {"posts/first-post/index.html", "index.html", "feed.atom", "search.json"} <= set(built.written)


def test_a_post_that_goes_takes_its_pages_along(scene: Scene) -> None:
    scene.write("third-post", post("Third").replace("tags: [", "tags: [rare-thing, "))
    scene.build()
    assert "tags/rare-thing/index.html" in scene.files()
    scene.remove("third-post")
    built = scene.build()
    assert set(built.removed) == {"posts/third-post/index.html", "tags/rare-thing/index.html"}
    assert not (scene.out / "posts" / "third-post").exists()


def test_a_link_to_a_post_that_goes_is_found_in_a_post_that_did_not_change(scene: Scene) -> None:
    scene.write("third-post", post("Third", says="See [the first](/posts/first-post/)."))
    scene.build()
    scene.remove("first-post")
    assert "content/posts/third-post.md:" in faults(scene)
    assert (scene.out / "posts" / "first-post" / "index.html").exists(), "the last good site stands"


def test_a_page_that_somebody_removed_is_made_again(scene: Scene) -> None:
    scene.build()
    whole = scene.files()
    (scene.out / "posts" / "first-post" / "index.html").unlink()
    (scene.out / "index.html").unlink()
    scene.build()
    assert scene.files() == whole


def test_a_cache_that_is_none_is_not_used(scene: Scene) -> None:
    scene.build()
    whole = scene.files()
    (scene.out / CACHE).write_bytes(b"{nonsense")
    scene.build()
    assert scene.files() == whole


def test_a_folder_that_is_not_ours_is_not_touched(scene: Scene) -> None:
    scene.out.mkdir()
    (scene.out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputNotOurs, match="no build of ours wrote it"):
        scene.build()
    assert scene.files() == {"thesis.txt": b"years of work"}


def test_a_folder_that_cannot_be_written_is_named_and_the_next_build_completes_it(scene: Scene) -> None:
    scene.build()
    whole = scene.files()
    page = scene.out / "posts" / "first-post" / "index.html"
    page.unlink()
    page.mkdir()  # what nobody can write a file over, root neither
    with pytest.raises(OutputFailed, match=r"first-post/.* cannot be written: Is a directory; make room there"):
        scene.build()
    page.rmdir()
    scene.build()
    assert scene.files() == whole


class Killed(BaseException):
    """Nothing is done any more."""


def killed(scene: Scene, at: int, address: Address = ADDRESS) -> None:
    """A build that ends before it writes so many files of its own or the site's, and tidies nothing up."""
    true_replace, left = output.replace, [at]

    def replace(target: Path, data: bytes) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        true_replace(target, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "replace", replace)
        with pytest.raises(Killed):
            scene.build(address=address)


@pytest.mark.parametrize("at", [0, 1, 2, 5, -2, -1])
def test_whenever_a_later_build_was_killed_the_next_gives_the_bytes_of_a_cold_one(scene: Scene, at: int) -> None:
    scene.record()
    scene.build()
    cold = scene.files()
    scene.write("first-post", post("Other", date="2026-11-01"))
    changed = len(scene.build().written) + 3  # what is under way, the manifest and the cache
    scene.write("first-post", post("First", date="2026-11-01"))
    scene.build()
    scene.write("first-post", post("Other", date="2026-11-01"))
    killed(scene, at % changed)
    scene.write("first-post", post("First", date="2026-11-01"))
    scene.build()
    assert scene.files() == cold


@pytest.mark.parametrize("at", [1, 2, 4, 8, 12])
def test_pages_that_a_killed_build_left_unsure_are_made_again(scene: Scene, at: int) -> None:
    scene.record()
    scene.build()
    cold = scene.files()
    killed(scene, at, Address(base=ADDRESS.base, title="Another title", about=ADDRESS.about))
    assert (scene.out / PENDING).exists()
    scene.build()
    assert scene.files() == cold


def test_a_stranger_among_our_files_stays(scene: Scene) -> None:
    scene.build()
    (scene.out / "posts" / "notes.txt").write_text("mine")
    scene.remove("first-post")
    scene.remove("second-post")
    scene.build()
    assert (scene.out / "posts" / "notes.txt").read_text() == "mine"


def test_a_manifest_cannot_lead_out_of_its_folder(scene: Scene, tmp_path: Path) -> None:
    scene.build()
    outside = tmp_path / "outside.txt"
    outside.write_text("safe")
    manifest = json.loads((scene.out / MANIFEST).read_bytes())
    manifest["files"]["../outside.txt"] = ["0" * 64, 4]
    (scene.out / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(OutputNotOurs):
        scene.build()
    assert outside.read_text() == "safe"


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "a/..", "./a", "a\\b", "a\0b", "."])
def test_paths_that_lead_elsewhere_are_no_paths_of_a_manifest(path: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        Manifest(files={path: ("0" * 64, 1)})  # type: ignore[dict-item]


@pytest.mark.parametrize("out", ["content", "content/site", "."])
def test_the_output_lies_apart_from_its_sources(scene: Scene, out: str) -> None:
    scene.out = scene.root / out
    with pytest.raises(OutputNotOurs):
        scene.build()


def test_drafts_are_shown_only_where_they_are_asked_for(scene: Scene) -> None:
    scene.write("an-idea", post("Idea", more="draft: true\n"))
    scene.build()
    assert "an-idea" not in "".join(str(name) for name in scene.files()) + scene.page("index.html")
    scene.build(Options(cards=False, drafts=True))
    assert 'class="badge wait">Draft' in scene.page("posts/an-idea/index.html")
    assert "noindex" in scene.page("posts/an-idea/index.html")
    for document in ("feed.rss", "feed.atom", "feed.json", "posts.json", "sitemap.xml", "search.json"):
        assert "an-idea" not in scene.page(document)


def test_a_former_slug_leads_to_the_post(scene: Scene) -> None:
    scene.write("third-post", post("Third", more="redirectFrom: [old-post]\n"))
    built = scene.build()
    assert built.manifest.redirects == {"posts/old-post/": "posts/third-post/"}
    moved = scene.page("posts/old-post/index.html")
    assert '<link rel="canonical" href="http://127.0.0.1:8080/blog/posts/third-post/">' in moved
    assert 'content="0; url=/blog/posts/third-post/"' in moved
    assert "old-post" not in scene.page("sitemap.xml")


def test_two_posts_cannot_claim_one_address(scene: Scene) -> None:
    scene.write("third-post", post("Third", more="redirectFrom: [first-post]\n"))
    assert "'first-post' leads to content/posts/first-post.md already" in faults(scene)


def test_a_new_record_makes_the_posts_again(scene: Scene) -> None:
    scene.write("third-post", post("Third", says="Clients saw {ev:flapping.errors|int} errors."))
    assert "flapping" in faults(scene)
    scene.record()
    scene.build()
    page = scene.page("posts/third-post/index.html")
    assert 'href="/blog/evidence/flapping/#holdfast.errors"' in page
    assert 'id="holdfast.errors"' in scene.page("evidence/flapping/index.html")
    assert "Third" in scene.page("evidence/flapping/index.html")


def test_another_address_makes_every_page_again(scene: Scene) -> None:
    scene.build()
    built = scene.build(address=Address(base="https://example.org/", title="Elsewhere", about="The same posts."))
    assert built.rendered == 2
    assert '<link rel="canonical" href="https://example.org/posts/first-post/">' in scene.page(
        "posts/first-post/index.html"
    )


def test_public_files_are_published_and_pictures_keep_their_place_free(scene: Scene) -> None:
    scene.picture("shots/console.png", 640, 400)
    shot = "### Screenshot\n\n![The console](/shots/console.png)\n\nThe console during the run.\n\n"
    text = post("Third")
    scene.write("third-post", text.replace("## Bottleneck resolution", f"{shot}## Bottleneck resolution"))
    scene.build()
    assert "shots/console.png" in scene.files()
    assert 'src="/blog/shots/console.png" alt="The console" width="640" height="400"' in scene.page(
        "posts/third-post/index.html"
    )


def test_a_public_file_cannot_stand_in_the_way_of_a_page(scene: Scene) -> None:
    scene.picture("posts/x.png")
    assert "the site has /posts/x.png itself" in faults(scene)


def test_without_content_there_is_an_index_with_the_three_steps(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    shutil.rmtree(scene.content)
    assert scene.build().posts == 0
    assert "Add a post in three steps" in scene.page("index.html")
    assert "No posts yet" in scene.page("index.html")


def test_long_lists_have_pages(scene: Scene) -> None:
    for number in range(45):
        scene.write(f"post-{number:02}", post(lettered(number), date=f"2026-10-{number % 28 + 1:02}"))
    scene.build()
    assert {"page/2/index.html", "page/3/index.html"} <= scene.files().keys()
    assert "page/4/index.html" not in scene.files()
    assert 'rel="next" href="/blog/page/3/"' in scene.page("page/2/index.html")


def test_no_page_weighs_more_than_sixty_kilobytes(scene: Scene) -> None:
    scene.record()
    for number in range(30):
        scene.write(f"post-{number:02}", post(lettered(number), date=f"2026-10-{number % 28 + 1:02}"))
    scene.build()
    assert {
        name: len(data) for name, data in scene.files().items() if name.endswith(".html") and len(data) > 60_000
    } == {}


@pytest.mark.parametrize(("tags", "named"), [(12, 20), (40, 6), (120, 0)])
def test_lists_by_tag_stay_pages_however_many_tags_there_are(tmp_path: Path, tags: int, named: int) -> None:
    scene = Scene(tmp_path)
    words = [f"tag-{'abcdefghij'[number // 100]}{lettered(number % 100)[-2:]}" for number in range(tags)]
    for number in range(99):
        about = {words[(number * step) % tags] for step in (1, 5, 7, 11)}
        text = post(lettered(number), date=f"2026-10-{number % 28 + 1:02}")
        scene.write(f"post-{number:02}", text.replace("tags: [draft]", f"tags: [{', '.join(sorted(about))}]"))
    scene.build()
    for name in ("tags/index.html", "search/index.html"):
        page = scene.page(name)
        assert len(page.encode()) < 60_000
        assert f'href="/blog/tags/{words[1]}/"' in page
        section = page.partition(f'<h2 id="tag-{words[1]}">')[2].partition("</section>")[0]
        assert section.count('href="/blog/posts/') == named
        assert bool(section) == bool(named)


def test_cards_are_drawn_once(scene: Scene) -> None:
    scene.remove("second-post")
    scene.build(Options())
    card = "cards/first-post.png"
    assert {card, "cards/site.png"} <= scene.files().keys()
    scene.write("first-post", post("First", date="2026-11-01", says="More of it."))
    built = scene.build(Options())
    assert built.rendered == 1
    assert card not in built.written
    assert card in built.manifest.files
    assert f'content="http://127.0.0.1:8080/blog/{card}"' in scene.page("posts/first-post/index.html")
