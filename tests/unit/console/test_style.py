"""The design tokens: readable in light and in dark, and used instead of colours."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from holdfast.console.samples import SAMPLES
from holdfast.console.wording import LANGUAGES

STATIC = files("holdfast.console").joinpath("static")
STYLE = STATIC.joinpath("console.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
}
TEXT = [
    *[(ink, paper) for ink in ("ink", "quiet", "accent", "bad") for paper in ("paper", "raised", "sunken")],
    *[(tone, f"{tone}-paper") for tone in ("good", "bad", "wait", "quiet")],
    *[("ink", f"{tone}-paper") for tone in ("bad", "wait", "quiet")],
    ("on-accent", "accent"),
]
EDGES = [("edge", "paper"), ("edge", "raised"), ("accent", "quiet-paper"), ("bad", "quiet-paper")]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper", "least"), [*[(*pair, 4.5) for pair in TEXT], *[(*pair, 3.0) for pair in EDGES]]
)
def test_text_and_edges_stand_out_as_wcag_aa_asks(ink: str, paper: str, least: float, scheme: int) -> None:
    assert contrast(TOKENS[ink][scheme], TOKENS[paper][scheme]) >= least


def test_colours_come_from_tokens_only() -> None:
    rules = STYLE.partition("}")[2]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s])|rgba?\(|hsla?\(", rules) == []
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE))
    defined = set(re.findall(r"--([\w-]+):", STYLE))
    assert used - defined == set()
    assert defined - used == set(), "a token that nothing uses"


def test_nothing_is_loaded_from_elsewhere() -> None:
    for entry in STATIC.iterdir():
        text = entry.read_text()
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text) == [], entry.name


def test_every_language_has_a_sample() -> None:
    assert set(SAMPLES) == set(LANGUAGES)
    assert all(sample.endswith("\n") for sample in SAMPLES.values())
