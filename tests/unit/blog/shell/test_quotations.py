"""Code is quoted when it stands in the repository as it stands in the post."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.blog.shell.quotations import Quotations


@pytest.fixture
def repository(tmp_path: Path) -> Quotations:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "balancer.md").write_text("Set `health: {rise: 2,   fall: 3}`.\n\n    make up PORT=8080\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("LIMIT_S = 30\n")
    (tmp_path / "src" / "data.json").write_text('{"fall": 41}\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("assert fall == 7\n")
    (tmp_path / "README.md").write_text("rise: 99\n")
    return Quotations(tmp_path)


@pytest.mark.parametrize("code", ["rise: 2", "health: {rise: 2, fall: 3}", "LIMIT_S = 30", "make  up PORT=8080"])
def test_what_stands_there_is_quoted_spaces_aside(repository: Quotations, code: str) -> None:
    assert repository.quoted(code)


@pytest.mark.parametrize(
    "code",
    [
        "rise: 3",
        "rise: 22",
        "fall: 3.5",
        "IT_S = 30",
        "LIMIT_S = 3",
        "3",
        "30",
        "fall: 41",
        "fall == 7",
        "rise: 99",
        "",
    ],
)
def test_what_was_changed_cut_or_stands_where_every_number_stands_is_not(repository: Quotations, code: str) -> None:
    assert not repository.quoted(code)


def test_lines_of_one_quotation_are_of_one_file(repository: Quotations) -> None:
    assert repository.quoted("health: {rise: 2, fall: 3}\n\n  make up PORT=8080")
    assert not repository.quoted("health: {rise: 2, fall: 3}\nLIMIT_S = 30")
    assert not repository.quoted("health: {rise: 2, fall: 3}\nmake up PORT=8081")


def test_a_repository_that_is_not_there_quotes_nothing(tmp_path: Path) -> None:
    assert not Quotations(tmp_path / "nowhere").quoted("rise: 2")
