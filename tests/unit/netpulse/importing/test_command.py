"""`holdfast netpulse import` as somebody types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.app.config import load
from holdfast.cli.main import main
from tests.unit.netpulse.importing.reading import SAMPLES

GATUS = str(SAMPLES / "gatus.yaml")
MODULES = str(SAMPLES / "blackbox.yml")
JOBS = str(SAMPLES / "prometheus.yml")


def test_the_section_goes_to_standard_output_and_what_was_lost_to_standard_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["netpulse", "import", "gatus", GATUS]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# Taken over from Gatus.")
    assert "  regions: {local: {embedded: true}}\n" in out
    assert "refused: endpoints[8]" in err
    assert "variable: SEARCH_PASSWORD: set it to what stands in the source (endpoints[2].url)" in err
    assert "s3cr3t" not in out + err
    file = tmp_path / "holdfast.yaml"
    file.write_text(out)
    names = ("API_HEALTH_AUTHORIZATION", "REGION", "SEARCH_PASSWORD", "NIGHTLY_BACKUP_TOKEN")
    assert load(file, environ=dict.fromkeys(names, "x" * 20), ports=False).config.netpulse is not None


def test_json_has_section_remarks_and_variables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netpulse", "import", "blackbox", MODULES, "--targets", JOBS, "--json"]) == 0
    out, err = capsys.readouterr()
    body = json.loads(out)
    assert err == ""
    assert body["netpulse"]["regions"] == {"local": {"embedded": True}}
    assert {each["kind"] for each in body["remarks"]} == {"refused", "dropped", "note"}
    assert [each["name"] for each in body["variables"]] == ["LOGIN_EXAMPLE_COM_PASSWORD", "BILLING_EXAMPLE_COM_TOKEN"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["blackbox", MODULES], "modules have no targets: add --targets prometheus.yml"),
        (["gatus", GATUS, "--targets", JOBS], "--targets is for blackbox"),
        (["gatus", MODULES], "not a configuration of Gatus"),
        (["uptime-kuma", GATUS], "not JSON"),
        (["gatus", "no-such-file.yaml"], "no-such-file.yaml: cannot be read: no such file or directory"),
        (["gatus", str(SAMPLES)], "cannot be read: is a directory"),
    ],
)
def test_an_input_that_is_wrong_is_said_and_exits_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["netpulse", "import", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


@pytest.mark.parametrize(
    ("data", "words"), [(b"#" * (2**20 + 1), "larger than 1 MiB"), (b"endpoints: \xff", "not UTF-8 at byte 11")]
)
def test_a_file_is_bounded_and_utf_8(
    data: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gatus.yaml"
    file.write_bytes(data)
    assert main(["netpulse", "import", "gatus", str(file)]) == 2
    assert words in capsys.readouterr().err


def test_an_origin_that_is_not_known_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netpulse", "import", "pingdom", GATUS]) == 2
    assert "uptime-kuma" in capsys.readouterr().err
