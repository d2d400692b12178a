"""Reading pages and sources, so that one can be held against the other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "holdfast"


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    level = heading.partition(" ")[0]
    _, found, rest = page.partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading!r}"
    return re.split(rf"^{level} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without head and rule."""
    tables = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for table in tables for line in table.splitlines()[2:]
    ]


def codes(cell: str) -> list[str]:
    """What a cell sets in code."""
    return re.findall(r"`([^`]+)`", cell)


def calls(folder: str, *names: str) -> list[ast.Call]:
    """Every call of these functions or methods in the modules of a room."""
    return [
        node
        for module in sorted((SOURCE / folder).glob("*.py"))
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and (node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")) in names
    ]


def texts(module: str) -> str:
    """All text of a module, in one line, with ``{}`` for what an f-string fills in."""
    found = []
    for node in ast.walk(ast.parse((SOURCE / module).read_text())):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return "\n".join(found)
