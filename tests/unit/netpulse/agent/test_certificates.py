"""The authority, what it signs, and what it takes back."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from holdfast.netpulse.errors import Conflict, Invalid, NotFound
from holdfast.netpulse.shell.certificates import (
    CertificateError,
    Revocations,
    ensure,
    expiring,
    find_bundle,
    identity,
    issued,
    make_agent,
    revoke,
)

HOSTS = ["127.0.0.1", "pulse.example"]


def everything(directory: Path) -> dict[str, bytes]:
    return {str(each.relative_to(directory)): each.read_bytes() for each in directory.rglob("*") if each.is_file()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "certificates"
    ensure(made, HOSTS, {"eu": "eu"})
    return made


def test_what_is_there_stays_as_it_is(directory: Path) -> None:
    before = everything(directory)
    ensure(directory, HOSTS, {"eu": "eu"})
    assert everything(directory) == before


def test_keys_are_for_their_owner_only(directory: Path) -> None:
    for each in [directory, *directory.rglob("*")]:
        assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600), each


def test_a_host_that_is_new_is_in_the_next_certificate(directory: Path) -> None:
    ensure(directory, [*HOSTS, "10.0.0.1"], {})
    certificate = x509.load_pem_x509_certificate((directory / "engine.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pulse.example"]
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} == {"10.0.0.1", "127.0.0.1"}


def test_certificates_of_this_machine_are_renewed_before_they_end(directory: Path) -> None:
    before = everything(directory)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=340)
    ensure(directory, HOSTS, {"eu": "eu"}, now=later)
    after = everything(directory)
    assert after["authority.pem"] == before["authority.pem"]
    assert after["engine.pem"] != before["engine.pem"]
    assert after["agents/eu/agent.pem"] != before["agents/eu/agent.pem"]


def test_an_end_is_said_before_it_comes(directory: Path) -> None:
    path = directory / "engine.pem"
    now = dt.datetime.now(dt.UTC)
    assert expiring(path, now=now) == ""
    assert "expires in 24 days" in expiring(path, now=now + dt.timedelta(days=340))
    assert "has expired" in expiring(path, now=now + dt.timedelta(days=366))


def test_a_bundle_is_all_that_an_agent_needs(directory: Path, tmp_path: Path) -> None:
    bundle = make_agent(directory, "ap", "tokyo")
    elsewhere = tmp_path / "copied"
    bundle.certificate.parent.rename(elsewhere)
    found = find_bundle(elsewhere, "ap")
    assert found is not None
    named = identity(found)
    assert (named.agent, named.region) == ("tokyo", "ap")


def test_without_a_certificate_there_is_no_bundle(directory: Path) -> None:
    assert find_bundle(directory, "us") is None
    assert find_bundle(directory, "../../etc") is None


def test_a_name_of_another_region_is_refused(directory: Path) -> None:
    with pytest.raises(Conflict, match="eu is an agent of eu"):
        make_agent(directory, "us", "eu")


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 65, "a\nb", "ü"])
def test_names_that_would_leave_the_directory_or_the_subject_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(Invalid, match="cannot be"):
        make_agent(directory, name or "/", name)


def test_a_renewal_leaves_both_certificates_until_the_name_is_revoked(directory: Path) -> None:
    make_agent(directory, "eu")
    assert [each.revoked for each in issued(directory)] == [False, False]
    assert len(revoke(directory, "eu")) == 2
    assert [each.revoked for each in issued(directory)] == [True, True]
    assert revoke(directory, "eu") == ()


def test_what_was_revoked_comes_back_only_on_purpose(directory: Path) -> None:
    serial = identity(make_agent(directory, "eu")).serial
    revoke(directory, "eu")
    ensure(directory, HOSTS, {"eu": "eu"})
    assert all(each.revoked for each in issued(directory))
    fresh = identity(make_agent(directory, "eu")).serial
    revocations = Revocations(directory)
    assert serial in revocations
    assert fresh not in revocations


def test_an_agent_that_never_was_cannot_be_revoked(directory: Path) -> None:
    with pytest.raises(NotFound, match="no certificate of an agent 'mars'"):
        revoke(directory, "mars")


def test_a_revocation_counts_at_once_and_stays_when_the_file_goes(directory: Path) -> None:
    revocations = Revocations(directory)
    serial = issued(directory)[0].identity.serial
    assert serial not in revocations
    revoke(directory, "eu")
    assert serial in revocations
    (directory / "revoked").unlink()
    assert serial in revocations


def test_a_list_that_cannot_be_read_lets_nobody_in(directory: Path) -> None:
    revocations = Revocations(directory)
    (directory / "revoked").write_text("not hexadecimal\n")
    with pytest.raises(CertificateError, match="'not' is no serial number; no agent is let in until it is mended"):
        assert "1" in revocations


def test_without_the_authority_s_key_nothing_is_signed_and_all_else_works(directory: Path) -> None:
    (directory / "authority.key").unlink()
    ensure(directory, HOSTS, {"eu": "eu"})
    with pytest.raises(CertificateError, match=r"authority\.key: the authority's key cannot be read"):
        make_agent(directory, "us")


def test_a_damaged_file_is_named(directory: Path) -> None:
    (directory / "engine.pem").write_text("-----BEGIN")
    with pytest.raises(CertificateError, match=r"engine\.pem: not a readable certificate"):
        ensure(directory, HOSTS, {})


def test_an_engine_without_a_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="needs a host name or an address"):
        ensure(tmp_path / "new", [], {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CertificateError, match=r"name a directory of this user in agents\.certificates"):
        ensure(tmp_path / "new", HOSTS, {})


def test_processes_that_start_at_once_make_one_authority(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from holdfast.netpulse.shell.certificates import ensure; "
        "sys.stdin.read(); ensure(Path(sys.argv[1]), ['127.0.0.1'], {'eu': 'eu', 'us': 'us'})"
    )

    async def scenario() -> None:
        started = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, str(tmp_path / "new"), stdin=subprocess.PIPE, env=_environment()
            )
            for _ in range(4)
        ]
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        async with asyncio.timeout(60):
            assert [await process.wait() for process in started] == [0, 0, 0, 0]

    asyncio.run(scenario())
    assert [each.identity.agent for each in issued(tmp_path / "new")] == ["eu", "us"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")}
