"""The documents are true where a machine can tell: links lead somewhere, commands exist, decisions are numbered."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SVG = "{http://www.w3.org/2000/svg}"


class Link(NamedTuple):
    page: Path
    target: str


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


def links() -> list[Link]:
    return [
        Link(page, target)
        for page in PAGES
        for target in LINK.findall(FENCE.sub("", page.read_text()))
        if not target.startswith(("http://", "https://", "mailto:"))
    ]


@cache
def anchors(page: Path) -> set[str]:
    """What headings can be linked to, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("link", links(), ids=lambda link: f"{name(link.page)}: {link.target}")
def test_a_link_leads_somewhere_in_the_checkout(link: Link) -> None:
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    assert target.is_relative_to(ROOT)
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    todo = {ROOT / "README.md"}
    while todo:
        page = todo.pop()
        reached.add(page)
        linked = {(link.page.parent / link.target.partition("#")[0]).resolve() for link in links() if link.page == page}
        # A link to one record stands for all of them: they lie beside each other.
        beside = set(RECORDS) if linked & set(RECORDS) else set()
        todo |= {path for path in linked | beside if path.suffix == ".md"} - reached
    assert set(PAGES) - reached == set()


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert named - targets == set()


def test_the_readme_has_a_place_for_generated_results() -> None:
    assert re.search(r"^<!-- results -->\n(?s:.*)^<!-- /results -->$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_records_of_decisions_are_numbered_without_gaps() -> None:
    assert [record.name[:5] for record in RECORDS] == [f"{number:04}-" for number in range(1, len(RECORDS) + 1)]


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_a_record_has_its_number_a_status_and_the_three_headings(record: Path) -> None:
    text = record.read_text()
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert re.search(r"^Status: (proposed|accepted|superseded by \[ADR \d+\]\([^)]+\))$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


@pytest.mark.parametrize("picture", PICTURES, ids=name)
def test_a_picture_is_ours_alone_described_and_fit_for_dark_pages(picture: Path) -> None:
    text = picture.read_text()
    root = ET.fromstring(text)  # our own file
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    assert "prefers-color-scheme: dark" in text
    assert "href=" not in text, "a picture that loads something else"
    assert not list(root.iter(f"{SVG}script"))
