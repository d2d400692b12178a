"""A process that writes until it is killed, and says what was acknowledged: ``writer.py URL PREFIX``."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from holdfast.store import StoreSettings, StoreUnavailable, open_database
from tests.conformance.store.conftest import ITEMS, insert


async def main(url: str, prefix: str) -> None:
    async with await open_database(StoreSettings(url=url)) as database:
        await database.migrate("items", ITEMS)
        numbers = itertools.count()

        async def write() -> None:
            while True:
                name = f"{prefix}{next(numbers)}"
                try:
                    await database.write(insert(name), deadline_s=5)
                except StoreUnavailable:
                    continue
                os.write(1, f"{name}\n".encode())  # at once, and whole

        await asyncio.gather(*(write() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
