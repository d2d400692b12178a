"""Start a program that gets SIGTERM when its parent dies. Run as a script, never imported.

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT ...]

The kernel keeps the parent-death signal (prctl(2), PR_SET_PDEATHSIG) over ``execve``, so this
costs one short interpreter start and nothing afterwards. Doing it between fork and exec in
the parent instead would run Python code there while other threads hold locks.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        sys.exit(1)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the caller's own command, no shell in between
    except OSError as error:
        sys.exit(f"{program[0]}: cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
