"""What the endpoints share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol, TypeAlias

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from holdfast.identity import Principal, Scope
from holdfast.netpulse.core.incident import Notice, Span
from holdfast.netpulse.core.ports import Bucket, Netpulse
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.shell.api.bodies import encode
from holdfast.netpulse.shell.api.exports import Export, Exports
from holdfast.netpulse.shell.api.links import Links
from holdfast.netpulse.shell.api.metrics import Metrics
from holdfast.netpulse.shell.api.overview import Overview
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.web import trail
from holdfast.web.rates import Buckets
from holdfast.web.watching import Held

PUBLIC: Final = "public"
"""The id of the key of visitors without one, where ``demo_readonly`` lets them in."""
REQUESTS_PER_S: Final = 50.0
"""Of one tenant, in this process; a page of the console asks for five things."""
REQUESTS_BURST: Final = 200.0
OPEN_PER_S: Final = 100.0
"""Of one address, where no key is asked for: heartbeats and links. Behind a proxy all have its address."""
OPEN_BURST: Final = 400.0
BEATS_PER_S: Final = 1.0
"""Heartbeats of one token; more than that is a loop gone wild."""
BEATS_BURST: Final = 10.0
TESTS_PER_S: Final = 0.1
"""Tests of channels: each is a message to somebody."""
TESTS_BURST: Final = 5.0


class Identities(trail.Trail, Protocol):
    """What is needed of the identity room."""

    async def authenticate(self, text: str, *, now: float) -> Principal | None:
        """Whom a key speaks for. Raises ``StoreUnavailable``."""
        ...


class History(Protocol):
    """What is needed of :class:`~holdfast.netpulse.core.ports.Records`, which says what each is."""

    async def checks(  # noqa: D102
        self, monitor: str, *, since: float, until: float, limit: int, before: str | None = None
    ) -> tuple[Sequence[Observation], str | None]: ...

    async def series(self, monitor: str, *, since: float, until: float, step_s: float) -> Sequence[Bucket]: ...  # noqa: D102

    async def counts(self, monitors: Sequence[str], *, since: float, until: float) -> Mapping[str, tuple[int, int]]: ...  # noqa: D102

    async def spans(self, monitors: Sequence[str], *, since: float, until: float) -> Sequence[Span]: ...  # noqa: D102

    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]: ...  # noqa: D102

    async def document(self, kind: str, key: str) -> bytes | None: ...  # noqa: D102

    async def figures(self) -> Mapping[str, float]: ...  # noqa: D102


class Service:
    """The engine, its records, and what the API keeps beside them."""

    def __init__(
        self,
        netpulse: Netpulse,
        records: History,
        *,
        identities: Identities,
        links: Links,
        export: Export | None = None,
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        """``clock`` gives seconds since the epoch."""
        loop = asyncio.get_running_loop()
        self.netpulse = netpulse
        self.records = records
        self.identities = identities
        self.links = links
        self.clock = clock
        self.monotonic = loop.time
        self.metrics = Metrics()
        self.overview = Overview(netpulse, monotonic=loop.time)
        self.exports = Exports(export, monotonic=loop.time)
        self.held = Held()
        self.metrics.follow_held(lambda: self.held.total)
        self.requests = Rate(loop.time, rng, REQUESTS_PER_S, REQUESTS_BURST)
        self.strangers = Rate(loop.time, rng, OPEN_PER_S, OPEN_BURST)
        self.beats = Rate(loop.time, rng, BEATS_PER_S, BEATS_BURST)
        self.tests = Rate(loop.time, rng, TESTS_PER_S, TESTS_BURST)
        self.stopping: asyncio.Future[None] = loop.create_future()
        """Done when the process is about to end: whatever is held open ends now."""

    @property
    def settings(self) -> NetpulseSettings:
        """In force; a reload changes them."""
        return self.netpulse.settings

    def stop(self) -> None:
        """End what is held open."""
        if not self.stopping.done():
            self.stopping.set_result(None)

    async def authenticated(self, key: str | None, *, reading: bool) -> Principal:
        """Who asks. Raises :class:`ProblemError` and ``StoreUnavailable``.

        Where ``demo_readonly`` is set, somebody without a key may read what the settings' tenant has.
        """
        if key is None:
            if reading and self.settings.demo_readonly:
                return Principal(tenant=self.settings.tenant, key_id=PUBLIC, scopes=frozenset({Scope.NETPULSE_READ}))
            raise ProblemError("unauthenticated", "no API key was sent; use 'Authorization: Bearer KEY' or 'X-API-Key'")
        principal = await self.identities.authenticate(key, now=self.clock())
        if principal is None:
            raise ProblemError("unauthenticated", "this API key is not valid (any more); make one, or check for typos")
        return principal

    async def note(
        self, principal: Principal, action: str, target: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write down what was done."""
        await trail.write_down(self.identities, principal, action, target, detail, now=self.clock())


class Rate:
    """How often each name may do something, as a problem."""

    def __init__(self, monotonic: Callable[[], float], rng: Random, per_s: float, burst: float) -> None:
        self._monotonic = monotonic
        self._rng = rng
        self._per_s = per_s
        self._buckets = Buckets(per_s, burst)

    def count(self, name: str) -> None:
        """Count one. Raises :class:`ProblemError` when there are too many."""
        wait_s = self._buckets.take(name, self._monotonic())
        if wait_s:
            detail = f"more than {self._per_s:g} requests of this kind per second; slow down"
            # Whoever waits comes back at different times.
            raise ProblemError("request-rate", detail, retry_after_s=wait_s * (1 + self._rng.random() / 2))


def require(principal: Principal, scope: Scope) -> None:
    """Raise :class:`ProblemError` unless the key carries the scope."""
    if scope not in principal.scopes:
        raise ProblemError("forbidden", f"this key lacks the scope {scope.value!r}; use one that has it")


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """A body of JSON."""
    return encoded(encode(value), status=status, headers=headers)


def encoded(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """A body that is JSON already."""
    return Response(body, status_code=status, headers=dict(headers or {}), media_type="application/json")


Svc: TypeAlias = NamedDependency[SkipValidation[Service]]
Asking: TypeAlias = Request[Principal, Any, Any]
