"""Compilers and runtimes put to bad use: the job ends with the right verdict, and the host's files stay the host's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.core.protocol import WireLimits
from holdfast.execution.shell.languages import Runtime, offered
from holdfast.execution.shell.worker.cache import Cache
from holdfast.execution.shell.worker.claims import Claim, Runner
from tests.integration.execution.stack import sandboxes
from tests.unit.execution.jobs import job

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL = WireLimits(wall_s=3.0, cpu_s=3.0, memory_bytes=192 * 2**20, output_bytes=64 * 1024, processes=64)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file of the host that no sandbox may read or change."""
    path = tmp_path / "canary"
    path.write_text("canary-4417\n")
    return path


def run(runtimes: Mapping[str, Runtime], cache: Path, language: str, source: str, **fields: Any) -> list[Result] | None:
    """The results of two runs one after the other, in real sandboxes; ``None`` when the language is missing."""
    installed = runtimes[language].installed
    if installed is None:
        assert runtimes[language].remedy
        return None
    wanted = job(language, {installed.profile.file: source}, **fields)

    async def twice() -> list[Result]:
        async with sandboxes(slots=1) as made:
            runner = Runner(made, offered(runtimes.values()), Cache(cache, 2**28), utc=time.time)
            return [await runner.run(Claim(wanted), None) for _ in range(2)]

    return asyncio.run(twice())


def said(result: Result) -> bytes:
    """Everything that came out."""
    compiled = result.compiled
    return result.stdout + result.stderr + (compiled.stdout + compiled.stderr if compiled else b"")


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("c", '#include "HOST"\nint main(void) { return 0; }'),
        ("cpp", '#include "HOST"\nint main() { return 0; }'),
        ("c", '__asm__(".incbin \\"HOST\\"");\nint main(void) { return 0; }'),
        ("rust", 'fn main() { print!("{}", include_str!("HOST")); }'),
        ("go", 'package main\nimport _ "embed"\n//go:embed HOST\nvar s string\nfunc main() { print(s) }'),
    ],
)
@pytest.mark.parametrize("host", ["canary", "/etc/shadow"])
def test_a_compiler_cannot_be_made_to_read_the_hosts_files(
    runtimes: Mapping[str, Runtime], tmp_path: Path, canary: Path, language: str, source: str, host: str
) -> None:
    path = str(canary) if host == "canary" else host
    results = run(runtimes, tmp_path / "cache", language, source.replace("HOST", path))
    for result in results or ():
        assert result.verdict is Verdict.COMPILE_ERROR, result
        assert b"canary-4417" not in said(result)
        assert b"root:" not in said(result)
    assert canary.read_text() == "canary-4417\n"


def test_a_compile_that_never_ends_is_ended(runtimes: Mapping[str, Runtime], tmp_path: Path) -> None:
    levels = "\n".join(f"#define A{n} A{n - 1} A{n - 1} A{n - 1} A{n - 1} A{n - 1} A{n - 1}" for n in range(1, 14))
    source = f"#define A0 0 +\n{levels}\nint main(void) {{ return A13 0; }}"
    results = run(runtimes, tmp_path / "cache", "c", source, compile_limits=SMALL)
    for result in results or ():
        assert result.verdict is Verdict.COMPILE_ERROR, result
        assert "limit" in result.message or b"Killed" in said(result), result


def test_a_compile_that_writes_a_gigabyte_finds_no_room(runtimes: Mapping[str, Runtime], tmp_path: Path) -> None:
    source = "char a[1 << 30] = {1};\nint main(void) { return a[5]; }"
    results = run(runtimes, tmp_path / "cache", "c", source)
    for result in results or ():
        assert result.verdict is Verdict.COMPILE_ERROR, result


def test_a_compiler_that_says_too_much_is_ended(runtimes: Mapping[str, Runtime], tmp_path: Path) -> None:
    source = "int main(void) {" + "\n".join(f"undeclared_{n};" for n in range(3000)) + "}"
    results = run(runtimes, tmp_path / "cache", "c", source, compile_limits=SMALL)
    for result in results or ():
        assert result.verdict is Verdict.COMPILE_ERROR
        assert result.compiled is not None
        assert len(said(result)) <= SMALL.output_bytes
        assert result.compiled.truncated


def test_a_java_program_that_allocates_everything_is_told_by_java(
    runtimes: Mapping[str, Runtime], tmp_path: Path
) -> None:
    source = """
        import java.util.*;
        class Main { public static void main(String[] a) {
            List<long[]> all = new ArrayList<>();
            while (true) { long[] one = new long[1 << 17]; Arrays.fill(one, 1); all.add(one); }
        } }"""
    results = run(runtimes, tmp_path / "cache", "java", source)
    for result in results or ():
        assert result.verdict in {Verdict.RUNTIME_ERROR, Verdict.MEMORY_LIMIT}, result
        if result.verdict is Verdict.RUNTIME_ERROR:
            assert b"java.lang.OutOfMemoryError" in result.stderr


def test_nothing_of_a_failed_compile_is_cached_and_a_program_cannot_write_into_the_cache(
    runtimes: Mapping[str, Runtime], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    run(runtimes, cache, "c", "int main(void) { return nothing; }")
    assert [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"] == []
    # It replaces its own executable; the second run must still be the compiled one.
    source = (
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main(void) { puts("original"); unlink("program");'
        ' FILE *f = fopen("program", "w"); fputs("#!/bin/sh\\necho forged\\n", f); fclose(f); return 0; }'
    )
    for result in run(runtimes, cache, "c", source) or ():
        assert result.stdout == b"original\n"
