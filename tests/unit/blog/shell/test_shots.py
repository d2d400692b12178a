"""What content/shots.yaml may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.blog.errors import Refused, ShootFailed
from holdfast.blog.shell.browser import find_browser
from holdfast.blog.shell.shoot import read_shots

GOOD = """
shots/backends.png:
  steps:
    - open: /monitors?group=Demo
    - {wait: "tr.down", within: 60}
    - click: "tr.down a"
    - type: {into: "#q", text: flapping}
  size: [800, 600]
  scheme: dark
  only: main
shots/plain.png: {steps: [{open: /}]}
"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    content = tmp_path / "content"
    content.mkdir(exist_ok=True)
    (content / "shots.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return content


def test_pictures_are_read_with_their_steps(tmp_path: Path) -> None:
    shots = read_shots(write(tmp_path, GOOD))
    assert list(shots) == ["shots/backends.png", "shots/plain.png"]
    first, plain = shots.values()
    assert [step.open or step.wait or step.click or "type" for step in first.steps] == [
        *("/monitors?group=Demo", "tr.down", "tr.down a", "type"),
    ]
    assert (first.size, first.scheme, first.only) == ((800, 600), "dark", "main")
    assert (plain.size, plain.scheme, plain.only) == ((1200, 760), "light", "")


def test_a_blog_without_pictures_has_none(tmp_path: Path) -> None:
    assert read_shots(tmp_path) == {}
    assert read_shots(write(tmp_path, "# none yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML"),
        (b"\xff\xfe", "not YAML"),
        ("- a\n", "not a mapping"),
        ("../../etc/passwd.png: {steps: [{open: /}]}", "no picture below content/public"),
        ("/shots/a.png: {steps: [{open: /}]}", "no picture below content/public"),
        ("shots/a.svg: {steps: [{open: /}]}", "no picture below content/public"),
        ("shots/a.png: {}", "steps"),
        ("shots/a.png: {steps: []}", "steps"),
        ("shots/a.png: {steps: [{open: https://example.org/}]}", "open"),
        ("shots/a.png: {steps: [{open: //example.org/}]}", "open"),
        ("shots/a.png: {steps: [{open: '/a b'}]}", "open"),
        ("shots/a.png: {steps: [{open: /, click: a}]}", "one of open, wait, click and type"),
        ("shots/a.png: {steps: [{open: /, text: up}]}", "text belongs to a wait"),
        ("shots/a.png: {steps: [{within: 3}]}", "one of open, wait, click and type"),
        ("shots/a.png: {steps: [{open: /, within: 0}]}", "within"),
        ("shots/a.png: {steps: [{open: /, within: 1e9}]}", "within"),
        ("shots/a.png: {steps: [{type: {into: a}}]}", "text"),
        ("shots/a.png: {steps: [{open: /}], size: [10, 10]}", "size"),
        ("shots/a.png: {steps: [{open: /}], scheme: sepia}", "sepia"),
        ("shots/a.png: {steps: [{open: /}], colour: red}", "colour"),
        (b"x" * 300_000, "bytes"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_a_remedy(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        read_shots(write(tmp_path, text))
    (fault,) = caught.value.faults
    assert fault.file == "content/shots.yaml"
    assert fault.remedy


def test_a_browser_that_is_nowhere_is_missing_with_the_remedy() -> None:
    with pytest.raises(ShootFailed, match="apt-get install chromium"):
        find_browser("no-such-browser")
