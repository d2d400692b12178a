"""Evidence in passages, what is found in it, and statements that it does not carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.briefs.grounding import Gap, Statement, extract, unsupported
from holdfast.gateway.core.briefs.index import Index
from holdfast.gateway.core.briefs.passages import Passage, passages_of
from holdfast.gateway.shell.briefs.evidence import Evidence

if TYPE_CHECKING:
    from pathlib import Path

POST = """---
title: Flaps
---
# Failover

The balancer noticed the dead backend after 412 ms.

## Cost

No request was lost.
"""


def test_passages_know_their_heading_and_lines() -> None:
    front, noticed, lost = passages_of("posts/flap.md", POST)
    assert (front.first, front.last, front.text) == (2, 2, "title: Flaps")
    assert (noticed.heading, noticed.id) == ("Failover", "posts/flap.md:6-6")
    assert lost.heading == "Cost"


@given(st.text(alphabet="ab #-\n", max_size=200))
def test_the_lines_of_a_passage_are_where_it_says(text: str) -> None:
    lines = text.split("\n")
    for each in passages_of("x.md", text):
        assert each.text == "\n".join(lines[each.first - 1 : each.last]).strip()


def test_what_the_evidence_says_is_found_and_cited() -> None:
    found = extract(Index(passages_of("flap.md", POST)), "When is a dead backend noticed?")
    assert isinstance(found, Statement)
    assert found.text == "The balancer noticed the dead backend after 412 ms."
    assert found.passages[0].id == "flap.md:6-6"


def test_what_it_does_not_say_is_a_gap() -> None:
    index = Index(passages_of("flap.md", POST))
    assert isinstance(extract(index, "Is the platform certified by ISO 27001?"), Gap)
    assert isinstance(extract(Index([]), "anything"), Gap)


def test_a_statement_with_a_number_or_a_denial_of_its_own_is_not_carried() -> None:
    cited = [Passage(source="x.md", heading="", first=1, last=1, text="The balancer noticed it after 412 ms.")]
    assert unsupported("The balancer noticed it after 412 ms.", cited) is None
    assert unsupported("The balancer noticed it after 12 ms.", cited) is not None
    assert unsupported("The balancer never noticed it.", cited) is not None
    assert unsupported("Customers love this product dearly.", cited) is not None
    assert unsupported("The balancer noticed it.", []) is not None


def test_links_are_not_followed_and_changes_are_seen(tmp_path: Path) -> None:
    root, outside = tmp_path / "posts", tmp_path / "secret.md"
    root.mkdir()
    outside.write_text("the secret word", encoding="utf-8")
    (root / "link.md").symlink_to(outside)
    evidence = Evidence([str(root), str(tmp_path / "absent")])
    assert evidence.index().passages == ()
    assert len(evidence.left_out) == 1
    (root / "new.md").write_text("a new word", encoding="utf-8")
    assert [each.id for each in evidence.index().passages] == ["posts/new.md:1-1"]
