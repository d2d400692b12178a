"""Where the command line begins: what to call, and what becomes of an error.

Exit codes: 0 done, 1 failed, 2 the input was wrong.

``holdfast run SERVICE -c FILE`` is how the supervisor starts what serves, and what stays in memory for months. The
framework that reads command lines brings 18 MB with it (pydantic, rich) and a quarter of a second: so this one form is
read here, and all others by :mod:`.commands`, which takes it as well and says what is wrong with it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from holdfast.kernel import HoldfastError

DEBUG = "HOLDFAST_DEBUG"
"""Environment variable; ``1`` shows the traceback of an unexpected error."""

SERVICES: Final[Mapping[str, str]] = {
    "balancer": "run_balancer",
    "blog": "run_blog",
    "console": "run_console",
    "execution-api": "run_execution_api",
    "execution-worker": "run_execution_worker",
    "gateway": "run_gateway",
    "netpulse": "run_netpulse",
    "status": "run_status",
}
"""Those that need nothing but a file, and what of :mod:`holdfast.app.services` runs them."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code. Never shows a traceback, except with HOLDFAST_DEBUG=1."""
    try:
        serve = service(sys.argv[1:] if arguments is None else arguments)
        if serve is not None:
            return serve()
        from holdfast.cli.commands import app

        app(args=arguments, prog_name="holdfast")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else (0 if done.code is None else 1)
    except BrokenPipeError:  # the reader has gone; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1
    except Exception as raised:  # noqa: BLE001 - the last line of defence, and it says what to do
        debug, error = _debug(), _cause(raised)
        if isinstance(error, HoldfastError):
            print(error, file=sys.stderr)
            return error.exit_code
        if not debug:
            lines = str(error).splitlines() or [""]
            print(
                f"holdfast: unexpected {type(error).__name__}: {lines[0]}; "
                f"run it again with {DEBUG}=1 for the traceback, and please report it",
                file=sys.stderr,
            )
        return 1
    return 0


def service(arguments: Sequence[str]) -> Callable[[], int] | None:
    """What ``run SERVICE -c FILE`` means, exactly in this form; ``None`` for everything else."""
    match arguments:
        case ["run", name, "-c" | "--config", file] if name in SERVICES and not file.startswith("-"):
            return lambda: _serve(SERVICES[name], Path(file))
        case _:
            return None


def _serve(name: str, file: Path) -> int:
    from holdfast.app import services
    from holdfast.cli.logs import log_to_stderr

    log_to_stderr()
    run: Callable[[Path], int] = getattr(services, name)
    return run(file)


def _cause(error: Exception) -> Exception:
    """What went wrong inside a task group, if it is one thing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _debug() -> bool:
    wanted = os.environ.get(DEBUG, "") not in ("", "0")
    if wanted:
        traceback.print_exc()
    return wanted
