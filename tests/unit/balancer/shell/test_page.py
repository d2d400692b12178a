"""The page for a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from random import Random

from holdfast.balancer.core.board import Board
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef
from holdfast.balancer.core.settings import BackendSettings, BalancerSettings, PoolSettings
from holdfast.balancer.shell.page import backends_page

NASTY = "<script>alert('x')</script>\"&"


def page(settings: BalancerSettings, *, fail: str | None = None) -> str:
    board = Board(settings, Random(1), 0.0)
    for _ in range(3 if fail else 0):
        board.on_probe(BackendRef("web", str(fail)), ProbeResult(passed=False, kind="connect"), 1.0)
    explanations = {ref: board.explain(ref.pool, ref.backend, 100.0) for ref in board.backends()}
    return backends_page(board.snapshot(100.0), dict.fromkeys(settings.pools, "p2c"), explanations)


def pool(*names: str) -> PoolSettings:
    return PoolSettings(backends=tuple(BackendSettings(id=name, url=f"http://{name}:80") for name in names))


class Balance(HTMLParser):
    """Fails on a tag that is closed in the wrong place or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_and_no_script_or_inline_style_is_needed() -> None:
    text = page(BalancerSettings(pools={"web": pool("a", "b"), "empty": PoolSettings()}))
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"<script|style=|<style|\son\w+=|https?://(?!a:|b:)", text)
    assert "This pool has no backends." in text


def test_what_comes_from_outside_is_escaped() -> None:
    hostile = PoolSettings(backends=(BackendSettings(id=NASTY, url=f"http://{NASTY}"),))
    text = page(BalancerSettings(pools={NASTY: hostile}))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3


def test_a_row_says_why() -> None:
    text = page(BalancerSettings(pools={"web": pool("a", "b", "c")}), fail="b")
    row = next(row for row in text.split("<tr>") if ">b <small>" in row)
    assert '<span class="state down">down</span> <small>for 1 min</small>' in row
    assert "Active checks took it out" in row
    assert "0 of 1" in row
    assert "2 of 3 in rotation · p2c" in text
    assert "Nothing speaks against it." not in row


def test_panic_is_said_at_the_head_of_the_pool() -> None:
    assert "panic: only 0% of the weight is sound" in page(BalancerSettings(pools={"web": pool("a")}), fail="a")
