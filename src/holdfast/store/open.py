"""From the settings to an open database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.store.address import SqliteFile, parse, redacted
from holdfast.store.errors import StoreError
from holdfast.store.sqlite import sqlite_database

if TYPE_CHECKING:
    from holdfast.store.settings import StoreSettings
    from holdfast.store.threaded import ThreadedDatabase


async def open_database(settings: StoreSettings) -> ThreadedDatabase:
    """Open the store that the settings name; ``async with`` closes it.

    Raises ``StoreError`` that names the file or the server (never its password) and the remedy.
    """
    try:
        address = parse(settings.url)
    except StoreError as error:
        raise StoreError(f"store.url {redacted(settings.url)!r} {error}") from None
    if isinstance(address, SqliteFile):
        database = sqlite_database(settings, address.path)
    else:
        from holdfast.store.postgresql import postgresql_database  # libpq takes 50 ms to load; most need none

        database = postgresql_database(settings, address)
    await database.open()
    return database
