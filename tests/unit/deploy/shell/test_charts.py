from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.cost import cost_of
from holdfast.deploy.core.curves import Axis, Curve, crossover, curve, places
from holdfast.deploy.core.workload import DeploySettings
from holdfast.deploy.shell.charts import draw, write_chart
from tests.unit.deploy.core.priced import AT, REGION, api, month, table

COST = cost_of(DeploySettings(), table(), AT)
SVG = "{http://www.w3.org/2000/svg}"
LOW, HIGH = Decimal("0.1"), Decimal(400)


def drawn(*names: str, axis: Axis = "rate", low: Decimal = LOW, high: Decimal = HIGH) -> list[Curve]:
    at = places(api(1), axis, low, high, utilisation=0.6)
    found = [curve(BY_ID[name], api(1), REGION, cost=COST, axis=axis, places=at) for name in names]
    return [one for one in found if one is not None]


def chart(*names: str, title: str = "An API") -> ET.Element:
    crossing = crossover(BY_ID[names[0]], BY_ID[names[1]], api(1), REGION, cost=COST, low=LOW, high=HIGH)
    return ET.fromstring(draw(drawn(*names), [crossing], api(1), title=title))


def words(document: ET.Element) -> list[str]:
    return [text.text or "" for text in document.iter(f"{SVG}text")]


def test_a_chart_says_in_words_what_it_shows() -> None:
    document = chart("lambda+lambda-url", "ecs-fargate")
    sentence = "lambda+lambda-url is cheaper below 4.7 requests/s, ecs-fargate above"
    about = document.find(f"{SVG}desc")
    assert about is not None
    assert (
        about.text
        == f"USD a month by requests per second while busy, from 0.1 requests/s to 400 requests/s. {sentence}"
    )
    assert sentence in words(document)
    assert document.get("aria-labelledby") == "title about"
    assert len(list(document.iter(f"{SVG}circle"))) == 1


def test_the_table_beneath_quotes_computed_figures() -> None:
    said = words(chart("lambda+lambda-url", "ecs-fargate"))
    for rate in (0.1, 400):
        for name in ("lambda+lambda-url", "ecs-fargate"):
            assert f"{month(name, api(rate)).total:.2f}" in said


def test_a_curve_that_lacks_a_price_is_not_drawn_but_named() -> None:
    document = chart("ecs-fargate", "lambda-web-functions")
    assert "lambda-web-functions, a price is missing" in words(document)
    assert "≥ 0.00" in words(document)
    titles = [title.text for path in document.iter(f"{SVG}path") for title in path]
    assert titles == ["ecs-fargate"]


def test_every_point_lies_within_the_drawing() -> None:
    document = chart("lambda+lambda-url", "ecs-fargate")
    width, height = (float(part) for part in document.attrib["viewBox"].split()[2:])
    for path in document.iter(f"{SVG}path"):
        if len(path):
            numbers = [float(part) for part in path.attrib["d"][1:].split()]
            assert all(0 <= x <= width for x in numbers[::2])
            assert all(0 <= y <= height for y in numbers[1::2])


def test_duty_is_drawn_evenly_from_nothing_to_the_whole_month() -> None:
    curves = drawn("lambda-microvms", "ecs-fargate", axis="busy", low=Decimal(0), high=Decimal(1))
    document = ET.fromstring(draw(curves, [], api(1), title="Duty"))
    assert {"0 % duty", "33 % duty", "67 % duty", "100 % duty"} <= set(words(document))


def test_a_title_cannot_break_out() -> None:
    document = chart("lambda+lambda-url", "ecs-fargate", title="</text><script>&")
    assert "</text><script>&" in words(document)
    assert not list(document.iter(f"{SVG}script"))


def test_curves_of_different_axes_are_refused() -> None:
    mixed = drawn("ecs-fargate") + drawn("ecs-fargate", axis="busy", low=Decimal(0), high=Decimal(1))
    for wrong in ([], mixed):
        with pytest.raises(ValueError, match="one axis"):
            draw(wrong, [], api(1), title="")


def test_a_chart_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "api.svg"
    write_chart(path, "one")
    write_chart(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_chart_that_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "api.svg").mkdir()
    with pytest.raises(OSError, match=r"directory|exists"):
        write_chart(tmp_path / "api.svg", "one")
    assert [one.name for one in tmp_path.iterdir()] == ["api.svg"]
