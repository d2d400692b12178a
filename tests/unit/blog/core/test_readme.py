"""The README is held to what posts are held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.blog.core.readme import judge_readme

README = """\
# Kelp

On Debian with Python 3.11 or newer, **two** of them:

```sh
make up ARGS="--port 8080"   # one port
```

<!-- results -->
| errors | 41 |
|---|---|
| p99 | 59 ms |
<!-- /results -->

See <http://127.0.0.1:8080/code>, ![a picture](a.svg).
"""


def quoted(code: str) -> bool:
    return code == 'make up ARGS="--port 8080"'


def judged(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.message) for fault in judge_readme(text, file="README.md", quoted=quoted)]


def test_versions_addresses_quotations_and_generated_results_are_no_faults() -> None:
    assert judged(README) == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("**two** of them", "41 of them", 3),
        ("--port 8080", "--port 41", 6),
        ("# one port", "# 41 ports", 6),
        ("See <", "After 41 ms see <", 15),
        ("![a picture]", "![41 pictures]", 15),
        ("# Kelp", "# Kelp 41", 1),
        ("See <", "`--port 41`: <", 15),
        ("# Kelp", "<p>41</p>\n\n# Kelp", 1),
    ],
)
def test_a_number_typed_into_it_is_told_with_its_line(before: str, after: str, line: int) -> None:
    assert [at for at, _ in judged(README.replace(before, after))] == [line]


def test_our_own_readme_has_no_number_outside_its_results() -> None:
    from holdfast.blog.shell.quotations import Quotations

    root = Path(__file__).parents[4]
    text = (root / "README.md").read_text(encoding="utf-8")
    assert judge_readme(text, file="README.md", quoted=Quotations(root).quoted) == ()
