"""The tool broker: every call of a tool goes through here, whoever wants it and whatever kind of tool it is.

A call is judged (name, scope, size, schema), written down, made within its time limit, its result bounded, judged and
written down. The audit trail has SHA-256 of arguments and results, never the texts; the first entry is on disk before
the tool hears of the call, so nothing that was done is missing from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from holdfast.gateway.core.guard.schema import mismatch
from holdfast.gateway.core.tools import (
    ARGUMENTS_BYTES,
    RESULT_BYTES,
    Result,
    ToolSpec,
    digest,
    judged,
    permitted,
    schema_fault,
)
from holdfast.gateway.errors import Invalid, Refused
from holdfast.gateway.shell.tools.mcp import McpServer, McpTool
from holdfast.web import trail

if TYPE_CHECKING:
    from holdfast.gateway.core.settings import GatewaySettings, GuardSettings
    from holdfast.gateway.shell.tools.network import Network
    from holdfast.identity import Principal

log = logging.getLogger(__name__)

CALLS: Final = 256
"""At once, of all tenants."""
CALLS_OF_TENANT: Final = 64
FIRST_S: Final = 5.0
"""That opening waits for servers of tools to be there."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class Backend(Protocol):
    """What does the work of a tool."""

    async def call(self, arguments: str, caller: Principal) -> Result:
        """Do it, with arguments that match the tool's schema. Cancelling the call ends the work, as far as can be.

        Raises :class:`Refused` when the tool fails; a tool that answers that it could not do it is a result.
        """
        ...


