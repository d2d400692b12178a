"""Samples, and what the configuration's reader makes of what was imported from them."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.app.config import load
from holdfast.netpulse.core.importing import Imported
from holdfast.netpulse.core.settings import NetpulseSettings

SAMPLES = Path(__file__).parent / "samples"
SECRET = re.compile(r"s3cr3t")
"""Every secret of the samples has this in it."""


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def loaded(found: Imported, tmp_path: Path, **variables: str) -> NetpulseSettings:
    """The section as `holdfast run netpulse` would see it, every variable set."""
    file = tmp_path / "holdfast.yaml"
    file.write_text(found.text, encoding="utf-8")
    environ = {each.name: f"value-of-{each.name.replace('_', '-').lower()}".ljust(16, "0") for each in found.references}
    settings = load(file, environ=environ | variables, ports=False).config.netpulse
    assert settings is not None
    return settings


def said(found: Imported) -> list[str]:
    return [str(remark) for remark in found.remarks]


def about(found: Imported, words: str) -> str:
    """The one remark with these words in it."""
    (line,) = [line for line in said(found) if words in line]
    return line


def assert_tells_no_secret(found: Imported) -> None:
    for text in (found.text, *said(found), *map(str, found.references)):
        assert SECRET.search(text) is None
