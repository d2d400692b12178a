"""A program that was run, as the command line shows it: output as it comes, a verdict, an exit code."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.execution.core.job import Result
    from holdfast.execution.core.task import Stream


class Shown:
    """What is shown of a job while it runs: its output, and on a terminal what it waits for."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console

        self._quiet = quiet
        self.encoding = "text" if quiet else "base64"
        """How the result is wanted: to be shown byte by byte, or to be read as JSON."""
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting") if self._console.is_terminal and not quiet else None
        if self._status is not None:
            self._status.start()
        self._written = {"stdout": 0, "stderr": 0}

    def state(self, text: str) -> None:
        """Say what it waits for."""
        if self._status is not None:
            self._status.update(text)

    def output(self, stream: Stream, data: bytes) -> None:
        """Pass output on as it is."""
        if self._quiet or not data:
            return
        self.close()  # a moving line and a program that writes to the same terminal do not go together
        self._written[stream] += len(data)
        to = sys.stdout if stream == "stdout" else sys.stderr
        to.buffer.write(data)
        to.buffer.flush()

    def again(self) -> None:
        """Another attempt begins: its output comes from the start."""
        self._written = {"stdout": 0, "stderr": 0}

    def end(self, result: dict[str, Any]) -> None:
        """Show the output that did not come live, what the compiler said, and a verdict that is not ``ok``."""
        self.close()
        if self._quiet:
            return
        compiled = result.get("compile")
        if compiled is not None and result["verdict"] == "compile_error":
            said = output_bytes(result, compiled["stdout"]) + output_bytes(result, compiled["stderr"])
            sys.stderr.buffer.write(said + (b"" if said.endswith(b"\n") or not said else b"\n"))
        for stream in ("stdout", "stderr"):
            # What came live is always a beginning of the whole.
            self.output(stream, output_bytes(result, result.get(stream))[self._written[stream] :])
        if result["verdict"] != "ok":
            sys.stderr.flush()
            print(f"holdfast: {verdict(result)}", file=sys.stderr)

    def close(self) -> None:
        """End the moving line."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def as_body(result: Result, *, encoding: str) -> dict[str, Any]:
    """A local result in the form that the service gives one."""
    from holdfast.execution.core.text import decode

    def text(data: bytes, *, truncated: bool) -> str:
        return base64.b64encode(data).decode() if encoding == "base64" else decode(data, truncated=truncated)

    compiled = result.compiled
    return {
        "verdict": result.verdict.value,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "message": result.message or None,
        "encoding": encoding,
        "stdout": text(result.stdout, truncated=result.stdout_truncated),
        "stderr": text(result.stderr, truncated=result.stderr_truncated),
        "stdout_truncated": result.stdout_truncated,
        "stderr_truncated": result.stderr_truncated,
        "compile": None
        if compiled is None
        else {
            "exit_code": compiled.exit_code,
            "signal": compiled.signal,
            "stdout": text(compiled.stdout, truncated=compiled.truncated),
            "stderr": text(compiled.stderr, truncated=compiled.truncated),
            "truncated": compiled.truncated,
            "cached": compiled.cached,
        },
        "cpu_ms": result.cpu_ms,
        "wall_ms": result.wall_ms,
        "memory_bytes": result.memory_bytes,
    }


def output_bytes(result: dict[str, Any], text: str | None) -> bytes:
    """Output of a result, in whichever form it came."""
    if not text:
        return b""
    return base64.b64decode(text) if result.get("encoding") == "base64" else text.encode()


def verdict(result: dict[str, Any]) -> str:
    """``runtime_error, exit code 3``."""
    parts = [str(result["verdict"] or result.get("status"))]
    if result.get("exit_code") is not None:
        parts.append(f"exit code {result['exit_code']}")
    if result.get("signal") is not None:
        parts.append(f"signal {result['signal']}")
    parts += [str(about) for about in (result.get("message"), result.get("dead_reason")) if about]
    return "".join(character for character in ", ".join(parts) if character.isprintable())


def exit_code_of(result: dict[str, Any], *, passed_on: bool) -> int:
    """0 for ``ok`` and 1 otherwise; with ``passed_on`` what the program itself ended with, if it did."""
    if passed_on and result.get("exit_code") is not None:
        return int(result["exit_code"])
    if passed_on and result.get("signal") is not None:
        return 128 + int(result["signal"])  # as a shell says it
    return 0 if result["verdict"] == "ok" else 1
