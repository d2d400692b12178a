"""From a configuration to running services: what ``holdfast run`` and ``holdfast up`` do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from holdfast.app.child import Service, Sink
from holdfast.app.config import load
from holdfast.app.readiness import announce, supervised
from holdfast.app.settings import Config
from holdfast.app.supervisor import Addresses, Supervisor, to_stderr
from holdfast.balancer.core.settings import BalancerSettings
from holdfast.kernel import HoldfastError


def command(*arguments: str) -> tuple[str, ...]:
    """The command line of ``holdfast`` with these arguments, under the interpreter that runs now.

    ``-P`` keeps the working directory out of the module path, which a bare ``-m`` puts first.
    """
    return (sys.executable, "-P", "-m", "holdfast", *arguments)


def services(config: Config, file: str | Path, environ: Mapping[str, str]) -> list[Service]:
    """What has to run for a configuration, each as a process of its own; ``environ`` is added to theirs."""
    found: list[Service] = []
    if config.balancer is not None:
        found.append(
            Service(
                name="balancer",
                about="load balancer",
                argv=command("run", "balancer", "-c", str(file)),
                drain_s=config.balancer.drain_timeout,
                environ=environ,
            )
        )
    return found


def run_balancer(file: str | Path) -> int:
    """Run the balancer of a file in this process until it is told to stop.

    Under the supervisor the ports are not tried again: after a crash the old workers may still
    hold them while they finish their requests. Raises :class:`~.diagnostics.ConfigError`
    before anything is opened; on a reload the same error leaves the old configuration in force.
    """
    settings = _balancer_section(file, ports=not supervised())
    from holdfast.balancer import serve

    def reload() -> BalancerSettings:
        return _balancer_section(file, ports=False)

    return run(serve(settings, reload=reload, ready=announce))


def _balancer_section(file: str | Path, *, ports: bool) -> BalancerSettings:
    settings = load(file, ports=ports).config.balancer
    if settings is None:
        raise HoldfastError(f"{file}: balancer: missing section; add it, or run another service")
    return settings


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a service on uvloop, or on the standard loop where that is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def up(
    file: str | Path,
    *,
    environ: Mapping[str, str],
    sink: Sink = to_stderr,
    on_up: Callable[[Sequence[Service], Addresses], None] | None = None,
) -> None:
    """Run everything in the file until told to stop. Raises what :func:`load` and the supervisor raise."""
    config = load(file).config
    wanted = services(config, file, environ)
    announced = None if on_up is None else partial(on_up, wanted)
    asyncio.run(Supervisor(wanted, config.supervisor, rng=Random(), sink=sink, on_up=announced).run())
