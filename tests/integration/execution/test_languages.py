"""Every language that this machine offers runs, fails, reads and refuses as it should; others say what to install."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.shell.languages import Runtime, load_profiles, offered
from holdfast.execution.shell.worker.cache import Cache
from holdfast.execution.shell.worker.claims import Claim, Runner
from tests.unit.execution.jobs import job
from tests.unit.execution.processes import ProcessSandboxes
from tests.unit.execution.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LANGUAGES = sorted(load_profiles())
COMPILED = [name for name in LANGUAGES if PROGRAMS[name].broken is not None]


def run(runtimes: Mapping[str, Runtime], language: str, source: str | None, **fields: Any) -> Result | None:
    """The result; ``None`` when the language is missing here, after a look at what is said about that."""
    runtime = runtimes[language]
    if not runtime.available:
        assert runtime.missing_reason
        assert runtime.package.split()
        assert runtime.remedy == f"sudo apt-get install {runtime.package}"
        return None
    assert source is not None
    assert runtime.installed is not None
    files = fields.pop("files", {runtime.installed.profile.file: source})
    runner = Runner(ProcessSandboxes(), offered(runtimes.values()), None, utc=time.time)
    return asyncio.run(runner.run(Claim(job(language, files, **fields)), None))


def test_there_are_programs_for_every_language() -> None:
    assert sorted(PROGRAMS) == LANGUAGES
    assert [name for name in LANGUAGES if load_profiles()[name].compiled] == COMPILED


@pytest.mark.parametrize("language", LANGUAGES)
def test_hello(runtimes: Mapping[str, Runtime], language: str) -> None:
    if (result := run(runtimes, language, PROGRAMS[language].hello)) is not None:
        assert (result.verdict, result.stdout, result.stderr) == (Verdict.OK, b"hello\n", b""), result


@pytest.mark.parametrize("language", LANGUAGES)
def test_input_and_arguments_reach_the_program(runtimes: Mapping[str, Runtime], language: str) -> None:
    if (result := run(runtimes, language, PROGRAMS[language].echo, stdin=b"line\n", args=("word",))) is not None:
        assert (result.verdict, result.stdout) == (Verdict.OK, b"line word\n"), result


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_that_fails_is_a_runtime_error_with_its_exit_code(
    runtimes: Mapping[str, Runtime], language: str
) -> None:
    if (result := run(runtimes, language, PROGRAMS[language].fails)) is not None:
        assert (result.verdict, result.exit_code) == (Verdict.RUNTIME_ERROR, 3), result


@pytest.mark.parametrize("language", COMPILED)
def test_what_does_not_compile_is_a_compile_error_with_the_compilers_words(
    runtimes: Mapping[str, Runtime], language: str
) -> None:
    if (result := run(runtimes, language, PROGRAMS[language].broken)) is not None:
        assert result.verdict is Verdict.COMPILE_ERROR, result
        assert result.compiled is not None
        said = (result.compiled.stdout + result.compiled.stderr).lower()
        assert load_profiles()[language].file.lower().encode() in said, said


@pytest.mark.parametrize(
    ("language", "files"),
    [
        (
            "c",
            {
                "main.c": "int two(void); int main(void) { return two() - 2; }",
                "lib/two.c": "int two(void) { return 2; }",
            },
        ),
        ("go", {"main.go": "package main\nfunc main() { two() }", "two.go": "package main\nfunc two() {}"}),
        (
            "go",
            {
                "main.go": 'package main\nimport "job/two"\nfunc main() { two.Two() }',
                "go.mod": "module job\ngo 1.19\n",
                "two/two.go": "package two\nfunc Two() {}",
            },
        ),
        (
            "java",
            {
                "Main.java": "package job; public class Main { public static void main(String[] a) { Two.two(); } }",
                "Two.java": "package job; class Two { static void two() {} }",
            },
        ),
        ("javascript", {"main.mjs": 'import { two } from "./two.mjs"; two();', "two.mjs": "export function two() {}"}),
        ("python", {"main.py": "import two", "two.py": ""}),
        ("typescript", {"main.ts": 'import { two } from "./two"; two();', "two.ts": "export function two() {}"}),
    ],
)
def test_a_program_of_several_files(runtimes: Mapping[str, Runtime], language: str, files: Mapping[str, str]) -> None:
    if (result := run(runtimes, language, "", files=files)) is not None:
        assert result.verdict is Verdict.OK, result


@pytest.mark.parametrize("name", ["-fplugin=x.c", "@main.c", "a b.c", "ä.c"])
def test_a_name_that_looks_like_an_option_is_a_name(runtimes: Mapping[str, Runtime], name: str) -> None:
    if (result := run(runtimes, "c", "", files={name: PROGRAMS["c"].hello})) is not None:
        assert result.stdout == b"hello\n", result


@pytest.mark.parametrize("language", COMPILED)
def test_the_second_run_of_the_same_source_is_not_compiled(
    runtimes: Mapping[str, Runtime], language: str, tmp_path: Path
) -> None:
    if run(runtimes, language, PROGRAMS[language].hello) is None:
        return
    sandboxes = ProcessSandboxes()
    runner = Runner(sandboxes, offered(runtimes.values()), Cache(tmp_path / "cache", 2**30), utc=time.time)
    wanted = job(language, {load_profiles()[language].file: PROGRAMS[language].hello})

    async def twice() -> list[Result]:
        return [await runner.run(Claim(wanted), None) for _ in range(2)]

    cold, warm = asyncio.run(twice())
    assert cold.compiled is not None
    assert warm.compiled is not None
    assert (cold.compiled.cached, warm.compiled.cached) == (False, True)
    assert warm.stdout == cold.stdout == b"hello\n"
    assert [task.compile is None for task in sandboxes.tasks] == [False, True]
