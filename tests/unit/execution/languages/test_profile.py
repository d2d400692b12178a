"""Profiles: those that come along are sound, and one that is not says where and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.execution.shell.languages import ProfileError, known_languages, load_profiles
from holdfast.execution.shell.languages.profile import MAX_BYTES, decode
from holdfast.execution.shell.languages.table import language_of, named
from holdfast.kernel import Size

if TYPE_CHECKING:
    from pathlib import Path

SOUND = """
name: lua
title: Lua
extensions: [.lua]
file: main.lua
toolchains:
  - package: lua5.4
    programs: {lua: {find: [lua]}}
    run: {argv: ['{lua}', '{entry}', '{args}']}
"""


def test_the_languages_that_come_along() -> None:
    expected = "bash c cpp csharp go java javascript perl python ruby rust typescript"
    assert " ".join(sorted(load_profiles())) == expected


def test_only_python_is_warm() -> None:
    warm = {name for name, profile in load_profiles().items() if profile.toolchains[0].run.warm}
    assert warm == {"python"}


def test_the_table_for_the_api_needs_no_look_at_the_machine() -> None:
    table = known_languages()
    assert list(table) == sorted(table)
    assert (table["cpp"].file, table["cpp"].compiled, table["cpp"].heavy) == ("main.cpp", True, True)
    assert (table["python"].file, table["python"].compiled, table["python"].heavy) == ("main.py", False, False)
    assert table["java"].limits.memory == Size(384 * 2**20)
    assert table["python"].limits.memory is None


@pytest.mark.parametrize(
    ("file", "language"),
    [
        ("a/b.py", "python"),
        ("x.cc", "cpp"),
        ("X.java", "java"),
        ("a.mjs", "javascript"),
        ("README", None),
        ("py", None),
    ],
)
def test_a_file_name_tells_its_language(file: str, language: str | None) -> None:
    assert language_of(file, known_languages()) == language


@pytest.mark.parametrize(("name", "language"), [("C++", "cpp"), ("golang", "go"), ("ruby", "ruby"), ("cobol", None)])
def test_aliases_in_any_case_name_a_language(name: str, language: str | None) -> None:
    known = named(name, known_languages())
    assert (known.name if known else None) == language


def test_a_directory_adds_languages_and_replaces_ones_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "lua.yaml").write_text(SOUND)
    (tmp_path / "mine.yaml").write_text(SOUND.replace("name: lua", "name: perl").replace("title: Lua", "title: Mine"))
    (tmp_path / "notes.txt").write_text("not a profile")
    profiles = load_profiles(tmp_path)
    assert profiles["lua"].title == "Lua"
    assert profiles["perl"].title == "Mine"
    assert set(profiles) == {*load_profiles(), "lua"}


def test_a_directory_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"nowhere: .*execution\.worker\.profiles"):
        load_profiles(tmp_path / "nowhere")


def test_two_languages_cannot_share_a_name(tmp_path: Path) -> None:
    (tmp_path / "lua.yaml").write_text(SOUND + "aliases: [py]\n")
    with pytest.raises(ProfileError, match="python and lua both go by 'py'"):
        load_profiles(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title: Lua", "tilte: Lua", "unknown field `tilte`"),
        ("title: Lua", "title: [1]", r"Expected `str`, got `array` - at `\$.title`"),
        ("name: lua", "name: Lua!", "name: 'Lua!' is not a name"),
        ("file: main.lua", "file: main.l", "file: 'main.l' does not end with"),
        ("{lua}", "{luaa}", r"toolchains\[0\].run.argv\[0\]: {luaa} is not known; use .*lua"),
        ("'{args}'", "'-x={args}'", r"toolchains\[0\].run.argv\[2\]: {args} stands for several words"),
        ("programs: {lua:", "programs: {entry:", r"toolchains\[0\].programs.entry: this name"),
        ("{find: [lua]}", "{find: []}", r"toolchains\[0\].programs.lua.find: is empty"),
        ("{find: [lua]}", "{find: [lua], pattern: '('}", r"pattern: is not a regular expression"),
        ("{find: [lua]}", "{find: [lua], pattern: 'x'}", r"pattern: has no group"),
        ("    run:", "    compile: {argv: [x], keep: []}\n    run:", r"toolchains\[0\].compile.keep: is empty"),
        ("title: Lua", "title: Lua\nlimits: {memory: 10}", r"10.* - at `\$.limits.memory`"),
        ("title: Lua", "title: Lua: x", "not YAML"),
        ("title: Lua", "title: !!python/name:os.system x", "not YAML"),
        ("title: Lua", "title: " + "x" * MAX_BYTES, "more than"),
    ],
)
def test_a_profile_that_is_wrong_names_the_file_and_the_path(before: str, after: str, message: str) -> None:
    assert before in SOUND
    with pytest.raises(ProfileError, match=f"^own.yaml: .*{message}"):
        decode(SOUND.replace(before, after).encode(), "own.yaml")


def test_a_profile_with_everything_in_place_is_read() -> None:
    assert decode(SOUND.encode(), "own.yaml").toolchains[0].programs["lua"].find == ("lua",)
