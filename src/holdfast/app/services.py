"""From a configuration to running services: what ``holdfast run`` and ``holdfast up`` do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from holdfast.app.agent_bundle import BUNDLE, ENGINE, unpacked
from holdfast.app.child import Service, Sink
from holdfast.app.config import load
from holdfast.app.readiness import announce, supervised
from holdfast.app.settings import Config
from holdfast.app.supervisor import Addresses, Supervisor, to_stderr
from holdfast.balancer.core.settings import BalancerSettings
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.identity import new_key
from holdfast.kernel import Duration, HoldfastError
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.store import StoreSettings

WORKER_KEY: Final = "HOLDFAST_WORKER_KEY"
"""Environment variable; the key that workers show to the execution API. Never passed on to what they run."""

CONSOLE_DRAIN_S: Final = 5.0
"""It cuts its event streams after a second; browsers come back for them."""

S = TypeVar("S")


class InputError(HoldfastError):
    """What was asked for does not fit the file."""

    exit_code = 2


def command(*arguments: str) -> tuple[str, ...]:
    """The command line of ``holdfast`` with these arguments, under the interpreter that runs now.

    ``-P`` keeps the working directory out of the module path, which a bare ``-m`` puts first.
    """
    return (sys.executable, "-P", "-m", "holdfast", *arguments)


def services(config: Config, file: str | Path, environ: Mapping[str, str]) -> list[Service]:
    """What has to run for a configuration, each as a process of its own; ``environ`` is added to theirs.

    Without a worker key in the file one is made here, for this run: the API is told to accept it,
    and the workers to use it, through their environment.
    """
    found: list[Service] = []
    config_file = ("-c", str(file))
    if config.balancer is not None:
        found.append(
            Service(
                name="balancer",
                about="load balancer",
                argv=command("run", "balancer", *config_file),
                drain_s=config.balancer.drain_timeout,
                environ=environ,
            )
        )
    if config.gateway is not None:
        found.append(
            Service(
                name="gateway",
                about="one endpoint for AI models",
                argv=command("run", "gateway", *config_file),
                drain_s=config.gateway.drain_timeout,
                environ=environ,
            )
        )
    if config.execution is not None:
        worker = config.execution.worker
        if worker.count and worker.api_key is None:
            environ = {**environ, WORKER_KEY: new_key()}
        found.append(
            Service(
                name="execution-api",
                about="accepts code, queues it, gives it out",
                argv=command("run", "execution-api", *config_file),
                drain_s=config.execution.drain_timeout,
                environ=environ,
            )
        )
        found += [
            Service(
                name=f"execution-worker {number}" if worker.count > 1 else "execution-worker",
                about="runs code in sandboxes",
                argv=command("run", "execution-worker", *config_file),
                drain_s=worker.drain_timeout,
                environ=environ,
            )
            for number in range(1, worker.count + 1)
        ]
    if config.netpulse is not None:
        found += _netpulse(config.netpulse, config_file, environ)
    if config.console is not None:
        found.append(
            Service(
                name="console",
                about="web pages",
                argv=command("run", "console", *config_file),
                drain_s=CONSOLE_DRAIN_S,
                environ=environ,
            )
        )
    if config.blog is not None:
        found.append(
            Service(
                name="blog",
                about="engineering posts and their evidence",
                argv=command("run", "blog", *config_file),
                drain_s=CONSOLE_DRAIN_S,
                environ=environ,
            )
        )
    return found


def _netpulse(settings: NetpulseSettings, config_file: tuple[str, str], environ: Mapping[str, str]) -> list[Service]:
    found = [
        Service(
            name="netpulse",
            about="decides what is down, and who is told",
            argv=command("run", "netpulse", *config_file),
            drain_s=settings.drain_timeout,
            environ=environ,
        )
    ]
    found += [
        Service(
            name=f"agent {region}",
            about=f"watches from {region}",
            argv=command("run", "agent", "--region", region, *config_file),
            drain_s=settings.agents.drain_timeout,
            environ=environ,
        )
        for region, place in settings.regions.items()
        if place.embedded
    ]
    if settings.status is not None:
        found.append(
            Service(
                name="status",
                about="public status page",
                argv=command("run", "status", *config_file),
                drain_s=CONSOLE_DRAIN_S,
                environ=environ,
            )
        )
    return found


def run_gateway(file: str | Path) -> int:
    """Run the AI gateway of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    config = load(file, service="gateway", ports=not supervised()).config
    settings = _section(file, "gateway", config.gateway)
    from holdfast.gateway import serve

    def reload() -> GatewaySettings:
        return _section(file, "gateway", load(file, service="gateway", ports=False).config.gateway)

    return run(serve(settings, config.store or StoreSettings(), reload=reload, ready=announce))


