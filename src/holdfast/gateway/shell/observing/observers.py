"""Everybody who wants to hear of requests: counters, the request log, the ring of recent ones, traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.gateway.core.deployments import deployments_of
from holdfast.gateway.errors import Invalid
from holdfast.gateway.shell.observing.counters import Counters
from holdfast.gateway.shell.observing.recent import Recent
from holdfast.gateway.shell.observing.requests import RequestLog
from holdfast.kernel.settings import Problem
from holdfast.telemetry import LineLog, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from holdfast.gateway.core.seen import Seen
    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.shell.observing.traces import Tracer


class Observers:
    """What :attr:`Gateway.observe` calls. Costs some 10 us for a request, traces apart."""

    def __init__(self, settings: Callable[[], GatewaySettings], *, rng: Random, log_path: str = "-") -> None:
        """``settings`` gives those in force. ``log_path``: a file for the request log, ``-`` for standard output.

        Raises:
            Invalid: ``traces`` is set and the extra ``otel`` is not installed.
            OSError: The log cannot be opened.
        """
        self._current = settings
        self._settings = now = settings()
        self.counters = Counters(_models(now), deployments_of(now))
        self.recent = Recent()
        self._tracer = self._traced(now, rng)
        self._log = RequestLog(LineLog(opened(log_path), name="request_log"), now.log, rng)

    def __call__(self, seen: Seen) -> None:
        """A request is over."""
        settings = self._current()
        if settings is not self._settings:
            self._take_up(settings)
        self.counters.request(seen)
        if seen.kind == "control":
            return
        self.recent.add(seen)
        self._log.request(seen)
        if self._tracer is not None:
            self._tracer.request(seen)

    @property
    def lines_dropped(self) -> int:
        """Lines of the request log that found no room."""
        return self._log.dropped

    @property
    def spans_dropped(self) -> int:
        """Requests whose spans found no room, or no receiver."""
        return 0 if self._tracer is None else self._tracer.dropped

    def close(self) -> None:
        """Write and send what waits. Called when no requests come any more."""
        self._log.close()
        if self._tracer is not None:
            self._tracer.close()

    def _take_up(self, settings: GatewaySettings) -> None:
        """Another configuration is in force. Where traces go stays as it was at the start."""
        self._settings = settings
        self.counters.know(_models(settings), deployments_of(settings))
        self._log.settings = settings.log

    def _traced(self, settings: GatewaySettings, rng: Random) -> Tracer | None:
        if settings.traces is None:
            return None
        try:
            from holdfast.gateway.shell.observing.traces import Tracer
        except ImportError as error:
            text = f"gateway.traces needs OpenTelemetry: pip install 'holdfast[otel]' ({error})"
            raise Invalid(
                text,
                [
                    Problem(
                        path=("traces",), value=settings.traces.endpoint, message=text, remedy="install it, or remove"
                    )
                ],
            ) from None
        return Tracer(settings.traces, lambda: self._settings.providers, rng)


def _models(settings: GatewaySettings) -> set[str]:
    """Names that are labels: of the file, and those that providers list."""
    listed = {f"{name}/{model}" for name, each in settings.providers.items() for model in each.models or ()}
    return {*settings.models, *listed}
