"""What comes back in forms."""

from __future__ import annotations

import pytest

from holdfast.console.forms import local_path, text_of


@pytest.mark.parametrize("path", ["/", "/code", "/jobs?status=dead&cursor=01A", "/jobs/01ABC", "/code?job=X%20Y"])
def test_a_path_on_this_server_is_gone_on_to(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run",
        "//evil.test",
        "/\\evil.test",
        "https://evil.test",
        "/a\r\nset-cookie: x",
        "/a b",
        "/é",
        "/" + "x" * 600,
    ],
)
def test_anything_else_leads_to_the_overview(text: str) -> None:
    assert local_path(text) == "/"


def test_line_ends_are_those_that_were_typed() -> None:
    assert text_of({"source": "a\r\nb\n\r\nc\r"}, "source") == "a\nb\n\nc\r"
    assert text_of({}, "source") == ""
