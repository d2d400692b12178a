"""The blog as a service of its own: it builds apart, serves the last good site, and ends when it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread

from tests.machine import free_port
from tests.unit.blog.shell.scene import Scene, post

DEADLINE_S = 60.0


@contextmanager
def running(scene: Scene) -> Iterator[tuple[str, subprocess.Popen[str], Queue[str]]]:
    """URL, process, and the lines of its log."""
    port = free_port()
    file = scene.root / "holdfast.yaml"
    file.write_text(
        f'blog:\n  listen: "127.0.0.1:{port}"\n  url: "http://127.0.0.1:{port}/blog/"\n  content: "{scene.content}"\n'
        f'  evidence: "{scene.evidence}"\n  output: "{scene.out}"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "holdfast", "run", "blog", "-c", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOLDFAST_LOG_FORMAT": "json"},
    )
    lines: Queue[str] = Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.put(line)

    reader = Thread(target=read)
    reader.start()
    try:
        yield f"http://127.0.0.1:{port}", process, lines
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(DEADLINE_S)
        reader.join(DEADLINE_S)
        assert process.stderr is not None
        process.stderr.close()
    assert code == 0


def said(lines: Queue[str], words: str) -> None:
    while words not in lines.get(timeout=DEADLINE_S):
        pass


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_fault_keeps_the_last_good_site_and_a_reload_mends_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write("a-post", post("First"))
    with running(scene) as (url, process, lines):
        said(lines, "the blog is built")
        assert "First" in asked(f"{url}/blog/posts/a-post/")[1]
        scene.write("a-post", post("Second", says="It failed 17 times."))
        process.send_signal(signal.SIGHUP)
        said(lines, "the last good site stands")
        assert "First" in asked(f"{url}/blog/posts/a-post/")[1]
        scene.write("a-post", post("Third"))
        process.send_signal(signal.SIGHUP)
        said(lines, "the blog is built")
        assert "Third" in asked(f"{url}/blog/posts/a-post/")[1]


def test_without_a_site_the_page_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write("a-post", post("First", says="It failed 17 times."))
    with running(scene) as (url, _, lines):
        said(lines, "there is no site yet")
        status, page = asked(f"{url}/blog/")
        assert status == 503
        assert "content/posts/a-post.md:" in page
        assert asked(f"{url}/healthz")[0] == 200
