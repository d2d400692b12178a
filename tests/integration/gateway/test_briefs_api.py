"""``POST /v1/briefs``, over evidence in a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from holdfast.gateway.core.conversation import Answer, Choice, Text
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.settings import BriefSettings
from holdfast.gateway.shell.briefs import Briefs, brief_router
from holdfast.identity import Principal, Scope

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.gateway.core.conversation import Chat


class Model:
    """Says what it is told to."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, holder: Holder, chat: Chat) -> tuple[Answer, int | None]:
        return Answer(
            id="a", model=chat.model, created=0, choices=(Choice(parts=(Text(text=self._text),)),), usage=None
        ), 0


async def brief(root: Path, said: str = "", **body: Any) -> Any:
    async def who(request: Any) -> Principal:
        return Principal(tenant="acme", key_id="k", scopes=frozenset({Scope.GATEWAY_USE}))

    async def holder(principal: Principal) -> Holder:
        return Holder(tenant=principal.tenant, key_id=principal.key_id)

    briefs = Briefs(BriefSettings(paths=(str(root),)), Model(said))
    app = Litestar([brief_router(briefs, who, holder)], openapi_config=None, logging_config=None)
    async with AsyncTestClient(app) as client:
        reply = await client.post("/v1/briefs", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    (tmp_path / "flap.md").write_text("# Flaps\n\nThe dead backend was noticed after 412 ms.\n", encoding="utf-8")
    return tmp_path


async def test_without_a_model_statements_are_the_evidence_s_own_sentences(posts: Path) -> None:
    found = await brief(posts, requirements=["when was a dead backend noticed", "is it certified by anybody"])
    (statement,) = found["statements"]
    assert statement["text"] == "The dead backend was noticed after 412 ms."
    assert statement["citations"][0]["lines"] == [3, 3]
    assert [gap["requirement"] for gap in found["gaps"]] == ["is it certified by anybody"]


async def test_a_model_s_statement_that_is_not_carried_is_dropped_and_listed(posts: Path) -> None:
    said = (
        '{"statements": [{"text": "The dead backend was noticed after 412 ms.", "cites": ["p1"]},'
        ' {"text": "The dead backend was noticed after 4 ms.", "cites": ["p1"]}]}'
    )
    found = await brief(posts, said, requirements=["dead backend noticed"], model="m")
    assert [each["text"] for each in found["statements"]] == ["The dead backend was noticed after 412 ms."]
    assert "dropped" in found["gaps"][0]["reason"]


async def test_evidence_that_is_not_there_makes_gaps_of_all_and_is_named(tmp_path: Path) -> None:
    found = await brief(tmp_path / "absent", requirements=["anything"])
    assert found["statements"] == []
    assert len(found["gaps"]) == len(found["not_read"]) == 1
