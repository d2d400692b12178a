"""How long a prepared sandbox takes to start a program: ``python -m holdfast.execution.shell.sandbox.measure COUNT``.

Prints milliseconds as a JSON list: from the moment at which a sandbox is taken from the pool to the first instruction
of a Python program in it. The clock is the machine's monotonic one, which a sandbox shares. The pool has time to refill
between two starts, as it has on a worker with a free slot.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import uvloop

from holdfast.execution.core.job import Limits
from holdfast.execution.core.settings import WorkerSettings
from holdfast.execution.core.task import SandboxFile, Step, Task
from holdfast.execution.shell.sandbox.errors import SlotBroken
from holdfast.execution.shell.sandbox.pool import open_sandboxes

_PROGRAM: Final = SandboxFile(path="main.py", data=b"import time\nprint(time.monotonic())\n")
_LIMITS: Final = Limits(wall_s=10.0, cpu_s=10.0, memory_bytes=2**28, output_bytes=2**16, processes=16)
_TASK: Final = Task(files=(_PROGRAM,), run=Step(argv=("main.py",), limits=_LIMITS, warm="python"))
_REFILL_S: Final = 0.05


async def starts_ms(count: int) -> list[float]:
    """So many starts, one after the other. Raises :class:`~.errors.SandboxError`."""
    found = []
    async with open_sandboxes(WorkerSettings(), slots=1) as sandboxes:
        for _ in range(count):
            await asyncio.sleep(_REFILL_S)
            began = time.monotonic()
            outcome = (await (await sandboxes.take()).run(_TASK)).run
            if outcome is None or outcome.exit_code != 0:
                raise SlotBroken(f"did not run a program: {outcome}", where="sandboxes", remedy="report this as a bug")
            found.append((float(outcome.stdout) - began) * 1e3)
    return found


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(starts_ms(int(sys.argv[1])))) + "\n")
