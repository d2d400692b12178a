"""What an agent needs of others."""

from __future__ import annotations

from typing import Protocol

from holdfast.netpulse.core.protocol import Ask, Batch, Orders, Receipt
from holdfast.netpulse.core.result import Failure, Outcome, Phases
from holdfast.netpulse.core.settings import MonitorSettings


class Finding(Protocol):
    """What a probe found; the fields are those of :class:`~holdfast.netpulse.core.result.Result`."""

    @property
    def outcome(self) -> Outcome: ...

    @property
    def failure(self) -> Failure: ...

    @property
    def total_ms(self) -> float: ...

    @property
    def phases(self) -> Phases: ...

    @property
    def status(self) -> int: ...

    @property
    def detail(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def cert_days(self) -> float | None: ...


class Prober(Protocol):
    """Probes targets. An answer comes within the timeout of the monitor; a failure is a finding, not an exception."""

    async def probe(self, spec: MonitorSettings) -> Finding: ...


class Doubter(Protocol):
    """Says whether failures can be believed: :class:`~.canaries.Canaries`."""

    async def doubt(self, began: float, *, known: bool) -> str:
        """Why a probe that began then (steady seconds) and has just failed says nothing; empty: it does.

        ``known``: its target was down before.
        """
        ...


class Engine(Protocol):
    """The other side of :mod:`holdfast.netpulse.core.protocol`: :class:`~.link.Link`.

    Both raise :class:`~.errors.Unanswered` and :class:`~.errors.Rejected`.
    """

    async def orders(self, ask: Ask, *, wait_s: float) -> Orders: ...

    async def results(self, batch: Batch) -> Receipt: ...
