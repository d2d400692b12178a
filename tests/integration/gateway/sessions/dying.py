"""A process that works on a run until it is killed: ``python -m ... DIRECTORY`` says the id of the run at work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.gateway.sessions.stage import staged


async def main(directory: Path) -> None:
    async with staged(directory, ["the plan", "stuck"]) as stage:
        headers = {"x-tenant": "acme"}
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=headers)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        run = (await stage.client.post(path, json={"content": "x"}, headers=headers)).json()
        await stage.model.began.wait()
        print(run["id"], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
