"""A language profile: one YAML file that says how a language is found, compiled and run.

::

    name: c                                   # what jobs call it
    title: C                                  # what people call it
    aliases: [c17]
    extensions: [.c]                          # of sources; the first is that of `file`
    file: main.c                              # name of the source when a job does not give one
    limits: {memory: 384MiB}                  # defaults of this language where they differ from the general ones
    toolchains:                               # the first one that is usable is used
      - package: gcc                          # Debian package that brings it
        programs:                             # the first one's version is the language's version
          cc: {find: [gcc, cc], version: [-dumpfullversion], pattern: '^([0-9.]+)'}
        compile:
          argv: ['{cc}', -O2, -o, program, '{sources}']
          keep: [program]
        run:
          argv: [./program, '{args}']

A word of ``argv`` may hold references: a program's name stands for its path, ``entry`` for the file to start,
``entry_dir`` for its directory, ``entry_stem`` for its path without the extension, ``main_class`` for the Java class
to start, ``memory_bytes`` for the job's limit. The words ``{args}`` and ``{sources}`` stand for any number of words:
the job's arguments, and its files with one of the extensions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml

from holdfast.execution.shell.languages.errors import ProfileError
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section

MANY: Final = frozenset({"args", "sources"})
"""References that stand for any number of words, and so must be a word of their own."""
ONE: Final = frozenset({"entry", "entry_dir", "entry_stem", "main_class", "memory_bytes"})
"""References that stand for a part of a word."""
REFERENCE: Final = re.compile(r"\{(\w+)\}")
MAX_BYTES: Final = 64 * 1024
"""Longest profile file; ours have about 1 KiB."""

_NAME: Final = re.compile(r"[a-z][a-z0-9+#.-]{0,31}")
_PROGRAM: Final = re.compile(r"[a-z]\w{0,31}")


class ProgramProfile(Section, frozen=True, kw_only=True):
    """A program, or another file, that a toolchain needs."""

    find: tuple[str, ...]
    """Names to look for where a sandbox looks, or absolute paths; the first that is usable is taken."""
    version: tuple[str, ...] = ()
    """Arguments that make it print its version; with none it is not asked."""
    pattern: str = r"([0-9]+(?:\.[0-9]+)+)"
    """Regular expression whose first group is the version, searched in what it prints."""
    minimum: str | None = None
    """Oldest usable version, numbers with dots."""


class CompileProfile(Section, frozen=True, kw_only=True):
    """The compile step."""

    argv: tuple[str, ...]
    keep: tuple[str, ...]
    """Files and directories that the run step needs: what the cache keeps."""
    env: dict[str, str] = msgspec.field(default_factory=dict)


class RunProfile(Section, frozen=True, kw_only=True):
    """The run step."""

    argv: tuple[str, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    """A job's own environment is added, and wins."""
    warm: Literal["python"] | None = None
    """``argv[0]`` is a script for an interpreter that the sandbox has ready."""


class Toolchain(Section, frozen=True, kw_only=True):
    """One way to run a language."""

    package: str
    """Debian packages that bring it, separated by spaces."""
    programs: dict[str, ProgramProfile]
    compile: CompileProfile | None = None
    run: RunProfile
    files: dict[str, str] = msgspec.field(default_factory=dict)
    """Files placed beside the job's, name -> text; a file of the job with the same name wins."""


class LanguageDefaults(Section, frozen=True, kw_only=True):
    """Limits of a job that asks for none; ``None`` where the general default will do."""

    wall: Duration | None = None
    cpu: Duration | None = None
    memory: Size | None = None
    processes: int | None = None


class Profile(Section, frozen=True, kw_only=True):
    """One language."""

    name: str
    title: str
    extensions: tuple[str, ...]
    file: str
    toolchains: tuple[Toolchain, ...]
    aliases: tuple[str, ...] = ()
    limits: LanguageDefaults = LanguageDefaults()
    heavy: bool | None = None
    """Whether its jobs count as heavy; ``None``: if they have to be compiled."""

    @property
    def compiled(self) -> bool:
        """Whether the preferred way to run it has a compile step."""
        return self.toolchains[0].compile is not None


