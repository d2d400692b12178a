"""Whether the agent can see: things that it reaches unless it is cut off itself.

A look asks all canaries at once and ends with the first answer; only when none came is the agent blind. There is a
look every :data:`EVERY_S`, and one after a target failed, before that is reported: a probe that failed while the agent
was blind says nothing about its target.

Looks after failures are shared, and begin at most every :data:`GAP_S`: a provider that fails with a thousand targets
must not turn its canaries into the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from holdfast.netpulse.core.protocol import Sight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.netpulse.core.settings import CanarySettings
    from holdfast.netpulse.shell.agent.clock import Clock

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
TIMEOUT_S: Final = 2.0
RESOLVE_S: Final = 1.0
"""Then the addresses are taken that the name had last."""
GAP_S: Final = 0.1
FRESH_S: Final = 1.0
"""For a target that was down before, a look that began so shortly ago will do."""
MARGIN_S: Final = EVERY_S
"""Failures of so long before blindness was noticed are in doubt, too."""


class Canaries:
    """Looks, and remembers. With no canaries the agent believes itself."""

    def __init__(self, canaries: Sequence[CanarySettings], clock: Clock, *, changed: Callable[[bool], None]) -> None:
        """``changed`` is called with whether the agent is blind, each time that this has changed."""
        self._canaries = tuple(canaries)
        self._clock = clock
        self._changed = changed
        self._names = _Names()
        self._blind = False
        self._since = clock.steady()
        self._reason = ""
        self._blind_at = float("-inf")
        self._began = float("-inf")
        self._next: asyncio.Task[None] | None = None
        self._now: asyncio.Task[None] | None = None

    @property
    def sight(self) -> Sight:
        """What the last look said."""
        return Sight(blind=self._blind, since=self._clock.at(self._since), reason=self._reason)

    def replace(self, canaries: Sequence[CanarySettings]) -> None:
        """Look at these from now on."""
        if tuple(canaries) != self._canaries:
            self._canaries = tuple(canaries)
            if not canaries:
                self._saw("")

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the looks that are under way."""
        tasks = [task for task in (self._now, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def doubt(self, began: float, *, known: bool) -> str:
        """Why a probe that began then (steady seconds) and has just failed says nothing; empty: it does.

        ``known``: its target was down before, so that a look of a moment ago will do.
        """
        if not self._canaries:
            return ""
        if self._blind or not known or self._clock.steady() - self._began > FRESH_S:
            await self._look()
        return self._reason or "the agent was blind" if self._blind or self._blind_at >= began else ""

    async def _look(self) -> None:
        """One look that begins after this call, or with it."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._now), name="canaries: look")
        await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        await asyncio.sleep(max(0.0, self._began + GAP_S - self._clock.steady()))
        self._now, self._next = self._next, None
        self._began = self._clock.steady()
        if canaries := self._canaries:
            self._saw(await self._ask_all(canaries))

    def _saw(self, reason: str) -> None:
        blind = bool(reason)
        self._reason = reason
        if blind:
            self._blind_at = self._clock.steady()
        if blind != self._blind:
            self._blind, self._since = blind, self._clock.steady()
            if blind:
                log.warning("no canary answers", extra={"action": "agent_blind", "reason": reason})
            else:
                log.info("canaries answer again", extra={"action": "agent_sees"})
            self._changed(blind)

    async def _ask_all(self, canaries: Sequence[CanarySettings]) -> str:
        """Why none answered; empty as soon as one did."""
        asked = {asyncio.create_task(self._ask(canary), name="canary") for canary in canaries}
        said: list[str] = []
        waiting = asked
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while waiting:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        if not (reason := task.result()):
                            return ""
                        said.append(reason)
        except TimeoutError:
            said.append(f"{len(waiting)} did not answer within {TIMEOUT_S:g} s")
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return "; ".join(sorted(said))[:200]

    async def _ask(self, canary: CanarySettings) -> str:
        target = canary.tcp or canary.http
        try:
            if canary.tcp:
                host, _, port = canary.tcp.rpartition(":")
                await _connect(await self._names.addresses(host.strip("[]"), int(port)), int(port))
            else:
                await self._get(canary.http)
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
            return f"{target}: {type(error).__name__}: {error}"
        return ""

    async def _get(self, url: str) -> None:
        # A connection of its own each time: a kept one may go on where a new one would not come through.
        connector = aiohttp.TCPConnector(resolver=self._names, force_close=True, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session,
            session.get(url, allow_redirects=False),
        ):
            pass


async def _connect(addresses: Sequence[str], port: int) -> None:
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            failure = error
            continue
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return
    raise failure


class _Names(AbstractResolver):
    """Addresses of canaries, from the system's resolver, or as they were when it last answered.

    A thread of its own for each lookup that hangs, at most one per name, and none that a process would wait for when
    it ends: the loop's own pool is too small for a resolver that does not answer.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], list[str]] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """Raises ``OSError``."""
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        key = (host, port)
        if (asked := self._asked.get(key)) is None:
            asked = self._asked[key] = asyncio.get_running_loop().create_future()
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
            threading.Thread(target=_look_up, args=(asked, host, port), daemon=True, name="canary name").start()
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await asyncio.shield(asked)
        except (OSError, TimeoutError):
            if (last := self._last.get(key)) is None:
                raise
            return last
        self._last[key] = found
        return found

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """For aiohttp."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.addresses(host, port)
        ]

    async def close(self) -> None:
        """Lookups that hang are left to their threads."""


def _look_up(asked: asyncio.Future[list[str]], host: str, port: int) -> None:
    found: Any
    try:
        found = list(dict.fromkeys(each[4][0] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    except OSError as error:
        found = error

    def tell() -> None:
        if not asked.done():
            if isinstance(found, OSError):
                asked.set_exception(found)
                asked.exception()  # somebody may have stopped waiting
            else:
                asked.set_result(found)

    with contextlib.suppress(RuntimeError):  # the loop is closed
        asked.get_loop().call_soon_threadsafe(tell)
