"""The cache of compiled programs: by content, per tenant, bounded, and believed only as far as its hashes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.execution.core.job import Limits
from holdfast.execution.core.task import SandboxFile, Step, Task
from holdfast.execution.shell.worker.cache import HEAD_BYTES, Cache
from holdfast.execution.shell.worker.errors import WorkerError

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(wall_s=1.0, cpu_s=1.0, memory_bytes=1, output_bytes=1, processes=1)
FILES = (SandboxFile(path="program", data=b"\x7fELF", executable=True), SandboxFile(path="out/a.class", data=b""))


def cache(tmp_path: Path, size: int = 2**20, **options: Any) -> Cache:
    return Cache(tmp_path / "cache", size, **options)


def key_of(cache: Cache, tenant: str = "acme", language: str = "c", version: str = "12", **changes: Any) -> str:
    files = changes.get("files", {"main.c": b"int main;"})
    argv = changes.get("argv", ("/usr/bin/cc", "main.c"))
    step = Step(argv=argv, env=changes.get("env", {}), limits=LIMITS)
    sources = tuple(SandboxFile(path=path, data=data) for path, data in files.items())
    task = Task(files=sources, compile=step, keep=("program",), run=None)
    return cache.key(tenant, language, version, task)


def entries(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != ".lock"]


def test_what_was_put_comes_back_as_it_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        kept = cache(tmp_path)
        key = key_of(kept)
        assert await kept.get(key) is None
        assert await kept.put(key, FILES)
        assert await kept.get(key) == FILES
        assert await cache(tmp_path).get(key) == FILES  # another worker on the same directory

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "evil"},
        {"language": "cpp"},
        {"version": "13"},
        {"argv": ("/usr/bin/cc", "-O3", "main.c")},
        {"env": {"X": "1"}},
        {"files": {"main.c": b"int main; "}},
        {"files": {"main.d": b"int main;"}},
        {"files": {"main.c": b"int main;", "b": b""}},
    ],
)
def test_a_key_depends_on_everything_that_went_into_the_compiler(tmp_path: Path, change: dict[str, Any]) -> None:
    kept = cache(tmp_path)
    assert key_of(kept, **change) != key_of(kept)


def test_a_key_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert key_of(kept, files={"a": b"1", "b": b"2"}) == key_of(kept, files={"b": b"2", "a": b"1"})


@given(left=st.tuples(st.text(), st.text(), st.text()), right=st.tuples(st.text(), st.text(), st.text()))
@settings(max_examples=100)
def test_no_two_inputs_run_into_each_other(
    tmp_path_factory: pytest.TempPathFactory, left: tuple[str, str, str], right: tuple[str, str, str]
) -> None:
    kept = Cache(tmp_path_factory.getbasetemp() / "keys", 1)
    assert (key_of(kept, *left) == key_of(kept, *right)) == (left == right)


@pytest.mark.parametrize("at", [0, 5, HEAD_BYTES, -1])
def test_a_damaged_entry_is_a_miss_and_is_removed(tmp_path: Path, at: int) -> None:
    kept = cache(tmp_path)
    key = key_of(kept)
    assert kept.write(key, FILES)
    (path,) = entries(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert kept.read(key) is None
    assert entries(tmp_path) == []


@pytest.mark.parametrize("length", [0, 3, HEAD_BYTES, HEAD_BYTES + 1])
def test_an_entry_that_a_crash_has_cut_is_a_miss(tmp_path: Path, length: int) -> None:
    kept = cache(tmp_path)
    key = key_of(kept)
    assert kept.write(key, FILES)
    (path,) = entries(tmp_path)
    os.truncate(path, length)
    assert kept.read(key) is None


def big(number: int, size: int) -> tuple[SandboxFile, ...]:
    return (SandboxFile(path="program", data=bytes([number]) * size),)


def test_the_bound_holds_and_what_was_used_last_stays(tmp_path: Path) -> None:
    kept = cache(tmp_path, 10_000)
    keys = [key_of(kept, tenant=str(number)) for number in range(12)]
    for number, key in enumerate(keys[:9]):
        assert kept.write(key, big(number, 1000))
        os.utime(kept._path(key), (number, number))
    assert kept.read(keys[0]) is not None  # is now the most recent one
    for number, key in enumerate(keys[9:], 9):
        assert kept.write(key, big(number, 1000))
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= 10_000
    assert kept.read(keys[0]) is not None
    assert kept.read(keys[1]) is None
    assert kept.read(keys[11]) is not None


def test_the_number_of_entries_is_bounded(tmp_path: Path) -> None:
    kept = cache(tmp_path, max_entries=10)
    for number in range(30):
        assert kept.write(key_of(kept, tenant=str(number)), FILES)
        assert len(entries(tmp_path)) <= 10


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    kept = cache(tmp_path, 1000)
    assert not kept.write(key_of(kept), big(1, 1001))
    assert entries(tmp_path) == []


def test_a_compiler_that_makes_a_name_which_is_not_utf_8_costs_nothing_but_the_entry(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert not kept.write(key_of(kept), [SandboxFile(path=os.fsdecode(b"out/\xff.class"), data=b"x")])
    assert entries(tmp_path) == []


def test_what_a_crash_left_half_written_is_evicted_in_its_turn(tmp_path: Path) -> None:
    kept = cache(tmp_path, 5_000)
    torn = tmp_path / "cache" / ".0123.partial"
    torn.write_bytes(b"x" * 4_500)
    os.utime(torn, (1, 1))
    assert kept.write(key_of(kept), big(1, 1000))
    assert not torn.exists()
    assert kept.read(key_of(kept)) is not None


def test_a_disk_that_takes_nothing_costs_nothing_but_the_entry(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    key = key_of(kept)
    (tmp_path / "cache" / key[:2]).write_text("in the way")
    assert not kept.write(key, FILES)
    assert kept.read(key) is None


def test_the_directory_is_closed_to_others(tmp_path: Path) -> None:
    cache(tmp_path)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    with pytest.raises(WorkerError, match=r"mode 0700.*execution\.worker\.cache"):
        cache(tmp_path)


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WorkerError, match="must be a directory"):
        cache(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WorkerError, match="cannot be used"):
        cache(tmp_path)


def _write_many(directory: str, worker: int) -> None:
    kept = Cache(directory, 20_000)
    for number in range(60):
        key = key_of(kept, tenant=str(number % 20))
        kept.write(key, big(number % 20, 900))
        found = kept.read(key_of(kept, tenant=str((number + worker) % 20)))
        assert found is None or found == big((number + worker) % 20, 900)


def test_several_workers_share_a_directory_and_its_bound(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=_write_many, args=(str(tmp_path / "cache"), number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 20_000
    assert not [path for path in entries(tmp_path) if path.name.startswith(".")]
