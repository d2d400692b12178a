"""What is installed is locked, and locked for everybody: the files agree and name no place that only some can reach."""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REQUIREMENTS = ROOT / "requirements"
LOCKS = ("build", "runtime", "dev")

PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?: ; (?P<marker>[^\\]+))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")

# Written in pieces, so that this file does not name what it looks for.
REGISTRIES = re.compile(
    "|".join(
        (
            r"--(?:extra-)?index" + r"-url\b",
            r"--find" + r"-links\b",
            r"--trusted" + r"-host\b",
            r"\bpypi\." + r"(?:org|python)",
            r"\bpython" + r"hosted\.org",
            r"\bregistry\." + r"(?:npmjs|yarnpkg)",
            r"\bindex" + r"-url\s*=",
            r"/sim" + r"ple/?[\"'\s]",
        )
    )
)
# Home, scratch and tool directories of one machine; paths that every Linux has (/usr, /etc, /proc, /var) are fine.
SANDBOX_PATHS = ROOT / "src/holdfast/execution/shell/languages/profiles"
"""Where paths are those of a sandbox, which are the same on every machine."""
MACHINE_PATHS = re.compile(r"(?<![\w.~$}/-])/(?:home|root|Users|work|opt|tmp)/[\w.-]+")


def committed() -> list[Path]:
    """Text files that are, or are about to be, committed."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        listing = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def offences(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in committed()
        if not (pattern is MACHINE_PATHS and path.is_relative_to(SANDBOX_PATHS))
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def normal(requirement: str) -> str:
    """``PyYAML >= 6`` and ``pyyaml>=6`` are the same requirement (PEP 503 names)."""
    name, rest = re.fullmatch(r"([\w.-]+)\s*(.*)", requirement.strip()).groups()  # type: ignore[union-attr]  # a requirement
    return re.sub(r"[-_.]+", "-", name).lower() + rest.replace(" ", "")


def wanted(name: str) -> set[str]:
    lines = (REQUIREMENTS / f"{name}.in").read_text().splitlines()
    return {normal(line) for line in lines if line and not line.startswith(("#", "-"))}


def locked(name: str) -> dict[str, str]:
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return {match["name"]: match["version"] for line in lines if (match := PINNED.fullmatch(line))}


def test_no_committed_file_names_a_package_registry() -> None:
    assert offences(REGISTRIES) == []


def test_no_committed_file_names_a_path_of_one_machine() -> None:
    assert offences(MACHINE_PATHS) == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_followed_by_hashes(name: str) -> None:
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()[1:]
    strangers = [line for line in lines if not PINNED.fullmatch(line) and not HASH.fullmatch(line)]
    bare = [first for first, second in pairwise(lines) if PINNED.fullmatch(first) and not HASH.fullmatch(second)]
    assert (strangers, bare) == ([], [])


@pytest.mark.parametrize("name", LOCKS)
def test_everything_wanted_is_locked(name: str) -> None:
    names = {re.split(r"[<>=!~;\[]", requirement)[0] for requirement in wanted(name)}
    assert names - locked(name).keys() == set()


def test_the_tests_run_on_the_versions_that_production_runs_on() -> None:
    dev = locked("dev")
    for name in ("build", "runtime"):
        assert locked(name).items() - dev.items() == set()


def test_the_wanted_lists_agree_with_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert wanted("build") == {normal(line) for line in project["build-system"]["requires"]}
    runtime = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["blog"]]
    assert wanted("runtime") == {normal(line) for line in runtime}  # `holdfast up` builds the demo's posts
    assert wanted("dev") == {normal(line) for line in project["dependency-groups"]["dev"]}


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("pip install --extra-index" + "-url https://x/", REGISTRIES),
        ("--find" + "-links wheels", REGISTRIES),
        ("https://py" + "pi.org/", REGISTRIES),
        ("see /ho" + "me/ann/notes", MACHINE_PATHS),
        ("log=/op" + "t/holdfast/x", MACHINE_PATHS),
    ],
)
def test_the_patterns_find_what_they_are_for(text: str, pattern: re.Pattern[str]) -> None:
    assert pattern.search(text)


@pytest.mark.parametrize(
    "text", ["docs/home/page.md", "$HOME/tmp/x", "src/holdfast/work/x", "https://example.org/tmp/x"]
)
def test_relative_paths_and_addresses_are_not_paths_of_a_machine(text: str) -> None:
    assert not MACHINE_PATHS.search(text)