class Broker:
    """Knows all tools and makes all calls. Open it before use; close it in the end."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        trail: trail.Trail,
        clock: Callable[[], float],
        network: Network | None = None,
        rng: Random | None = None,
    ) -> None:
        """``clock`` gives seconds since the epoch. ``network`` is replaced in tests."""
        self._settings = settings
        self._trail = trail
        self._clock = clock
        self._network = network
        self._rng = rng or Random()
        self._tools: dict[str, tuple[ToolSpec, Backend]] = {}
        """Those of the file; servers bring theirs."""
        self._servers: dict[str, McpServer] = {}
        self._retired: list[Backend] = []
        """Of configurations before; they may still be cancelling."""
        self._calls: Counter[str] = Counter()
        self._writing: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Learn what tools there are. A server that does not answer is waited for in the background.

        Raises :class:`~holdfast.gateway.errors.Invalid` for a schema that will not do, or without the SDK of MCP.
        """
        self._tools = dict(self._configured(self._settings))
        await self._connect()
        # So that the first requests after a start find the tools of servers that are well.
        await asyncio.gather(*(server.wait_tried(FIRST_S) for server in self._servers.values()))

    async def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other settings, or raise and keep the present ones. Calls under way go on with what they began with.

        Servers whose settings are others are connected anew. Raises as :meth:`open`.
        """
        tools = dict(self._configured(settings))
        self._retired += [backend for _, backend in self._tools.values()]
        self._settings, self._tools = settings, tools
        await self._connect()

    async def _connect(self) -> None:
        """Have just the servers that are configured."""
        wanted = self._settings.mcp
        gone = [name for name, server in self._servers.items() if wanted.get(name) != server.settings]
        await asyncio.gather(*(self._servers.pop(name).close() for name in gone))
        for name, settings in wanted.items():
            if name not in self._servers:
                server = McpServer(name, settings, rng=self._rng)
                await server.open()
                self._servers[name] = server

    async def close(self) -> None:
        """Close what is open. Calls under way have been cancelled by then."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        for backend in (*self._retired, *(backend for _, backend in self._tools.values())):
            if (close := getattr(backend, "close", None)) is not None:
                await close()
        await asyncio.gather(*self._writing, return_exceptions=True)
        if self._network is not None:
            await self._network.close()

    @property
    def tools(self) -> Mapping[str, ToolSpec]:
        """All that can be called now, by name."""
        found = {name: spec for name, (spec, _) in self._tools.items()}
        for server in self._servers.values():
            found.update(server.tools)
        return found

    def usable(self, caller: Principal) -> list[ToolSpec]:
        """Tools that a key may use, by name."""
        return [spec for _, spec in sorted(self.tools.items()) if permitted(spec.scope, caller.scopes) is None]

    def policy(self, model: str | None = None) -> GuardSettings | None:
        """The guardrails that results are judged by: those of a model's route, else the default ones."""
        named = self._settings.models.get(model) if model is not None else None
        name = "default" if named is None or named.guardrails is None else named.guardrails
        return self._settings.guardrails.get(name)

    async def call(
        self, caller: Principal, name: str, arguments: str, *, model: str | None = None, run: str = ""
    ) -> Result:
        """Call a tool; ``arguments`` is the JSON text of an object, ``model`` whose guardrails judge the result.

        Raises:
            Refused: Not found, not permitted, not valid, too large, blocked, timed out, failed.
            StoreUnavailable: The call could not be written down, and was not made.
        """
        spec, backend = self._find(caller, name)
        arguments = _checked(spec, arguments)
        with self._place(caller.tenant):
            detail = {"arguments_sha256": digest(arguments), **({"run": run} if run else {})}
            await self._trail.audit(
                caller.tenant, actor=caller.key_id, action="tool.call", target=name, detail=detail, now=self._clock()
            )
            began = asyncio.get_running_loop().time()
            outcome, result = "cancelled", None
            try:
                result = await self._made(spec, backend, arguments, caller)
                result = judged(result, self.policy(model), tool=name)
                outcome = "error" if result.is_error else "ok"
            except Refused as refused:
                outcome = refused.reason
                raise
            finally:
                detail["outcome"] = outcome
                detail["ms"] = str(round((asyncio.get_running_loop().time() - began) * 1000))
                if result is not None:
                    detail["result_sha256"] = digest(result.text)
                    if result.findings:
                        detail["findings"] = ", ".join(each.rule for each in result.findings)
                await self._write_down(caller, name, detail)
            return result

    async def _write_down(self, caller: Principal, name: str, detail: Mapping[str, str]) -> None:
        writing = asyncio.ensure_future(
            trail.write_down(self._trail, caller, "tool.result", name, detail, now=self._clock())
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        # Also of a call that is being cancelled: what became of it is what one wants to know then.
        await asyncio.shield(writing)

    async def _made(self, spec: ToolSpec, backend: Backend, arguments: str, caller: Principal) -> Result:
        try:
            async with asyncio.timeout(spec.timeout_s):
                result = await backend.call(arguments, caller)
        except TimeoutError:
            raise Refused(
                "timeout", f"{spec.name} did not answer within {spec.timeout_s:g} s; it was cancelled", retryable=True
            ) from None
        except Refused:
            raise
        except Exception as error:
            log.exception("a tool failed in an unforeseen way", extra={"action": "tool", "tool": spec.name})
            raise Refused("internal", f"{spec.name} failed; the log of the gateway says more") from error
        if len(result.text) > RESULT_BYTES or len(result.text.encode("utf-8", "replace")) > RESULT_BYTES:
            raise Refused("upstream_failed", f"the answer of {spec.name} has more than {RESULT_BYTES} bytes")
        if spec.output is not None and not result.is_error and (wrong := _mismatch(spec, spec.output, result.text)):
            raise Refused("upstream_failed", f"the answer of {spec.name} does not match its schema: {wrong}")
        return result

    def _find(self, caller: Principal, name: str) -> tuple[ToolSpec, Backend]:
        found = self._tools.get(name) or self._of_server(name)
        if found is None:
            raise Refused("not_found", f"there is no tool {name[:100]!r}; GET /v1/tools lists what there is")
        if (lacking := permitted(found[0].scope, caller.scopes)) is not None:
            raise Refused("forbidden", f"{name} is a tool for {found[0].scope}; this key lacks the scope {lacking}")
        return found

    def _of_server(self, name: str) -> tuple[ToolSpec, Backend] | None:
        for server in self._servers.values():
            spec = server.tools.get(name)
            if spec is not None:
                return spec, McpTool(server, name.removeprefix(f"{server.name}."))
        return None

    @contextmanager
    def _place(self, tenant: str) -> Iterator[None]:
        if self._calls[tenant] >= CALLS_OF_TENANT or self._calls.total() >= CALLS:
            raise Refused("overloaded", "too many calls of tools are under way", retry_after_s=1.0, retryable=True)
        self._calls[tenant] += 1
        try:
            yield
        finally:
            self._calls[tenant] -= 1
            if not self._calls[tenant]:
                del self._calls[tenant]

    def _configured(self, configured: GatewaySettings) -> Iterator[tuple[str, tuple[ToolSpec, Backend]]]:
        if not configured.tools:
            return
        # The HTTP client takes six megabytes and a good part of a second: only who has tools pays for it.
        from holdfast.gateway.shell.tools.execution import ExecutionTool
        from holdfast.gateway.shell.tools.execution import schema as execution_schema
        from holdfast.gateway.shell.tools.http import HttpTool
        from holdfast.gateway.shell.tools.network import Network

        network = self._network = self._network or Network()
        runs = configured.execution
        for name, settings in configured.tools.items():
            backend: Backend
            schema: Mapping[str, Any] = settings.input
            if settings.http is not None:
                backend = HttpTool(settings.http, network)
            elif settings.execution and runs is not None:
                backend = ExecutionTool(runs, network, timeout_s=float(settings.timeout))
                schema = settings.input or execution_schema(runs)
            else:
                continue  # what is wrong with it is said when the configuration is read
            if (fault := schema_fault(schema)) is not None:
                raise Invalid(f"gateway.tools.{name}.input: {fault}")
            spec = ToolSpec(
                name=name,
                description=settings.description,
                schema={"type": "object", **schema},
                output=settings.output,
                scope=settings.scope,
                timeout_s=float(settings.timeout),
                kind="execution" if settings.execution else "http",
            )
            yield name, (spec, backend)


def _checked(spec: ToolSpec, arguments: str) -> str:
    """Arguments that are an object and match the tool's schema. Raises :class:`Refused`."""
    if len(arguments) > ARGUMENTS_BYTES or len(arguments.encode("utf-8", "surrogatepass")) > ARGUMENTS_BYTES:
        raise Refused("too_large", f"the arguments of {spec.name} have more than {ARGUMENTS_BYTES} bytes")
    text = arguments.strip() or "{}"  # a call without arguments; some models write nothing then
    try:
        _OBJECT.decode(text.encode())
    except RecursionError:
        raise Refused("invalid_request", f"the arguments of {spec.name} are nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Refused("invalid_request", f"the arguments of {spec.name} are not a JSON object: {error}") from None
    if wrong := _mismatch(spec, spec.schema, text):
        raise Refused("invalid_request", f"the arguments of {spec.name} do not match its schema: {wrong}")
    return text


def _mismatch(spec: ToolSpec, schema: Mapping[str, Any], text: str) -> str | None:
    try:
        return mismatch(schema, text, with_rule=True)
    except Exception as error:  # noqa: BLE001 - whatever the library finds in a schema that is none
        log.warning("a tool's schema cannot be used: %s", error, extra={"action": "tool", "tool": spec.name})
        raise Refused(
            "internal", f"the schema of {spec.name} cannot be used; the log of the gateway says why"
        ) from None
