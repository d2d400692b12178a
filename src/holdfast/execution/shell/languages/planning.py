"""From a claimed job and a toolchain to a task for a sandbox."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from holdfast.execution.core.job import Limits
from holdfast.execution.core.task import SandboxFile, Step, Task
from holdfast.execution.shell.languages import java_source
from holdfast.execution.shell.languages.profile import MANY, REFERENCE

if TYPE_CHECKING:
    from holdfast.execution.core.protocol import WireJob, WireLimits
    from holdfast.execution.shell.languages.detection import Installed

KEEP_BYTES: Final = 32 * 2**20
"""Most that is brought back from a compiler for the cache. Programs of Go and Rust have 2 to 10 MiB; what is
larger runs all the same and is compiled again next time. Each slot may hold this much in memory for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A task, and what identifies its compiled form."""

    task: Task
    version: str
    """Of the language on this machine."""

    def warm(self, artifacts: Sequence[SandboxFile]) -> Task:
        """The task when the compiled form is there already: no compile step, the artifacts beside the sources."""
        files = {file.path: file for file in (*self.task.files, *artifacts)}
        return replace(self.task, files=tuple(files.values()), compile=None, keep=())


def plan(job: WireJob, installed: Installed) -> Plan:
    """What to do for a job. Never fails: a job that makes no sense gets what its compiler says about it."""
    toolchain = installed.toolchain
    files = {name: SandboxFile(path=name, data=text.encode()) for name, text in toolchain.files.items()}
    files |= {file.path: SandboxFile(path=file.path, data=file.data) for file in job.files}
    entry, main_class = job.entry, ""
    if installed.profile.name == "java":
        files, entry, main_class = _java(files, entry)
    sources = [_word(path) for path in files if path.endswith(installed.profile.extensions)]
    sources = [path for path in sources if path not in toolchain.files]
    words = {
        **installed.programs,
        "entry": _word(entry),
        "entry_dir": posixpath.dirname(entry),
        "entry_stem": posixpath.splitext(entry)[0],
        "main_class": main_class,
    }
    many = {"args": list(job.args), "sources": sources}
    compile_step = None
    if toolchain.compile is not None:
        compile_step = Step(
            argv=_fill(toolchain.compile.argv, {**words, "memory_bytes": str(job.compile_limits.memory_bytes)}, many),
            env=dict(toolchain.compile.env),
            limits=_limits(job.compile_limits),
        )
    run = Step(
        argv=_fill(toolchain.run.argv, {**words, "memory_bytes": str(job.limits.memory_bytes)}, many),
        env={**toolchain.run.env, **job.env},
        stdin=job.stdin,
        limits=_limits(job.limits),
        warm=toolchain.run.warm,
    )
    task = Task(
        files=tuple(files.values()),
        compile=compile_step,
        keep=toolchain.compile.keep if toolchain.compile is not None else (),
        keep_bytes=KEEP_BYTES,
        run=run,
    )
    return Plan(task=task, version=installed.version)


def _java(files: dict[str, SandboxFile], entry: str) -> tuple[dict[str, SandboxFile], str, str]:
    """The files with the entry named after its public class, as javac insists; its new name; the class to start."""
    source = java_source.read(files[entry].data.decode("utf-8", "replace"))
    stem = posixpath.splitext(posixpath.basename(entry))[0]
    wanted = posixpath.join(posixpath.dirname(entry), f"{source.public or stem}.java")
    if wanted != entry and wanted not in files:
        files = {**files, wanted: replace(files[entry], path=wanted)}
        del files[entry]
        entry, stem = wanted, source.public or stem
    return files, entry, source.start(stem)


def _fill(argv: Sequence[str], words: Mapping[str, str], many: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    filled: list[str] = []
    for word in argv:
        match = REFERENCE.fullmatch(word)
        if match is not None and match[1] in MANY:
            filled += many[match[1]]
        else:
            filled.append(REFERENCE.sub(lambda reference: words[reference[1]], word))
    return tuple(filled)


def _word(path: str) -> str:
    """A path that no program takes for an option or for a file of options."""
    return f"./{path}" if path.startswith(("-", "@")) else path


def _limits(wire: WireLimits) -> Limits:
    return Limits(
        wall_s=wire.wall_s,
        cpu_s=wire.cpu_s,
        memory_bytes=wire.memory_bytes,
        output_bytes=wire.output_bytes,
        processes=wire.processes,
    )
