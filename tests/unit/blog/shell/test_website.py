"""Over HTTP there is what the manifest names, with the headers that pages and browsers are owed, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from holdfast.blog.shell.output import MANIFEST
from holdfast.blog.shell.website import Website, website_app
from tests.unit.blog.shell.scene import ADDRESS, Scene, post

Ask = Callable[..., Awaitable[tuple[int, Any, bytes]]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = Scene(tmp_path_factory.mktemp("site"))
    made.write("a-post", post("Here", more="redirectFrom: [was-there]\n"))
    made.picture("shots/x.png")
    made.build()
    (made.root / "secret.txt").write_text("secret")
    (made.out / "stranger.txt").write_text("not ours")
    return made


def asked(scene: Scene, *requests: tuple[str, str, dict[str, str]]) -> list[tuple[int, Any, bytes]]:
    """Status, headers and body of each."""

    async def run() -> list[tuple[int, Any, bytes]]:
        website = Website(scene.out, ADDRESS, problem=lambda: b"<p>nothing yet</p>")
        website.reload()
        runner = web.AppRunner(website_app(website.answer), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            found = []
            async with asyncio.timeout(20), ClientSession() as client:
                for method, path, headers in requests:
                    where = URL(base + path, encoded=True)
                    async with client.request(method, where, headers=headers, allow_redirects=False) as answer:
                        found.append((answer.status, answer.headers.copy(), await answer.read()))
            return found
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def get(scene: Scene, path: str, **headers: str) -> tuple[int, Any, bytes]:
    return asked(scene, ("GET", path, headers))[0]


@pytest.mark.parametrize("prefix", ["", "/blog"])
def test_pages_stand_with_and_without_the_prefix_of_the_site(scene: Scene, prefix: str) -> None:
    status, headers, body = get(scene, f"{prefix}/posts/a-post/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert body == (scene.out / "posts/a-post/index.html").read_bytes()


def test_every_answer_carries_the_policy(scene: Scene) -> None:
    for path in ("/", "/nowhere", "/posts/was-there/", "/feed.atom"):
        _, headers, _ = get(scene, path)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/feed.atom", "application/atom+xml"),
        ("/feed.rss", "application/rss+xml"),
        ("/feed.json", "application/feed+json"),
        ("/posts.json", "application/json"),
        ("/shots/x.png", "image/png"),
        ("/robots.txt", "text/plain; charset=utf-8"),
    ],
)
def test_files_say_what_they_are(scene: Scene, path: str, kind: str) -> None:
    assert get(scene, path)[1]["Content-Type"] == kind


def test_what_a_browser_has_is_not_sent_again(scene: Scene) -> None:
    _, headers, body = get(scene, "/")
    assert body
    for condition in ({"If-None-Match": headers["ETag"]}, {"If-Modified-Since": headers["Last-Modified"]}):
        status, again, nothing = asked(scene, ("GET", "/", condition))[0]
        assert (status, nothing) == (304, b"")
        assert again["ETag"] == headers["ETag"]
    assert asked(scene, ("GET", "/", {"If-None-Match": '"other"'}))[0][0] == 200


def test_pages_are_asked_after_and_assets_are_kept(scene: Scene) -> None:
    _, headers, body = get(scene, "/")
    assert headers["Cache-Control"] == "no-cache"
    asset = body.decode().split('rel="stylesheet" href="/blog')[1].split('"')[0]
    assert "immutable" in get(scene, asset)[1]["Cache-Control"]


def test_a_head_has_the_headers_of_a_get(scene: Scene) -> None:
    (_, got, body), (status, head, nothing) = asked(scene, ("GET", "/", {}), ("HEAD", "/", {}))
    assert status == 200
    assert nothing == b""
    assert head["Content-Length"] == got["Content-Length"] == str(len(body))
    assert head["ETag"] == got["ETag"]


def test_renamed_posts_and_missing_slashes_are_redirected_for_good(scene: Scene) -> None:
    status, headers, _ = get(scene, "/posts/was-there/")
    assert (status, headers["Location"]) == (301, "/blog/posts/a-post/")
    status, headers, _ = get(scene, "/posts/a-post?x=1")
    assert (status, headers["Location"]) == (301, "/blog/posts/a-post/?x=1")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/posts/..%2f..%2f..%2fsecret.txt",
        "/blog/../../secret.txt",
        "//etc/passwd",
        f"/{MANIFEST}",
        "/.holdfast-blog.cache",
        "/stranger.txt",
        "/posts/a-post/index.html%00",
    ],
)
def test_nothing_but_the_site_can_be_had(scene: Scene, path: str) -> None:
    async def raw() -> bytes:
        website = Website(scene.out, ADDRESS, problem=lambda: b"")
        website.reload()
        runner = web.AppRunner(website_app(website.answer), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
                writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
                await writer.wait_closed()
            return answer
        finally:
            await runner.cleanup()

    answer = asyncio.run(raw())
    assert answer.split(b" ")[1] in {b"404", b"400"}
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]
    assert b"not ours" not in answer


def test_a_link_in_the_output_leads_nowhere_outside(scene: Scene, tmp_path: Path) -> None:
    copy = Scene(tmp_path)
    copy.write("a-post", post("Here"))
    copy.build()
    (copy.root / "secret.txt").write_bytes(b"secret")
    (copy.out / "robots.txt").unlink()
    (copy.out / "robots.txt").symlink_to(copy.root / "secret.txt")
    assert get(copy, "/robots.txt")[0] == 404


def test_other_methods_are_refused(scene: Scene) -> None:
    assert [status for status, _, _ in asked(scene, ("POST", "/", {}), ("PUT", "/x", {}))] == [405, 405]


def test_without_a_site_the_problem_is_shown(tmp_path: Path) -> None:
    status, headers, body = get(Scene(tmp_path), "/")
    assert (status, body) == (503, b"<p>nothing yet</p>")
    assert headers["Retry-After"]


@pytest.mark.parametrize("query", ["y=%0d", "y=%0D%0AX-Evil:%20no", "q=a%26b%3D1%23c", "q=%C3%A9+x"])
def test_a_redirect_keeps_the_query_as_it_came(scene: Scene, query: str) -> None:
    for path in ("/posts/a-post", "/posts/was-there/"):
        status, headers, _ = get(scene, f"{path}?{query}")
        assert status == 301
        assert headers["Location"] == f"/blog/posts/a-post/?{query}"
        assert "X-Evil" not in headers


def test_no_answer_tells_the_versions_of_what_serves_it(scene: Scene) -> None:
    assert get(scene, "/")[1]["Server"] == "holdfast"
