"""docs/languages.md is held to the profiles."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from holdfast.execution.shell.languages import load_profiles
from holdfast.execution.shell.languages.profile import MANY, ONE, Profile, Toolchain, decode

DOC = (Path(__file__).parents[4] / "docs" / "languages.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(load_profiles()))
def test_every_language_is_documented_with_its_names_its_file_and_its_package(name: str) -> None:
    profile = load_profiles()[name]
    (row,) = re.findall(rf"^\| {re.escape(profile.title)} \|(.*)$", DOC, re.MULTILINE)
    names, file, compiled, package, _ = (cell.strip() for cell in row.split("|"))
    assert names == ", ".join(f"`{each}`" for each in (profile.name, *profile.aliases))
    assert file == f"`{profile.file}`"
    assert compiled.startswith("yes") == profile.compiled
    assert package == f"`{profile.toolchains[0].package}`"


def test_every_field_and_reference_is_documented() -> None:
    fields = set(re.findall(r"`([a-z_]+)`", DOC[DOC.index("| Field |") :]))
    fields |= {each.removeprefix("toolchains[].") for each in re.findall(r"`(toolchains\[\]\.\w+)`", DOC)}
    assert {field.encode_name for field in msgspec.structs.fields(Profile)} - fields == set()
    assert {field.encode_name for field in msgspec.structs.fields(Toolchain)} - fields == set()
    assert set(re.findall(r"`\{(\w+)\}`", DOC)) >= MANY | ONE


def test_the_example_is_a_profile() -> None:
    example = re.search(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    assert example is not None
    assert decode(example[1].encode(), "lua.yaml").name == "lua"
