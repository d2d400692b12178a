"""The report of a record as a page: complete, closed to scripts, and in the console's colours."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any, Final

import html5lib
import msgspec
import pytest

from holdfast.drills import render_page
from holdfast.evidence import Claim, Metric
from tests.unit.evidence.records import small_record

HOSTILE: Final = "</style><script>alert(1)</script><img src=x onerror=alert(1)>"
_TOKEN: Final = re.compile(r"(--[a-z0-9-]+): ([^;]+);")


def parsed(text: str) -> Any:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def test_the_page_is_valid_html_with_claims_contenders_charts_and_origin() -> None:
    record = small_record(attempts=20, latency=tuple(float(number) for number in range(1, 100)))
    text = render_page(record)
    document = parsed(text)
    assert len(document.findall(".//figure")) == 2
    for part in (
        record.id,
        "few attempts",
        "fails",
        "control",
        "without the budget",
        "not installed",
        "a cpu",
        "0" * 40,
    ):
        assert part in text
    assert "holdfast drill run flapping" in text
    assert "git checkout" in text


def test_nothing_from_a_record_becomes_markup() -> None:
    record = small_record()
    metric = Metric(value=1.0, unit=HOSTILE, better="lower", derivation="count(samples.holdfast.latency_ms)")
    claim = Claim.judge(HOSTILE, "holdfast." + HOSTILE, "<=", 1.0, 1.0)
    hostile = msgspec.structs.replace(
        record,
        title=HOSTILE,
        notes=(HOSTILE,),
        argv=(HOSTILE,),
        metrics={"holdfast." + HOSTILE: metric, HOSTILE + ".x": metric},
        claims=(claim,),
        parameters={HOSTILE: HOSTILE},
        inputs={HOSTILE: HOSTILE},
    )
    document = parsed(render_page(hostile, stale=(HOSTILE,)))
    assert document.findall(".//script") == []
    assert document.findall(".//img") == []
    assert not [name for element in document.iter() for name in element.attrib if name.startswith("on")]


def test_the_policy_allows_its_own_style_sheet_and_nothing_else() -> None:
    text = render_page(small_record())
    document = parsed(text)
    style = document.findtext(".//style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta for meta in document.iter("meta") if meta.get("http-equiv")).get("content")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not [element for element in document.iter() if "style" in element.attrib]
    assert not re.search(r"(?:src|href)=|url\(|@import", text)


def test_a_chart_has_its_data_in_a_table_beneath() -> None:
    document = parsed(render_page(small_record(latency=tuple(float(number) for number in range(1, 101)))))
    for figure in document.findall(".//figure"):
        assert figure.findtext(".//tbody/tr/th") == "holdfast"
    curve = document.findall(".//figure")[-1]
    assert [cell.text for cell in curve.findall(".//tbody/tr/td")] == ["100", "1", "50", "90", "99", "100", "100"]


@pytest.mark.parametrize(("quick", "word"), [(True, "A quick run shows"), (False, "few attempts")])
def test_a_quick_run_is_said_to_be_one(quick: bool, word: str) -> None:
    text = render_page(small_record(quick=quick))
    assert word in text
    assert ("A quick run shows" in text) is quick


def test_changed_inputs_are_told() -> None:
    assert "have changed since" in render_page(small_record(), stale=("a.py", "b.py"))
    assert "changed since" not in render_page(small_record())


def test_colours_and_spaces_are_those_of_the_console() -> None:
    ours = dict(_TOKEN.findall(files("holdfast.drills").joinpath("templates", "record.css").read_text("utf-8")))
    consoles = dict(_TOKEN.findall(files("holdfast.console").joinpath("static", "console.css").read_text("utf-8")))
    own = {"--blue", "--violet", "--hue"}
    assert {name: value for name, value in ours.items() if name not in own} == {
        name: consoles[name] for name in ours if name not in own
    }
