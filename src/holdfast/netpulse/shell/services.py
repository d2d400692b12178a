"""The processes of NetPulse, each behind one function that imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import NetpulseSettings, StatusSettings
from holdfast.store import StoreSettings

if TYPE_CHECKING:
    from holdfast.netpulse.core.diff import Difference
    from holdfast.netpulse.core.expectations import Expectation
    from holdfast.netpulse.core.importing import Imported
    from holdfast.netpulse.shell.agent import Report
    from holdfast.netpulse.shell.certificates import Bundle, Issued
    from holdfast.netpulse.shell.probes import Finding
    from holdfast.netpulse.shell.replay import Replay

Ready = Callable[[Mapping[str, str]], None]
"""Called once, with addresses by what they are."""


async def serve_engine(
    settings: NetpulseSettings, store: StoreSettings, *, reload: Callable[[], NetpulseSettings], ready: Ready
) -> int:
    """Run the engine until SIGTERM; the exit code. SIGHUP takes up what ``reload`` gives, unless it raises."""
    from holdfast.netpulse.shell.serve import serve

    return await serve(settings, store, reload=reload, ready=ready)


async def serve_agent(settings: NetpulseSettings, *, region: str, name: str | None, ready: Ready) -> int:
    """Run an agent until SIGTERM; the exit code."""
    from holdfast.netpulse.shell.agent import serve_agent as serve
    from holdfast.netpulse.shell.probes import Leave, Prober

    agents = settings.agents
    prober = Prober(Leave(allow_private=agents.allow_private, allow_commands=agents.allow_commands))
    try:
        return await serve(settings, region=region, name=name, ready=ready, prober=prober)
    finally:
        await prober.close()


async def agent_round(
    settings: NetpulseSettings, *, region: str, name: str | None, deadline_s: float | None = None
) -> Report:
    """Run an agent for one round of a minute, and leave: for those who start it by a timer.

    ``deadline_s`` is the time that it may take; 45 s when left out. Raises
    :class:`~holdfast.netpulse.errors.NetpulseError` for an agent that cannot run, or an engine that does not answer
    in time.
    """
    from holdfast.netpulse.shell.agent.round import DEADLINE_S
    from holdfast.netpulse.shell.agent.round import agent_round as run
    from holdfast.netpulse.shell.probes import Leave, Prober

    agents = settings.agents
    prober = Prober(Leave(allow_private=agents.allow_private, allow_commands=agents.allow_commands))
    try:
        return await run(settings, region=region, name=name, prober=prober, deadline_s=deadline_s or DEADLINE_S)
    finally:
        await prober.close()


async def serve_status(settings: StatusSettings, *, subscribe_url: str, ready: Ready) -> int:
    """Serve the files of the status page until SIGTERM; the exit code."""
    from holdfast.netpulse.shell.status import serve_status as serve

    return await serve(Path(settings.directory), settings.listen, subscribe_url=subscribe_url, ready=ready)


async def check_url(url: str, *, timeout_s: float, allow_private: bool, verify: bool) -> Finding:
    """Probe once, as an agent would. Raises :class:`~holdfast.netpulse.errors.Invalid` for what is no URL."""
    from holdfast.netpulse.shell.check import check_once, spec_of
    from holdfast.netpulse.shell.probes import Leave

    spec = spec_of(url, timeout=Duration(timeout_s), allow_private=allow_private, verify=verify)
    return await check_once(spec, Leave(allow_private=allow_private, allow_commands=False))


def make_agent(directory: Path, region: str, name: str | None) -> Bundle:
    """Sign a certificate for an agent; what to copy to its machine."""
    from holdfast.netpulse.shell.certificates import make_agent as make

    return make(directory, region, name)


def revoke_agent(directory: Path, name: str) -> tuple[str, ...]:
    """Turn an agent away; the serials of its certificates."""
    from holdfast.netpulse.shell.certificates import revoke

    return revoke(directory, name)


def issued_certificates(directory: Path) -> list[Issued]:
    """Of agents."""
    from holdfast.netpulse.shell.certificates import issued

    return issued(directory)


def differences(old: NetpulseSettings, new: NetpulseSettings) -> list[Difference]:
    """What a change would do."""
    from holdfast.netpulse.core.diff import differences as found

    return found(old, new)


def expectations(settings: NetpulseSettings) -> list[Expectation]:
    """What an operator may expect of every monitor of a sound section, in its order."""
    from holdfast.netpulse.core.expectations import expectations as found

    return found(settings)


def import_from(origin: str, file: Path, *, targets: Path | None = None, keep_rules: bool = False) -> Imported:
    """Another monitor's configuration as a section of ours.

    ``origin`` is ``uptime-kuma``, ``gatus`` or ``blackbox``; the last needs ``targets``, a configuration of Prometheus.
    Raises :class:`~holdfast.netpulse.errors.Invalid` for what is none, or holds nothing that can be taken over.
    """
    from holdfast.netpulse.shell.importing import import_from as run

    return run(origin, file, targets=targets, keep_rules=keep_rules)


async def replay(settings: NetpulseSettings, history: StoreSettings, *, days: float) -> Replay:
    """The last days of a store through a configuration."""
    from holdfast.netpulse.shell.replay import replay as run

    return await run(settings, history, days=days)


async def serve_sink(host: str, port: int, secret: str, ready: Callable[[int], None]) -> None:
    """Show the webhook messages that arrive at a port, until cancelled."""
    from holdfast.netpulse.shell.notify.sink import serve_sink as serve

    await serve(host, port, secret, ready)
