"""The plan of the real excerpt, and how its pages are counted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from holdfast.drills.errors import ToolMissingError
from holdfast.drills.findings import Findings, Setting
from holdfast.drills.noise_excerpt import FULL, QUICK, Page, Plan, pages_of, play_excerpt
from holdfast.drills.noise_targets import Targets

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.10")


def setting(directory: Path) -> Setting:
    return Setting(quick=True, seed=1, directory=directory, progress=lambda _: None)


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_one_thing_happens_at_a_time_and_each_target_fails_once(plan: Plan) -> None:
    spans = [(down.since, down.since + down.lasts) for down in plan.downs]
    spans = sorted(spans + [(fault.since, fault.since + fault.lasts) for fault in plan.faults])
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert spans[-1][1] < plan.lasts
    assert len({down.target for down in plan.downs}) == len(plan.downs)


def ours(event: str, members: list[str], condition: str = "down") -> str:
    body = {"event": event, "incident": {"condition": condition}, "members": members, "title": ""}
    return json.dumps({"at": 7.0, "contender": "holdfast", "body": body})


def test_what_says_that_something_is_over_or_grew_is_no_page() -> None:
    lines = [ours("opened", ["t02: down"]), ours("joined", ["t01: down"]), ours("resolved", ["t02: down"])]
    assert pages_of(lines, ADDRESSES)["holdfast"] == [Page(7.0, 2)]


def test_a_page_about_an_agent_is_about_no_target() -> None:
    assert pages_of([ours("opened", ["us"], "agent")], ADDRESSES)["holdfast"] == [Page(7.0, None)]


def test_a_page_of_the_peer_names_its_target_by_the_whole_address() -> None:
    body = {"groupLabels": {"instance": "http://10.0.0.10:8080/"}}
    line = json.dumps({"at": 7.0, "contender": "blackbox", "body": body})
    assert pages_of([line], ADDRESSES)["blackbox"] == [Page(7.0, 2)]


def test_without_root_the_record_says_why_there_is_no_excerpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = Findings()
    asyncio.run(play_excerpt(found, setting(tmp_path)))
    assert found.notes == ["without the real excerpt: only root may make network namespaces"]
    assert not found.claims


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else f"/usr/sbin/{name}")
    with pytest.raises(ToolMissingError, match="nft is not installed; apt-get install nftables"):
        asyncio.run(play_excerpt(Findings(), setting(tmp_path)))


def test_a_target_answers_what_its_file_says_and_pages_are_kept(tmp_path: Path) -> None:
    for name in ("targets", "seen"):
        (tmp_path / name).mkdir()

    async def ask() -> list[int]:
        async with TestClient(TestServer(Targets(tmp_path).app())) as client:
            statuses = [(await client.get("/")).status]
            (tmp_path / "targets" / "127.0.0.1").write_text("503")
            statuses.append((await client.get("/")).status)
            statuses.append((await client.post("/pages/holdfast", json={"event": "opened"})).status)
            return statuses

    assert asyncio.run(ask()) == [200, 503, 204]
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["holdfast-127.0.0.1"]
    kept = json.loads((tmp_path / "pages.jsonl").read_text())
    assert (kept["contender"], kept["body"]) == ("holdfast", {"event": "opened"})
