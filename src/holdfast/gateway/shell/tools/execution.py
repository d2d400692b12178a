"""Code execution as a tool: a program is submitted to the execution service, waited for, and its result given back.

The gateway submits with a key of its own, so jobs are its tenant's there; whose call a job was stands in its metadata.
A submission carries an idempotency key, so one whose answer was lost is repeated without running twice. A call that is
given up cancels its job, in the background: whoever waits for the tool need not wait for that as well.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from holdfast.gateway.core.tools import RESULT_BYTES, Result
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.tools.network import Network, read_at_most

if TYPE_CHECKING:
    from holdfast.gateway.core.settings import ExecutionToolSettings
    from holdfast.identity import Principal

log = logging.getLogger(__name__)

POLL_S: Final = 30.0
"""Of one long poll; the service holds one for at most 60 s."""
OUTPUT_BYTES: Final = 96 * 1024
"""Of both streams. Each byte may become six characters of JSON, and the result has to stay below its bound."""
CANCEL_S: Final = 5.0
_SUBMIT_TRIES: Final = 3
_PAUSE_S: Final = 0.2
_OUT_OF_ROOM: Final = frozenset({429, 503})


class ExecutionTool:
    """Runs programs. To be closed in the end."""

    def __init__(self, settings: ExecutionToolSettings, network: Network, *, timeout_s: float) -> None:
        """``timeout_s`` is the tool's: a program may not run longer than anybody waits for it."""
        self._settings = settings
        self._network = network
        self._timeout_s = timeout_s
        self._cancelling: set[asyncio.Task[None]] = set()

    async def call(self, arguments: str, caller: Principal) -> Result:
        """Verdict, outputs and exit code as JSON. Raises :class:`Refused` when the service does not do its work."""
        asked: dict[str, Any] = msgspec.json.decode(arguments)
        id = await self._submit(asked, caller)
        try:
            job = await self._wait(id)
        except BaseException:
            task = asyncio.create_task(self._cancel(id), name=f"cancel job {id}")
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)
            raise
        return _result(job)

    async def close(self) -> None:
        """Wait until jobs that were given up are cancelled; each takes at most :data:`CANCEL_S`."""
        await asyncio.gather(*self._cancelling, return_exceptions=True)

    async def _submit(self, asked: dict[str, Any], caller: Principal) -> str:
        body = msgspec.json.encode(
            {
                **asked,
                "limits": {
                    "wall": self._timeout_s,
                    "cpu": float(self._settings.cpu),
                    "memory": int(self._settings.memory),
                    "output": OUTPUT_BYTES,
                },
                "metadata": {"tenant": caller.tenant, "key": caller.key_id},
            }
        )
        key = uuid.uuid4().hex
        for attempt in range(1, _SUBMIT_TRIES + 1):
            try:
                status, found = await self._ask("POST", "/v1/jobs", body=body, headers={"Idempotency-Key": key})
                break
            except (aiohttp.ClientError, OSError) as error:
                if attempt == _SUBMIT_TRIES:
                    raise _unreachable() from error
                await asyncio.sleep(_PAUSE_S * attempt)
        if status == 422:  # a language that no worker has, say: the model may choose another
            raise Refused("invalid_request", f"the program is not accepted: {str(found.get('detail', ''))[:500]}")
        if status not in (200, 202):
            raise _failed(status, found)
        return str(found["id"])

    async def _wait(self, id: str) -> dict[str, Any]:
        """The job when it has ended. The caller's deadline bounds the waiting."""
        failures = 0
        while True:
            try:
                status, job = await self._ask("GET", f"/v1/jobs/{id}?wait={POLL_S:g}s")
            except (aiohttp.ClientError, OSError) as error:
                failures += 1
                if failures == _SUBMIT_TRIES:
                    raise _unreachable() from error
                await asyncio.sleep(_PAUSE_S * failures)
                continue
            if status in _OUT_OF_ROOM:
                failures += 1
                if failures == _SUBMIT_TRIES:
                    raise _failed(status, job)
                await asyncio.sleep(min(float(job.get("retry_after_s") or 1.0), POLL_S))
                continue
            if status != 200:
                raise _failed(status, job)
            if job.get("status") in ("finished", "dead"):
                return job
            failures = 0

    async def _cancel(self, id: str) -> None:
        try:
            async with asyncio.timeout(CANCEL_S):
                await self._ask("DELETE", f"/v1/jobs/{id}")
        except (aiohttp.ClientError, OSError, Refused) as error:
            # It ends by its own limits, which are no longer than the tool's time.
            log.warning("a job was not cancelled: %s", error, extra={"action": "tool_cancel", "job": id})

    async def _ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        url = self._settings.url.rstrip("/") + path
        client = self._network.client(url, private=True)  # the operator's own service
        fields = {
            "Authorization": f"Bearer {self._settings.key}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        async with client.request(method, url, data=body, headers=fields, allow_redirects=False) as answer:
            text = await read_at_most(answer, 2 * RESULT_BYTES)
            try:
                found = msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError):
                found = {}
            return answer.status, found


def schema(settings: ExecutionToolSettings) -> dict[str, Any]:
    """JSON Schema of the arguments, unless the operator writes another one."""
    text = {"type": "string", "maxLength": 100_000}
    return {
        "type": "object",
        "properties": {
            "language": {"enum": list(settings.languages)},
            "source": {
                **text,
                "description": "The whole program. What it writes to its standard output is the result.",
            },
            "stdin": {**text, "description": "Its standard input."},
            "args": {"type": "array", "items": {"type": "string", "maxLength": 4096}, "maxItems": 64},
        },
        "required": ["language", "source"],
        "additionalProperties": False,
    }


def _result(job: dict[str, Any]) -> Result:
    compiled = job.get("compile") or {}
    found = {
        "verdict": job.get("verdict") or "internal_error",
        "exit_code": job.get("exit_code"),
        "stdout": job.get("stdout") or "",
        "stderr": job.get("stderr") or "",
        "message": job.get("message"),
        "compile_stderr": compiled.get("stderr"),
        "truncated": bool(job.get("stdout_truncated") or job.get("stderr_truncated")),
        "cpu_ms": job.get("cpu_ms"),
        "memory_bytes": job.get("memory_bytes"),
        "job": job.get("id"),
    }
    text = msgspec.json.encode({name: value for name, value in found.items() if value is not None}).decode()
    return Result(text=text, is_error=found["verdict"] != "ok")


def _unreachable() -> Refused:
    return Refused("upstream_failed", "the execution service does not answer", retryable=True)


def _failed(status: int, found: dict[str, Any]) -> Refused:
    if status in (401, 403):
        log.error("the execution service refuses gateway.execution.key", extra={"action": "tool", "status": status})
        return Refused("internal", "the execution service refuses the gateway's key; its operator has to look")
    if status in _OUT_OF_ROOM:
        wait_s = found.get("retry_after_s")
        retry_after_s = float(wait_s) if isinstance(wait_s, int | float) else 1.0
        return Refused("overloaded", "the execution service has no room", retry_after_s=retry_after_s, retryable=True)
    return Refused("upstream_failed", f"the execution service answered with status {status}", retryable=status >= 500)
