"""The page on the scripted provider, held against what it does."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import msgspec
import pytest
import typer

from holdfast.cli.commands import app
from holdfast.gateway.shell.mock import faults
from holdfast.gateway.shell.mock.ledger import KEPT, Entry, State
from holdfast.gateway.shell.mock.orders import Orders, parse
from holdfast.gateway.shell.mock.routes import route
from tests.unit.house.pages import ROOT, codes, rows, section

PAGE = (ROOT / "docs" / "mock-provider.md").read_text()


def table(heading: str) -> dict[str, list[str]]:
    """The first table under a heading: what its first cell sets in code, and the other cells."""
    return {codes(first)[0]: rest for first, *rest in rows(section(PAGE, heading))}


def test_every_order_is_on_the_page_and_no_other() -> None:
    assert list(table("## Orders")) == [field.name for field in fields(Orders)]


def test_short_forms_are_understood_as_the_page_says() -> None:
    for name, (short, _) in table("## Orders").items():
        for form in codes(short):
            assert name in parse(form), form


def test_limits_of_faults_are_on_the_page() -> None:
    assert tuple(table("## Faults")) == faults._LIMITS
    assert f"`{faults.ACCEPT}`" in section(PAGE, "## Faults")
    for example in re.findall(r"`(\w+=[^`]+,[^`]+)`", section(PAGE, "## Faults")):
        faults.parse_fault(example)


def test_fields_of_the_book_and_their_values_are_on_the_page() -> None:
    book = table("## The book")
    assert list(book) == [field.name for field in msgspec.structs.fields(Entry)]
    assert set(codes(book["state"][0])) == set(get_args(State))
    assert f"{KEPT:,}" in section(PAGE, "## The book")


def test_options_of_the_command_are_on_the_page() -> None:
    command = typer.main.get_command(app).commands["run"].commands["mock-provider"]  # type: ignore[attr-defined]
    known = [option for parameter in command.params for option in parameter.opts]
    assert [codes(first)[0] for first, _ in rows(PAGE.partition("## What it speaks")[0])] == known


@pytest.mark.parametrize("protocol", ["OpenAI", "Anthropic", "Gemini", "Bedrock"])
def test_paths_on_the_page_lead_somewhere(protocol: str) -> None:
    (cell,) = [cell for name, cell in rows(section(PAGE, "## What it speaks")) if name == protocol]
    for path in codes(cell):
        if not path.endswith("/"):
            full = f"/v1beta/models/NAME{path}" if path.startswith(":") else path
            assert any(route(method, full.encode()) for method in (b"GET", b"POST")), full
