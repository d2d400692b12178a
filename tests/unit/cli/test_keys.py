"""``holdfast key``: what is printed where, and what it leaves in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main
from holdfast.identity import parse

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STORE", f"sqlite:{tmp_path}/holdfast.db")


@pytest.fixture
def key(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that is to succeed; its standard output."""

    def run(*arguments: str) -> str:
        assert main(["key", *arguments]) == 0
        return capsys.readouterr().out

    return run


def one(listed: str) -> dict[str, Any]:
    (record,) = json.loads(listed)
    return dict(record)


def test_the_key_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "create", "--tenant", "acme"]) == 0
    captured = capsys.readouterr()
    made = parse(captured.out.removesuffix("\n"))
    assert made is not None
    assert made.id in captured.err
    assert captured.out.strip() not in captured.err


def test_quiet_says_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "create", "--tenant", "acme", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert parse(captured.out.strip()) is not None
    assert captured.err == ""


def test_a_key_is_listed_as_it_was_made_and_without_its_secret(key: Run) -> None:
    text = key("create", "--tenant", "acme", "--role", "admin", "--scope", "audit:read", "--name", "[b]x").strip()
    listed = key("list", "--json")
    record = one(listed)
    assert (record["tenant"], record["role"], record["scopes"]) == ("acme", "admin", ["audit:read"])
    assert (record["state"], record["expires"], record["last_used"]) == ("active", None, None)
    table = key("list")
    assert "[b]x" in table
    assert record["id"] in table
    assert text not in listed + table


def test_the_list_of_a_tenant_is_its_own(key: Run) -> None:
    key("create", "--tenant", "acme")
    key("create", "--tenant", "other")
    assert one(key("list", "--tenant", "other", "--json"))["tenant"] == "other"


@pytest.mark.parametrize("whole", [True, False])
def test_a_key_is_revoked_by_its_id_or_by_itself(key: Run, whole: bool) -> None:
    text = key("create", "--tenant", "acme").strip()
    presented = parse(text)
    assert presented is not None
    key("revoke", text if whole else presented.id)
    assert one(key("list", "--json"))["state"] == "revoked"


def test_a_rotated_key_has_a_successor_and_an_end(key: Run) -> None:
    made = json.loads(key("create", "--tenant", "acme", "--name", "ci", "--json"))
    successor = json.loads(key("rotate", made["id"], "--overlap", "0", "--json"))
    assert parse(successor["key"]) is not None
    assert (successor["name"], successor["state"]) == ("ci", "active")
    listed = {record["id"]: record for record in json.loads(key("list", "--json"))}
    assert listed[made["id"]]["replaced_by"] == successor["id"]
    assert listed[made["id"]]["state"] == "expired"


def test_the_default_overlap_is_a_day(key: Run) -> None:
    made = json.loads(key("create", "--tenant", "acme", "--json"))
    key("rotate", made["id"])
    assert one(json.dumps([r for r in json.loads(key("list", "--json")) if r["id"] == made["id"]]))["state"] == "active"


def test_the_secret_of_callbacks_is_shown_and_rotated(key: Run) -> None:
    key("create", "--tenant", "acme")
    first = key("callback-secret", "--tenant", "acme").strip()
    assert first.startswith("whsec_")
    assert key("callback-secret", "--tenant", "acme").strip() == first
    new, old = json.loads(key("callback-secret", "--tenant", "acme", "--rotate", "--overlap", "1h", "--json"))
    assert (old["secret"], new["expires"]) == (first, None)
    assert old["expires"] is not None
    assert key("callback-secret", "--tenant", "acme").strip() == new["secret"] != first


def test_a_mistyped_tenant_gets_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "callback-secret", "--tenant", "acmee"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no tenant 'acmee'" in captured.err


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_key_is_a_failure_that_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", command, "nonsense"]) == 1
    assert "no key 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "--tenant", "X y"], "cannot name a tenant"),
        (["create", "--tenant", "acme", "--role", "god"], "the roles are viewer"),
        (["create", "--tenant", "acme", "--scope", "worker"], "a part of"),
        (["create", "--tenant", "acme", "--expires", "3"], "not a duration"),
        (["create", "--tenant", "acme", "--expires", "0"], "after now"),
        (["create"], "--tenant"),
    ],
)
def test_wrong_input_is_exit_code_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in " ".join(captured.err.replace("│", " ").split())


def test_a_configuration_says_where_the_keys_are(
    tmp_path: Path, key: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text(f"execution: {{}}\nstore: {{url: 'sqlite:{tmp_path}/other.db'}}\n")
    key("create", "--tenant", "acme", "-c", str(file))
    assert one(key("list", "-c", str(file), "--json"))["tenant"] == "acme"
    assert json.loads(key("list", "--json")) == [], "the store of the environment is another one"
    file.write_text("balancer:\n  listen: ['127.0.0.1:0']\n  pools: {}\n")
    assert main(["key", "list", "-c", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_without_a_store_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HOLDFAST_STORE")
    assert main(["key", "list"]) == 2
    assert "--store" in capsys.readouterr().err
