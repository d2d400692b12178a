"""Whatever a file holds, the answer is a configuration or a list of problems, never another exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.app.config import load
from holdfast.app.diagnostics import ConfigError
from holdfast.app.document import parse
from holdfast.app.effective import render
from holdfast.app.settings import Config


def _keys(kind: Any, found: set[str]) -> set[str]:
    for item in getattr(msgspec.inspect.type_info(kind), "fields", ()):
        found.add(item.name)
        _nested(item.type, found)
    return found


def _nested(kind: Any, found: set[str]) -> None:
    for inner in (*getattr(kind, "types", ()), getattr(kind, "item_type", None), getattr(kind, "value_type", None)):
        if inner is not None:
            _nested(inner, found)
    if isinstance(kind, msgspec.inspect.StructType):
        _keys(kind.cls, found)


KEYS = sorted(_keys(Config, set()) - {"cert", "key", "ca"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 70000),
    st.floats(),
    st.sampled_from(
        ["10s", "64KiB", "http://127.0.0.1:1", "127.0.0.1:0", "/x", "*", "${X}", "$", "p2c", "web", "200", ""]
    ),
    st.text(max_size=8),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5)


@given(balancer=SECTIONS | TREES, pool=SECTIONS, supervisor=TREES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_is_a_configuration_or_a_list_of_problems(
    tmp_path: Path, balancer: Any, pool: Any, supervisor: Any
) -> None:
    if isinstance(balancer, dict):
        balancer = {**balancer, "pools": {"web": {"backends": [{"id": "a", "url": "http://127.0.0.1:1"}], **pool}}}
    file = tmp_path / "holdfast.yaml"
    file.write_bytes(yaml.safe_dump({"balancer": balancer, "supervisor": supervisor}).encode("utf-8", "replace"))
    refused: ConfigError | None = None
    try:
        loaded = load(file, environ={"X": "7"}, ports=False)
    except ConfigError as error:
        refused = error
    if refused is None:
        file.write_text(render(loaded))
        if loaded.config.balancer is not None and loaded.config.balancer.admin_token is not None:
            return  # shown as a mask, on purpose
        assert load(file, environ={}, ports=False).config == loaded.config
    else:
        lines = str(refused).splitlines()
        assert len(lines) == len(refused.diagnostics) > 0
        assert all(line.startswith(str(file)) and "; " in line for line in lines)


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{},&*!|>'\"$# \n\t", max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    document = parse(text, {})
    assert document.root is not None or document.problems


@pytest.mark.parametrize("length", [10_000, 60_000])
def test_a_large_file_is_read_within_bounds(length: int) -> None:
    document = parse("a: [" + "1, " * length + "1]", {})
    assert (document.root is None) == (length > 50_000)