def load_profiles(directory: str | Path | None = None) -> dict[str, Profile]:
    """All profiles by name: those that come along, then those of ``directory``, which replace ones of the same name.

    Raises :class:`ProfileError` for a file that cannot be read or used, and for two languages that claim one name.
    """
    profiles: dict[str, Profile] = {}
    for file in _yaml_files(resources.files("holdfast.execution.shell.languages") / "profiles"):
        profile = decode(file.read_bytes(), file.name)
        profiles[profile.name] = profile
    if directory is not None:
        try:
            own = [(str(file), file.read_bytes()) for file in _yaml_files(Path(directory))]
        except OSError as error:
            raise ProfileError(
                f"{directory}: language profiles cannot be read: {error.strerror}; correct execution.worker.profiles"
            ) from error
        for name, data in own:
            profile = decode(data, name)
            profiles[profile.name] = profile
    _refuse_shared_names(profiles)
    return profiles


def decode(data: bytes, file: str) -> Profile:
    """Read one profile. Raises :class:`ProfileError` that names ``file`` and the path in it."""
    if len(data) > MAX_BYTES:
        raise ProfileError(f"{file}: a profile of more than {MAX_BYTES} bytes; shorten it")
    try:
        tree = yaml.safe_load(data)
        profile = msgspec.convert(tree, Profile, dec_hook=_unit)
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProfileError(f"{file}: {error}; the fields are described in docs/languages.md") from error
    for path, message in _problems(profile):
        raise ProfileError(f"{file}: {path}: {message}")
    return profile


def _unit(kind: type, value: Any) -> Any:
    if kind in {Duration, Size} and isinstance(value, (str, int)):
        return kind.parse(str(value))
    raise ValueError(f"expected a {kind.__name__.lower()} with its unit")


def _yaml_files(directory: Traversable) -> list[Any]:
    return sorted((file for file in directory.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)


def _problems(profile: Profile) -> list[tuple[str, str]]:
    """What a decoder cannot see, as path and message with remedy."""
    found: list[tuple[str, str]] = []
    for index, name in enumerate((profile.name, *profile.aliases)):
        if not _NAME.fullmatch(name):
            path = f"aliases[{index - 1}]" if index else "name"
            found.append((path, f"{name!r} is not a name; use up to 32 of a-z, 0-9, +, #, . and -, a letter first"))
    if not profile.extensions or not profile.file.endswith(profile.extensions[0]):
        found.append(("file", f"{profile.file!r} does not end with the first of `extensions`; give it that ending"))
    if not profile.toolchains:
        found.append(("toolchains", "is empty; describe at least one way to run the language"))
    for number, toolchain in enumerate(profile.toolchains):
        found += [(f"toolchains[{number}].{path}", message) for path, message in _toolchain_problems(toolchain)]
    return found


def _toolchain_problems(toolchain: Toolchain) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not toolchain.programs:
        found.append(("programs", "is empty; name at least the program that runs the language"))
    for name, program in toolchain.programs.items():
        if not _PROGRAM.fullmatch(name) or name in MANY | ONE:
            found.append((f"programs.{name}", "this name has a meaning of its own or is not a word; choose another"))
        if not program.find:
            found.append((f"programs.{name}.find", "is empty; give names or absolute paths"))
        try:
            groups = re.compile(program.pattern).groups
        except re.error as error:
            found.append((f"programs.{name}.pattern", f"is not a regular expression: {error}"))
        else:
            if groups < 1:
                found.append((f"programs.{name}.pattern", "has no group; put the version in parentheses"))
    steps = {"run": toolchain.run.argv}
    if toolchain.compile is not None:
        steps["compile"] = toolchain.compile.argv
        if not toolchain.compile.keep:
            found.append(("compile.keep", "is empty; name what the run step needs"))
    for step, argv in steps.items():
        if not argv:
            found.append((f"{step}.argv", "is empty; give the program to start"))
        for index, word in enumerate(argv):
            found += [(f"{step}.argv[{index}]", message) for message in _word_problems(word, toolchain.programs)]
    return found


def _word_problems(word: str, programs: Mapping[str, ProgramProfile]) -> list[str]:
    found = []
    for name in REFERENCE.findall(word):
        if name in MANY and word != f"{{{name}}}":
            found.append(f"{{{name}}} stands for several words; make it a word of its own")
        elif name not in MANY | ONE | programs.keys():
            found.append(f"{{{name}}} is not known; use {', '.join(sorted(MANY | ONE | programs.keys()))}")
    return found


def _refuse_shared_names(profiles: Mapping[str, Profile]) -> None:
    owner: dict[str, str] = {}
    for profile in profiles.values():
        for name in (profile.name, *profile.aliases):
            if (other := owner.setdefault(name, profile.name)) != profile.name:
                raise ProfileError(f"languages {other} and {profile.name} both go by {name!r}; rename one of them")
