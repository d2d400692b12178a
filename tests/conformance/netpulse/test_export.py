"""A month as files that somebody else can read and check."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from typing import TYPE_CHECKING, Literal

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from holdfast.netpulse.core.result import Phases
from holdfast.netpulse.errors import Invalid, NetpulseError
from holdfast.netpulse.shell.records import export
from holdfast.store import StoreUnavailable
from tests.conformance.netpulse.world import down, seen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio

FORMATS: tuple[Literal["csv"], Literal["parquet"]] = ("csv", "parquet")
NOVEMBER, DECEMBER = export.span_of("2026-11")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "export"
    made.mkdir()
    return made


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def a_month(world: World) -> None:
    await world.take(
        seen(NOVEMBER - 0.001),
        seen(NOVEMBER, phases=Phases(connect=1.5), cert_days=30.5, detail="a,b\n'c'"),
        down(DECEMBER - 0.001, detail="=cmd()", address=""),
        seen(DECEMBER),
        seen(NOVEMBER + 5, "t/db"),
        seen(NOVEMBER + 5, "T/web"),
        seen(NOVEMBER + 5, "tt/web"),
    )
    await world.records.upkeep(NOVEMBER + 86_400)


async def test_a_month_as_csv_has_what_was_seen_in_it(world: World, directory: Path) -> None:
    await a_month(world)
    files = await world.records.export("2026-11", "t", directory=directory)
    with (directory / "checks-2026-11.csv").open(newline="") as file:
        checks = list(csv.DictReader(file))
    assert sorted((one["at"], one["monitor"], one["outcome"]) for one in checks) == [
        ("2026-11-01T00:00:00.000Z", "t/web", "up"),
        ("2026-11-01T00:00:05.000Z", "t/db", "up"),
        ("2026-11-30T23:59:59.999Z", "t/web", "down"),
    ]
    by_time = sorted(checks, key=lambda one: one["at"])
    assert (by_time[0]["connect_ms"], by_time[0]["tls_ms"], by_time[0]["cert_days"]) == ("1.5", "", "30.5")
    assert (by_time[0]["detail"], by_time[-1]["detail"]) == ("a,b\n'c'", "'=cmd()")
    with (directory / "hours-2026-11.csv").open(newline="") as file:
        assert sum(int(one["up"]) + int(one["down"]) for one in csv.DictReader(file)) == 3
    assert [(one.name, one.rows) for one in files] == [("checks-2026-11.csv", 3), ("hours-2026-11.csv", 3)]


async def test_parquet_has_the_same_rows_with_types(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 1)
    await a_month(world)
    await world.records.export("2026-11", "t", directory=directory, file_format="parquet")
    table = parquet.read_table(directory / "checks-2026-11.parquet").to_pylist()
    first = min(table, key=lambda one: one["at"])
    assert len(table) == 3
    assert (first["connect_ms"], first["tls_ms"], first["status"], first["late"]) == (1.5, None, 200, False)
    assert {one["detail"] for one in table} >= {"=cmd()"}


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
async def test_the_manifest_has_the_sums_of_the_files(
    world: World, directory: Path, file_format: Literal["csv", "parquet"]
) -> None:
    await a_month(world)
    await world.records.export("2026-11", "t", directory=directory, file_format=file_format)
    manifest = json.loads((directory / f"manifest-2026-11-{file_format}.json").read_text())
    assert (manifest["tenant"], manifest["month"], len(manifest["files"])) == ("t", "2026-11", 2)
    for one in manifest["files"]:
        data = (directory / one["name"]).read_bytes()
        assert (one["sha256"], one["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert len(names_in(directory)) == 3


async def test_a_month_without_results_is_a_file_without_rows(world: World, directory: Path) -> None:
    for file_format in FORMATS:
        files = await world.records.export("2020-02", "nobody", directory=directory, file_format=file_format)
        assert [one.rows for one in files] == [0, 0]


async def test_an_export_that_fails_leaves_nothing(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_month(world)

    async def unavailable(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(world.database, "read", unavailable)
    with pytest.raises(StoreUnavailable):
        await world.records.export("2026-11", "t", directory=directory)
    assert names_in(directory) == []


async def test_parquet_without_pyarrow_names_the_extra(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NetpulseError, match=r"holdfast\[parquet\]"):
        await world.records.export("2026-11", "t", directory=directory, file_format="parquet")
    assert names_in(directory) == []


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-1", "../2026-11", "0000-01", "9999-12", "2026-11\n"])
async def test_a_month_that_is_none_is_refused(world: World, directory: Path, month: str) -> None:
    with pytest.raises(Invalid):
        await world.records.export(month, "t", directory=directory)
