"""Whatever the file, there is a sound section or a clear error, and never a secret."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.netpulse.core.importing import Imported, read_blackbox, read_gatus, read_uptime_kuma
from holdfast.netpulse.core.importing.source import Misread, Place, read_json, read_yaml, span
from holdfast.netpulse.errors import Invalid
from tests.unit.netpulse.importing.reading import assert_tells_no_secret, loaded, sample

KUMA = json.loads(sample("kuma.json"))
GATUS = yaml.safe_load(sample("gatus.yaml"))
MODULES = yaml.safe_load(sample("blackbox.yml"))
JOBS = yaml.safe_load(sample("prometheus.yml"))

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", "$", "${", "${X}", "$$", "a\x00b", "*" * 50, "[BODY] == ", "[::1", "999999999999h", "http://", "-"]
    ),
    st.lists(st.text(max_size=5), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def spoilt(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = spoilt(value[path[0]], path[1:], by)
    return copy


def kuma(tree: Any) -> Imported:
    return read_uptime_kuma(json.dumps(tree), "f", keep_rules=True)


def gatus(tree: Any) -> Imported:
    return read_gatus(yaml.safe_dump(tree, allow_unicode=True), "f", keep_rules=True)


def modules(tree: Any) -> Imported:
    return read_blackbox(yaml.safe_dump(tree, allow_unicode=True), "f", sample("prometheus.yml"), "g")


def jobs(tree: Any) -> Imported:
    return read_blackbox(sample("blackbox.yml"), "f", yaml.safe_dump(tree, allow_unicode=True), "g")


@pytest.mark.parametrize(("read", "tree"), [(kuma, KUMA), (gatus, GATUS), (modules, MODULES), (jobs, JOBS)])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_value_spoilt_is_a_sound_section_or_a_clear_error(
    read: Callable[[Any], Imported], tree: Any, data: st.DataObject, tmp_path: Path
) -> None:
    path = data.draw(st.sampled_from(places(tree)))
    try:
        found = read(spoilt(tree, path, data.draw(ODD)))
    except Invalid as error:
        refused = str(error)
    else:
        loaded(found, tmp_path)
        assert_tells_no_secret(found)
        return
    assert "s3cr3t" not in refused


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all_is_read_or_refused(text: str) -> None:
    for read in (read_json, read_yaml):
        with contextlib.suppress(Invalid):
            assert isinstance(read(text, "f"), Place)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("1.5h", 5400), ("500ms", 0.5), ("2w", 1_209_600), ("1y", 31_536_000), ("0", 0)],
)
def test_durations_of_go_and_prometheus_are_read(text: str, seconds: float) -> None:
    assert span(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["30", "s", "1 m", "-5s", "1m ", "9" * 400 + "s", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        span(text)


def test_merge_keys_give_way_to_what_the_map_says_itself() -> None:
    place = read_yaml("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {y: 9, <<: [*a, *b]}\nd: {<<: *b, x: 0}", "f")
    assert place["c"].value == {"x": "1", "y": "9", "z": "4"}
    assert place["d"].value == {"y": "3", "z": "4", "x": "0"}
    with pytest.raises(Invalid, match=r"d\.<<|\"<<\""):
        read_yaml("d: {<<: 7}", "f")


def test_scalars_of_yaml_are_what_their_reader_takes_them_for() -> None:
    place = read_yaml("{no: no, port: 0x1F, version: 1.10, quoted: 'null', none: ~}", "f")
    assert place["no"].text() == "no"
    assert place["no"].flag() is False
    assert place["version"].text() == "1.10"
    assert place["quoted"].text() == "null"
    assert place["none"].absent
    with pytest.raises(Misread, match="port: not a whole number"):
        place["port"].whole()
