"""``store.url``: which store, and how to speak of it without its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from holdfast.store.errors import StoreError

_SQLITE: Final = "sqlite:"
_SCHEMES: Final = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteFile:
    """One file, and the log that SQLite keeps beside it."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlServer:
    """A database of a server, as libpq takes it."""

    url: str = field(repr=False)
    name: str
    """Without the password, for errors and logs."""


Address: TypeAlias = SqliteFile | PostgresqlServer


def parse(url: str) -> Address:
    """Raises ``StoreError`` that says what is wrong; the remedy is the same for all."""
    if url.startswith(_SQLITE):
        path = url.removeprefix(_SQLITE)
        if not path or path.startswith((":", "//")):
            raise StoreError("sqlite: is followed by the path of a file")
        if "\0" in path:
            raise StoreError("a path has no zero bytes")
        return SqliteFile(path=Path(path))
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise StoreError("is not an address: host or port cannot be read") from None
    if parts.scheme not in _SCHEMES:
        raise StoreError("is neither sqlite: nor postgresql:")
    if not parts.path.strip("/"):
        raise StoreError("names no database")
    if not host and "host=" not in parts.query:
        raise StoreError("names no host")
    return PostgresqlServer(url=url, name=redacted(url))


def redacted(url: str) -> str:
    """The address without what may be secret: for logs, errors and the effective configuration."""
    if url.startswith(_SQLITE):
        return url
    try:
        parts = urlsplit(url)
        user, host = parts.username, parts.netloc.rpartition("@")[2]
    except ValueError:
        return "…"
    if parts.scheme not in _SCHEMES:
        return "…"  # somebody may have written the password where the scheme belongs
    return f"{parts.scheme}://{user}@{host}{parts.path}" if user else f"{parts.scheme}://{host}{parts.path}"
