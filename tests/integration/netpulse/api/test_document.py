"""The OpenAPI document and the pages of problems."""

from __future__ import annotations

from holdfast.netpulse.shell.api.problems import TYPES
from tests.integration.netpulse.api.harness import looped, running


@looped
async def test_the_document_knows_bodies_problems_and_who_needs_no_key() -> None:
    async with running() as api:
        document = await api.ok("GET", "/openapi.json", key=None)
        create = document["paths"]["/v1/monitors"]["post"]
        reference = create["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        assert "id" in schema["required"]
        assert schema["additionalProperties"] is False
        assert "application/problem+json" in create["responses"]["409"]["content"]
        beat = document["paths"]["/v1/heartbeats/{token}"]
        assert set(beat) == {"get", "head", "post"}
        assert beat["get"]["security"] == []


@looped
async def test_every_reference_in_the_document_leads_somewhere() -> None:
    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(each) for each in node.values()))
        return set().union(*(references(each) for each in node)) if isinstance(node, list) else set()

    async with running() as api:
        document = await api.ok("GET", "/openapi.json", key=None)
        schemas = document["components"]["schemas"]
        assert {each.removeprefix("#/components/schemas/") for each in references(document)} <= set(schemas)


@looped
async def test_every_problem_type_has_a_page() -> None:
    async with running() as api:
        for name, kind in TYPES.items():
            assert (await api.ok("GET", f"/problems/{name}", key=None))["status"] == kind.status
        assert (await api.refused("GET", "/problems/none", key=None))["status"] == 404
