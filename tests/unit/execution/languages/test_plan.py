"""What a job becomes in a sandbox."""

from __future__ import annotations

import pytest

from holdfast.execution.core.task import SandboxFile
from holdfast.execution.shell.languages import Installed, load_profiles, plan
from tests.unit.execution.jobs import LIMITS, job

PROFILES = load_profiles()


def installed(language: str, number: int = 0) -> Installed:
    toolchain = PROFILES[language].toolchains[number]
    programs = {name: f"/usr/bin/{name}" for name in toolchain.programs}
    return Installed(profile=PROFILES[language], toolchain=toolchain, programs=programs, version="1.0")


def test_python_runs_warm_with_nothing_to_compile() -> None:
    task = plan(job("python", {"main.py": "x"}, args=("a", "b"), stdin=b"in"), installed("python")).task
    assert task.compile is None
    assert task.run is not None
    assert (task.run.argv, task.run.warm, task.run.stdin) == (("main.py", "a", "b"), "python", b"in")


def test_a_compiled_language_compiles_all_its_sources_and_nothing_else() -> None:
    wanted = job("c", {"main.c": "", "lib/a.c": "", "a.h": "", "data.txt": ""})
    task = plan(wanted, installed("c")).task
    assert task.compile is not None
    assert task.compile.argv == (
        "/usr/bin/cc", "-O2", "-std=gnu17", "-pipe", "-o", "program", "main.c", "lib/a.c", "-lm", "-pthread",
    )  # fmt: skip
    assert task.run is not None
    assert task.run.argv == ("./program",)
    assert task.keep == ("program",)
    assert {file.path for file in task.files} == {"main.c", "lib/a.c", "a.h", "data.txt"}


def test_the_jobs_environment_reaches_the_program_and_not_the_compiler() -> None:
    task = plan(job("go", {"main.go": ""}, env={"GOFLAGS": "-x", "NAME": "v"}), installed("go")).task
    assert task.compile is not None
    assert task.run is not None
    assert task.run.env == {"GOFLAGS": "-x", "NAME": "v"}
    assert "GOFLAGS" not in task.compile.env
    assert task.compile.env["GOPROXY"] == "off"


def test_compiling_and_running_have_limits_of_their_own() -> None:
    small = type(LIMITS)(wall_s=1.0, cpu_s=2.0, memory_bytes=3 * 2**20, output_bytes=4, processes=5)
    task = plan(job("java", {"Main.java": "class A {}"}, limits=small), installed("java")).task
    assert task.compile is not None
    assert task.run is not None
    assert (task.run.limits.wall_s, task.run.limits.processes) == (1.0, 5)
    assert task.compile.limits.wall_s == LIMITS.wall_s
    assert f"-XX:MaxRAM={3 * 2**20}" in task.run.argv
    assert f"-J-XX:MaxRAM={LIMITS.memory_bytes}" in task.compile.argv


@pytest.mark.parametrize(
    ("files", "renamed", "main"),
    [
        ({"Main.java": "public class Main { void main() {} }"}, "Main.java", "Main"),
        ({"Main.java": "public class Other { void main() {} }"}, "Other.java", "Other"),
        ({"a/Main.java": "package a; public class Other { void main() {} }"}, "a/Other.java", "a.Other"),
        ({"Main.java": "public class Other {}", "Other.java": ""}, "Main.java", "Other"),
        ({"Main.java": "class Other { void main() {} }"}, "Main.java", "Other"),
    ],
)
def test_a_java_source_gets_the_name_that_its_public_class_asks_for(
    files: dict[str, str], renamed: str, main: str
) -> None:
    task = plan(job("java", files), installed("java")).task
    assert task.compile is not None
    assert task.run is not None
    assert renamed in task.compile.argv
    assert renamed in {file.path for file in task.files}
    assert len(task.files) == len(files)
    assert task.run.argv[-1] == main


def test_a_path_that_looks_like_an_option_is_kept_from_being_one() -> None:
    task = plan(job("c", {"-o.c": "", "@x.c": ""}), installed("c")).task
    assert task.compile is not None
    assert task.compile.argv[6:8] == ("./-o.c", "./@x.c")


def test_braces_in_arguments_are_not_references() -> None:
    task = plan(job("bash", {"{entry}.sh": ""}, args=("{args}", "{bash}")), installed("bash")).task
    assert task.run is not None
    assert task.run.argv == ("/usr/bin/bash", "{entry}.sh", "{args}", "{bash}")


def test_with_artifacts_there_is_no_compiler_and_they_win_over_files_of_the_same_name() -> None:
    wanted = plan(job("c", {"main.c": "", "program": "mine"}), installed("c"))
    task = wanted.warm([SandboxFile(path="program", data=b"compiled", executable=True)])
    assert task.compile is None
    assert task.keep == ()
    assert {file.path: file.data for file in task.files} == {"main.c": b"", "program": b"compiled"}
    assert task.run == wanted.task.run


def test_node_alone_runs_typescript_when_there_is_no_tsc() -> None:
    task = plan(job("typescript", {"main.ts": ""}), installed("typescript", 1)).task
    assert task.compile is None
    assert task.run is not None
    assert task.run.argv[-1] == "main.ts"
