"""Months as files, by HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.api.exports import KEPT, Format
from tests.integration.netpulse.api.harness import looped, running

CONTENT = b"monitor,region\r\n" + b"default/web,eu\r\n" * 20_000


@dataclass
class File:
    """That was written."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


async def export(month: str, tenant: str, directory: Path, form: Format) -> Sequence[File]:
    """One file."""
    if month == "2000-01":
        raise Invalid("nothing of it is kept")
    path = directory / f"checks-{month}.{form}"
    path.write_bytes(CONTENT)
    return [File(path.name, 20_000, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())]


@looped
async def test_a_month_is_a_manifest_and_files_whose_sums_are_in_it() -> None:
    async with running(export=export) as api:
        manifest = await api.ok("GET", "/v1/export?month=2026-10")
        (file,) = manifest["files"]
        fetched = await api.ask("GET", file["path"])
        assert fetched.headers["content-type"] == "text/csv; charset=utf-8"
        assert len(fetched.body) == file["size_bytes"]
        assert hashlib.sha256(fetched.body).hexdigest() == file["sha256"]
        assert api.actions == [("k-admin", "export.make", "2026-10")]


@looped
async def test_what_is_no_month_or_format_is_refused_by_its_parameter() -> None:
    async with running(export=export) as api:
        for query, field in (
            ("month=2026-13", "month"),
            ("month=2000-01", "month"),
            ("month=2026-10&format=xls", "format"),
        ):
            problem = await api.refused("GET", f"/v1/export?{query}")
            assert (problem["status"], problem["field"]) == (422, field)
        assert (await api.refused("GET", "/v1/export"))["status"] == 400
        assert (await api.refused("GET", "/v1/export?month=2026-10", key="editor"))["status"] == 403


@looped
async def test_another_tenants_export_does_not_exist_and_no_path_leads_out() -> None:
    async with running(export=export) as api:
        path = (await api.ok("GET", "/v1/export?month=2026-10"))["files"][0]["path"]
        assert (await api.refused("GET", path, key="other"))["status"] == 404
        for name in ("..%2f..%2fetc%2fpasswd", "manifest.json"):
            wrong = f"{path.rpartition('/')[0]}/{name}"
            assert (await api.refused("GET", wrong))["status"] == 404


@looped
async def test_one_export_is_made_at_a_time() -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(month: str, tenant: str, directory: Path, form: Format) -> Sequence[File]:
        going.set()
        await go_on.wait()
        return await export(month, tenant, directory, form)

    async with running(export=slow) as api:
        first = asyncio.create_task(api.ask("GET", "/v1/export?month=2026-10"))
        await going.wait()
        assert (await api.refused("GET", "/v1/export?month=2026-09"))["type"] == "/problems/overloaded"
        go_on.set()
        assert (await first).status == 200


@looped
async def test_the_last_few_are_kept_and_none_outlives_the_process() -> None:
    directories: list[Path] = []

    async def noted(month: str, tenant: str, directory: Path, form: Format) -> Sequence[File]:
        directories.append(directory)
        return await export(month, tenant, directory, form)

    async with running(export=noted) as api:
        for month in range(1, KEPT + 2):
            await api.ok("GET", f"/v1/export?month=2026-{month:02}")
        assert [each.exists() for each in directories] == [False] + [True] * KEPT
    assert not directories[0].parent.exists()


@looped
async def test_without_records_there_is_nothing_to_export() -> None:
    async with running() as api:
        assert (await api.refused("GET", "/v1/export?month=2026-10"))["status"] == 404
