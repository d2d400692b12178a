"""The files of the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.status import Update, UpdateStatus, Window, component_id, status_view
from holdfast.netpulse.shell.status.render import bars, pages, render
from tests.unit.console.test_style import contrast
from tests.unit.netpulse.status.views import DAY, HOUR, NOW, incident, member, monitor, source, stamp

HOSTILE = "<script>alert('1')</script> & \"co\" \x00"
STYLE = files("holdfast.netpulse.shell.status").joinpath("static/style.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
}


def whole(**changes: Any) -> dict[str, bytes]:
    """A page with something of everything."""
    values: dict[str, Any] = {
        "monitors": [monitor("shop", state="down"), monitor("blog"), monitor("secret-monitor", public=False)],
        "incidents": [
            incident("inc_2", member("default/shop", secret_figure=13.1, regions=["eu"]), acknowledged_by="secret-ada"),
            incident("inc_1", member("blog"), began=stamp(3 * DAY), opened=stamp(3 * DAY), resolved=stamp(2 * DAY)),
        ],
        "spans": [Span(monitor="shop", kind="down", since=NOW - 600)],
        "windows": [Window(id="w", title="Move", starts=NOW + HOUR, ends=NOW + DAY, monitors=("blog",))],
        "subscribe_url": "https://pulse.acme.example/",
    }
    return pages(status_view(source(**{**values, **changes}), now=NOW))


def test_nothing_internal_is_in_any_file() -> None:
    for name, data in whole().items():
        assert b"secret" not in data, name
        assert b"10.0.0.7" not in data, name
        assert b"13.1" not in data, name


def test_what_comes_from_people_is_escaped_everywhere() -> None:
    words = [Update(id="u", at=NOW, status=UpdateStatus.INVESTIGATING, body=HOSTILE, written=True)]
    made = whole(monitors=[monitor("shop", name=HOSTILE, state="down")], updates={"inc_2": words})
    for name, data in made.items():
        assert b"<script>alert" not in data or name.endswith(".json"), name
        if name.endswith((".svg", ".rss", ".atom")):
            ET.fromstring(data.decode())


def test_pages_need_nothing_that_the_policy_forbids_and_every_address_is_relative() -> None:
    for name, data in whole().items():
        if name.endswith(".html"):
            text = data.decode()
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", text), name
            for address in re.findall(r'(?:src|href)="([^"]*)"', text):
                assert not address.startswith(("/", "http")), (name, address)


def test_the_json_has_the_shape_that_clients_of_statuspage_know() -> None:
    summary = json.loads(whole()["api/v2/summary.json"])
    assert summary["status"] == {"indicator": "major", "description": "Some systems are not reachable"}
    by_name = {component["name"]: component for component in summary["components"]}
    assert by_name["Shop"]["status"] == "major_outage"
    assert by_name["Shop"]["group_id"] == by_name["Storefront"]["id"]
    assert by_name["Storefront"]["components"] == [component_id("shop")]
    (standing,) = summary["incidents"]
    assert (standing["id"], standing["status"], standing["impact"]) == ("inc_2", "investigating", "major")
    assert standing["components"][0]["id"] == component_id("shop")
    (planned,) = summary["scheduled_maintenances"]
    assert (planned["name"], planned["status"]) == ("Move", "scheduled")
    assert len(json.loads(whole()["api/v2/incidents.json"])["incidents"]) == 2


def test_the_form_sends_to_the_api() -> None:
    assert b'action="https://pulse.acme.example/v1/status/subscribers"' in whole()["index.html"]
    assert b"<form" not in whole(subscribe_url="")["index.html"]


def test_feeds_have_an_entry_for_each_update_newest_first() -> None:
    made = whole()
    rss = ET.fromstring(made["feed.rss"].decode())
    assert [item.findtext("guid") for item in rss.iter("item")] == [
        "inc_2-investigating",
        "inc_1-resolved",
        "inc_1-investigating",
    ]
    assert rss.findtext("channel/item/link") == "https://status.acme.example/incidents/inc_2.html"
    atom = ET.fromstring(made["feed.atom"].decode())
    assert len(atom.findall("{http://www.w3.org/2005/Atom}entry")) == 3


def test_a_page_without_components_says_so() -> None:
    made = whole(monitors=[], incidents=[], windows=[])
    assert b"Nothing is shown here yet" in made["index.html"]
    assert json.loads(made["api/v2/components.json"])["components"] == []


def test_the_days_of_a_component_are_described_to_those_who_do_not_see_them() -> None:
    spans = [Span(monitor="shop", kind="down", since=NOW - 2 * DAY, until=NOW - 2 * DAY + 300)]
    (component,) = status_view(source(monitors=[monitor("shop")], spans=spans), now=NOW).components
    drawn = bars(component)
    assert drawn.letters == "u" * 87 + "puu"
    assert drawn.label == "90 days: 99.996 % up. 2026-01-29: 5 min down"
    assert dict(drawn.paths)["partial"] == "M348 12h3"


def test_only_what_changed_is_written_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    view = status_view(source(incidents=[incident()]), now=NOW)
    assert render(view, tmp_path) > 10
    assert render(view, tmp_path) == 0
    (tmp_path / "incidents" / "notes.txt").write_text("not ours")
    assert (tmp_path / "incidents" / "inc_1.html").exists()
    render(replace(view, incidents=()), tmp_path)
    assert sorted(entry.name for entry in (tmp_path / "incidents").iterdir()) == ["notes.txt"]
    assert not list(tmp_path.rglob(".new-*"))
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_as_wcag_aa_asks(scheme: int) -> None:
    tones = [(tone, paper) for tone in ("good", "bad", "wait") for paper in (f"{tone}-paper", "raised", "paper")]
    plain = [(ink, paper) for ink in ("ink", "quiet", "accent") for paper in ("raised", "paper", "quiet-paper")]
    for ink, paper in [*tones, *plain, ("on-accent", "accent")]:
        assert contrast(TOKENS[ink][scheme], TOKENS[paper][scheme]) >= 4.5, (ink, paper)
