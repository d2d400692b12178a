"""What a queue replaces: a server that runs the program inside the request.

A semaphore of as many slots as the worker has, a sandbox made for each request, the answer when it is
over. Whoever comes while all slots are taken holds a connection and waits in the server's memory, first
come, first served. Run as ``python -m holdfast.drills.coupled PORT SLOTS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from aiohttp import web

_SANDBOX: Final = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
    *("--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"),
    *("--tmpfs", "/tmp", "--tmpfs", "/out"),  # noqa: S108 - inside the sandbox
)
_LONGEST_S: Final = 60.0
_RUN: Final = {
    "python": ("main.py", "exec python3 -I -S main.py"),
    "cpp": ("main.cpp", "g++ -O2 -o /out/main main.cpp && exec /out/main"),
}


class Coupled:
    """The server."""

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)

    async def run(self, request: web.Request) -> web.Response:
        """Run one program, and answer when it has ended."""
        job = await request.json()
        name, script = _RUN[job["language"]]
        async with self._slots:
            started = time.time()
            with tempfile.TemporaryDirectory(prefix="holdfast-coupled-") as directory:
                Path(directory, name).write_text(job["source"], encoding="utf-8")  # noqa: ASYNC240 - a few bytes
                process = await asyncio.create_subprocess_exec(
                    *_SANDBOX,
                    *("--ro-bind", directory, "/job", "--chdir", "/job", "sh", "-c", script),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                try:
                    async with asyncio.timeout(_LONGEST_S):
                        out, _ = await process.communicate()
                finally:
                    if process.returncode is None:
                        with contextlib.suppress(ProcessLookupError):
                            process.kill()
                        await process.wait()
        return web.json_response(
            {
                "exit_code": process.returncode,
                "stdout": out.decode("utf-8", "replace"),
                "started": started,
            }
        )


def main() -> None:
    """Serve until SIGTERM."""
    port, slots = int(sys.argv[1]), int(sys.argv[2])
    server = web.Application()
    server.router.add_post("/run", Coupled(slots).run)
    web.run_app(server, host="127.0.0.1", port=port, print=None, access_log=None, shutdown_timeout=1.0, backlog=8192)


if __name__ == "__main__":
    main()