def run_mock_provider(
    *, listen: str, tokens_per_s: float, first_token_s: float, faults: Sequence[str], keys: Sequence[str], seed: int
) -> int:
    """Run a scripted AI provider until it is told to stop. Raises ``BadOrder`` for a fault that is none."""
    from holdfast.gateway import MockSettings, serve_mock

    settings = MockSettings(
        listen=listen,
        tokens_per_s=tokens_per_s,
        first_token=Duration(first_token_s),
        keys=tuple(keys),
        seed=seed,
        faults=tuple(faults),
    )
    return run(serve_mock(settings, ready=announce))


def run_netpulse(file: str | Path) -> int:
    """Run the engine of NetPulse of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    config = load(file, service="netpulse", ports=not supervised()).config
    settings = _section(file, "netpulse", config.netpulse)
    from holdfast.netpulse import serve_engine

    def reload() -> NetpulseSettings:
        return _section(file, "netpulse", load(file, service="netpulse", ports=False).config.netpulse)

    return run(serve_engine(settings, config.store or StoreSettings(), reload=reload, ready=announce))


def run_agent(file: str | Path, region: str, name: str | None, *, once: bool = False) -> int:
    """Run an agent for a region in this process until it is told to stop. Raises as :func:`run_balancer`.

    Its bundle may come in the environment (``HOLDFAST_AGENT_BUNDLE``) instead of files. ``once`` runs one round, for a
    timer that starts it every minute; then it raises :class:`~holdfast.netpulse.errors.NetpulseError` when the engine
    could not be asked, or has not taken everything in time.
    """
    settings = agent_settings(file, region)
    from holdfast.netpulse import agent_round, serve_agent

    if bundle := os.environ.pop(BUNDLE, ""):
        settings = unpacked(settings, bundle, engine=os.environ.get(ENGINE, ""))

    if not once:
        return run(serve_agent(settings, region=region, name=name, ready=announce))

    async def one() -> int:
        await agent_round(settings, region=region, name=name)
        return 0

    return run(one())


def agent_settings(file: str | Path, region: str) -> NetpulseSettings:
    """The settings of an agent of this region. Raises :class:`InputError` for a region that the file does not have."""
    settings = _section(file, "netpulse", load(file, service="agent", ports=False).config.netpulse)
    if region not in settings.regions:
        known = ", ".join(settings.regions) or "none"
        raise InputError(f"{file}: netpulse.regions: no region {region!r} (known: {known}); add it, or choose another")
    return settings


def run_status(file: str | Path) -> int:
    """Serve the status page of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    settings = _section(file, "netpulse", load(file, service="status", ports=False).config.netpulse)
    status = _section(file, "netpulse.status", settings.status)
    from holdfast.netpulse import serve_status

    return run(serve_status(status, subscribe_url=settings.public_url, ready=announce))


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


def run_execution_api(file: str | Path) -> int:
    """Run the execution API of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    config = load(file, service="execution-api", ports=not supervised()).config
    settings = _section(file, "execution", config.execution)
    from holdfast.execution import serve_api

    key = os.environ.pop(WORKER_KEY, None) or settings.worker.api_key
    return run(serve_api(settings, config.store or StoreSettings(), worker_key=key, ready=announce))


def run_execution_worker(file: str | Path) -> int:
    """Run one execution worker of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    settings = _section(file, "execution", load(file, service="execution-worker", ports=False).config.execution)
    from holdfast.execution import serve_worker

    return run(serve_worker(settings, ready=announce))


def run_console(file: str | Path) -> int:
    """Run the console of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    settings = _section(file, "console", load(file, service="console", ports=not supervised()).config.console)
    from holdfast.console import serve

    return run(serve(settings, ready=announce))


def run_blog(file: str | Path) -> int:
    """Run the blog of a file in this process until it is told to stop. Raises as :func:`run_balancer`."""
    settings = _section(file, "blog", load(file, service="blog", ports=not supervised()).config.blog)
    from holdfast.blog.shell.service import serve

    return run(serve(settings, ready=announce))


def run_demo_pager(port: int) -> int:
    """Show the pages that arrive at a port of this machine until told to stop."""
    from holdfast.netpulse import serve_sink

    async def main() -> int:
        secret = os.environ.pop("HOLDFAST_DEMO_WEBHOOK", "")
        serving = asyncio.ensure_future(
            serve_sink("127.0.0.1", port, secret, lambda bound: announce({"": f"http://127.0.0.1:{bound}"}))
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a reload: there is nothing to read
        await asyncio.wait((serving,))
        if not serving.cancelled():
            serving.result()
        return 0

    return run(main())


def _section(file: str | Path, name: str, found: S | None) -> S:
    if found is None:
        raise HoldfastError(f"{file}: {name}: missing section; add it, or run another service")
    return found


def _balancer_section(file: str | Path, *, ports: bool) -> BalancerSettings:
    return _section(file, "balancer", load(file, service="balancer", ports=ports).config.balancer)


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
