"""The documentation is held to the settings and the commands: what is not documented fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from msgspec import inspect

from holdfast.app.config import SUPERVISOR_RANGES, load
from holdfast.app.settings import Config, SupervisorSettings
from holdfast.balancer.core.validate import RANGES
from holdfast.cli.commands import app
from holdfast.deploy.core.validate import RANGES as DEPLOY_RANGES
from holdfast.execution.core import validate as execution
from holdfast.gateway.core.validate import RANGES as GATEWAY_RANGES
from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.forms import RANGES as NETPULSE_RANGES
from holdfast.store import StoreSettings
from holdfast.store.validate import RANGES as STORE_RANGES

DOCS = Path(__file__).parents[3] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")

Row = tuple[str, str]


def documented() -> dict[str, dict[str, Row]]:
    """Section path -> key -> (type with range, default), from the tables."""
    sections: dict[str, dict[str, Row]] = {}
    for part in re.split(r"^## ", CONFIGURATION, flags=re.MULTILINE)[1:]:
        if heading := re.match(r"`([\w.\[\]]+)`\n", part):
            rows = re.findall(r"^\| `(\w+)` \|([^|]+)\|([^|]*)\|[^|]{10,}\|$", part, re.MULTILINE)
            sections[heading[1]] = {key: (kind.strip(), default.strip()) for key, kind, default in rows}
    return sections


def kind_text(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        return f"{kind_text(kind.types[0])} or null"
    if isinstance(kind, inspect.LiteralType):
        *first, last = [f"`{value}`" for value in kind.values]
        return f"{', '.join(first)} or {last}"
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {kind_text(kind.item_type)}s"
    if isinstance(kind, inspect.CustomType):
        return "duration" if kind.cls is Duration else "size"
    names: dict[type, str] = {
        inspect.StrType: "text",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "boolean",
        inspect.DictType: "map",
        inspect.StructType: "section",
    }
    return names[type(kind)]


def value_text(value: Any) -> str:
    if isinstance(value, (Duration, Size)):
        return str(value)
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(value_text(item) for item in value)}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def row(section: type[msgspec.Struct], item: inspect.Field) -> Row:
    ranges: dict[Any, dict[str, tuple[float, float]]] = {
        **RANGES,
        **execution.RANGES,
        **NETPULSE_RANGES,
        **GATEWAY_RANGES,
        **DEPLOY_RANGES,
        SupervisorSettings: SUPERVISOR_RANGES,
        StoreSettings: STORE_RANGES,
    }
    bounds = ranges.get(section, {}).get(item.name)
    kind = kind_text(item.type) + (f", {value_text(bounds[0])} to {value_text(bounds[1])}" if bounds else "")
    if item.required:
        return kind, "required"
    if item.default is msgspec.NODEFAULT:
        return kind, "`{}`"
    return kind, "" if isinstance(item.default, msgspec.Struct) else f"`{value_text(item.default)}`"


def configured(section: type[msgspec.Struct], path: str) -> Iterator[tuple[str, dict[str, Row]]]:
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    if path:
        yield path, {item.name: row(section, item) for item in info.fields}
    for item in info.fields:
        below = f"{path}.{item.name}" if path else item.name
        kind = item.type.types[0] if isinstance(item.type, inspect.UnionType) else item.type
        if isinstance(kind, inspect.DictType):
            kind, below = kind.value_type, f"{below}.NAME"
        elif isinstance(kind, inspect.VarTupleType):
            kind, below = kind.item_type, f"{below}[]"
        if isinstance(kind, inspect.StructType):
            yield from configured(kind.cls, below)


SECTIONS = dict(configured(Config, ""))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented_with_its_type_range_and_default(section: str) -> None:
    assert documented().get(section) == SECTIONS[section]


def test_no_section_is_documented_that_does_not_exist() -> None:
    assert set(documented()) == set(SECTIONS)


def test_the_first_example_is_a_sound_configuration(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert example is not None
    file = tmp_path / "holdfast.yaml"
    file.write_text(example[1])
    config = load(file, environ={}, ports=False).config
    assert config.balancer is not None
    assert set(config.balancer.pools) == {"web", "api"}


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every visible command with the long and short options it takes."""

    def walk(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
        if command.hidden:
            return
        children = getattr(command, "commands", None)
        if children is None:
            options = [o for o in command.params if o.param_type_name == "option"]
            yield path, {name for option in options for name in (*option.opts, *option.secondary_opts)} - {"--help"}
        for name, child in (children or {}).items():
            yield from walk(child, f"{path} {name}")

    yield from walk(typer.main.get_command(app), "holdfast")


COMMANDS = dict(commands())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command: str) -> None:
    assert re.search(rf"`{command}\b", CLI), f"`{command}` is not in docs/cli.md"
    heading = " ".join(command.split()[:2])
    part = re.search(rf"^## `{heading}`$(.*?)(?=^## |\Z)", CLI, re.MULTILINE | re.DOTALL)
    assert part is not None, f"docs/cli.md has no section `{heading}`"
    undocumented = {option for option in COMMANDS[command] if f"`{option}`" not in part[1]}
    assert undocumented == set()


def test_no_command_is_documented_that_does_not_exist() -> None:
    known = {" ".join(command.split()[:2]) for command in COMMANDS}
    assert set(re.findall(r"^## `(holdfast \w+)`$", CLI, re.MULTILINE)) == known


def test_signals_exit_codes_and_variables_are_documented() -> None:
    for term in ("SIGTERM", "SIGINT", "SIGHUP", "HOLDFAST_DEBUG", "HOLDFAST_LOG_FORMAT", "HOLDFAST_READY_FD", "**2**"):
        assert term in CLI
