"""``holdfast netpulse`` and ``holdfast replay`` as a person types them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from holdfast.cli.main import main
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.netpulse.shell.records import NetpulseRecords
from holdfast.store import StoreSettings, open_database

CONFIGURATION = """\
store: {{url: "sqlite:{directory}/history.db"}}
netpulse:
  regions: {{eu: {{domain: a}}, us: {{domain: b}}, ap: {{domain: c}}}}
  agents: {{certificates: "{directory}/certificates"}}
  monitors:
    web: {{http: {{url: "https://example.com/"}}, interval: {interval}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "holdfast.yaml"
    path.write_text(CONFIGURATION.format(directory=tmp_path, interval="30s"))
    return path


@pytest.fixture
def server() -> Iterator[int]:
    """Accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        accepted: list[socket.socket] = []

        def accept() -> None:
            accepted.append(listening.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()
        for connection in accepted:
            connection.close()


def test_a_certificate_is_made_listed_and_revoked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netpulse", "certs", "agent", "-c", str(file), "--region", "eu"]) == 0
    out, err = capsys.readouterr()
    certificate, authority = out.split()
    assert Path(certificate).stat().st_mode & 0o077 == 0
    assert Path(authority).exists()
    assert "copy both" in err
    assert main(["netpulse", "certs", "list", "-c", str(file), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["agent"], row["region"], row["revoked"]) == ("eu", "eu", False)
    assert main(["netpulse", "certs", "revoke", "-c", str(file), "eu"]) == 0
    assert capsys.readouterr().out.split() == [row["serial"]]
    assert main(["netpulse", "certs", "list", "-c", str(file)]) == 0
    assert "revoked" in capsys.readouterr().out


def test_a_certificate_for_a_region_that_is_not_there_is_wrong_input(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["netpulse", "certs", "agent", "-c", str(file), "--region", "mars"]) == 2
    assert "no region 'mars'" in capsys.readouterr().err


def test_a_check_says_what_it_found_and_how_long_each_phase_took(
    server: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["netpulse", "check", f"tcp://127.0.0.1:{server}"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("up in ")
    assert "connect" in out


def test_a_check_of_what_is_not_there_fails_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert main(["netpulse", "check", f"http://127.0.0.1:{port}/", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["failure"]) == ("down", "refused")


def test_a_check_of_a_private_address_can_be_forbidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netpulse", "check", "http://127.0.0.1:1/", "--public-only"]) == 1
    assert "blocked" in capsys.readouterr().out


def test_what_is_no_url_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netpulse", "check", "gopher://x"]) == 2
    assert "gopher" in capsys.readouterr().err


def test_a_difference_is_told_with_its_consequence(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(CONFIGURATION.format(directory=tmp_path, interval="2m"))
    assert main(["netpulse", "diff", str(file), str(new)]) == 0
    out = capsys.readouterr().out
    assert "~ monitors.web.interval: 30s -> 2m" in out
    assert "noticed in" in out
    assert main(["netpulse", "diff", str(file), str(file)]) == 0
    assert capsys.readouterr().out == "nothing would change\n"


def test_check_says_what_to_expect_of_the_monitors(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(file), "--no-ports"]) == 0
    assert "#   web  noticed in " in capsys.readouterr().out
    assert main(["check", "-c", str(file), "--no-ports", "--json"]) == 0
    (web,) = json.loads(capsys.readouterr().out)["detection"]
    assert web["monitor"] == "web"
    assert web["domains"] == 3


def test_history_goes_through_a_configuration_and_stays_as_it_is(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_recorded(tmp_path))
    before = (tmp_path / "history.db").read_bytes()
    assert main(["replay", "netpulse", "-c", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["results"] == 180
    assert (found["then"], found["now"]) == (0, 1)
    assert found["incidents"][0]["title"] == "web is down"
    assert main(["replay", "netpulse", "-c", str(file)]) == 0
    assert "pages then 0, now 1" in capsys.readouterr().out
    assert (tmp_path / "history.db").read_bytes() == before


def test_a_store_without_history_is_wrong_input(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "netpulse", "-c", str(file), "--history", f"{tmp_path}/empty.db"]) == 2
    assert "no such store" in capsys.readouterr().err
    assert not (tmp_path / "empty.db").exists()


async def _recorded(directory: Path) -> None:
    """An hour of checks from three regions, with an outage of five minutes that nobody decided."""
    start = 1_790_000_000.0
    database = await open_database(StoreSettings(url=f"sqlite:{directory}/history.db"))
    records = NetpulseRecords(database, RetentionSettings(), rng=Random(1))
    await records.open(start)
    for number in range(60):
        at = start + number * 60
        seen = [
            Observation(
                monitor="default/web",
                region=region,
                domain=domain,
                agent=region,
                at=at + offset * 10,
                received=at + offset * 10,
                outcome=Outcome.DOWN if 20 <= number < 25 else Outcome.UP,
                failure=Failure.TIMEOUT if 20 <= number < 25 else Failure.NONE,
                total_ms=10.0,
            )
            for offset, (region, domain) in enumerate((("eu", "a"), ("us", "b"), ("ap", "c")))
        ]
        await records.take(seen, agent="test", spool="s", first=number * 3 + 1, upto=number * 3 + 3)
    await records.close()
    await database.close()
