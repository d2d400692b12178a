"""Addresses of stores, and what of them may be said aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.store import StoreError, redacted
from holdfast.store.address import PostgresqlServer, SqliteFile, parse


@pytest.mark.parametrize("path", ["holdfast.db", "/var/lib/holdfast/a b%?.db", "./x/größe.db"])
def test_a_path_is_taken_as_it_is(path: str) -> None:
    assert parse(f"sqlite:{path}") == SqliteFile(path=Path(path))


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:p@db.example:5433/jobs", "postgres://db.example/jobs", "postgresql:///jobs?host=/run/postgresql"],
)
def test_a_server_keeps_its_address_as_libpq_takes_it(url: str) -> None:
    address = parse(url)
    assert isinstance(address, PostgresqlServer)
    assert address.url == url
    assert ":p@" not in repr(address)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sqlite:", "followed by the path of a file"),
        ("sqlite::memory:", "followed by the path of a file"),
        ("sqlite:///x.db", "followed by the path of a file"),
        ("sqlite:a\0b", "zero bytes"),
        ("mysql://u:p@h/d", "neither sqlite: nor postgresql:"),
        ("holdfast.db", "neither sqlite: nor postgresql:"),
        ("", "neither sqlite: nor postgresql:"),
        ("postgresql://h", "names no database"),
        ("postgresql:///d", "names no host"),
        ("postgresql://h:99999/d", "cannot be read"),
        ("postgresql://[::1/d", "cannot be read"),
    ],
)
def test_what_is_no_address_is_told(url: str, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint):
        parse(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:holdfast.db", "sqlite:holdfast.db"),
        ("postgresql://u:secret@h:5432/d?sslmode=require&password=secret", "postgresql://u@h:5432/d"),
        ("postgresql://u:se@cret@h/d", "postgresql://u@h/d"),
        ("postgres://h/d#secret", "postgres://h/d"),
        ("secret", "…"),
        ("u:secret@h/d", "…"),
        ("mysql://u:secret@h/d", "…"),
        ("postgresql://u:secret@[::1/d", "…"),
    ],
)
def test_what_may_be_secret_is_not_said(url: str, said: str) -> None:
    assert redacted(url) == said
