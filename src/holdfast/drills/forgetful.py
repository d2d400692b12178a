"""The queue that the code runner replaces: a worker takes a job off, and then runs it.

Run as ``python forgetful.py FILE``; it ends when the queue is empty.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys

TAKE = "DELETE FROM queue WHERE id = (SELECT min(id) FROM queue) RETURNING id"


def main() -> None:
    """Take, run, write down."""
    database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10.0)
    while row := database.execute(TAKE).fetchone():
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", "print(1)"], check=True, stdout=subprocess.DEVNULL, timeout=30
        )
        database.execute("INSERT INTO results VALUES (?)", row)
    database.close()


if __name__ == "__main__":
    main()
