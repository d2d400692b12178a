"""What this machine can do for code execution: sandboxes, languages, the store. Found out by trying."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.app.doctor import Finding
from holdfast.app.settings import Config
from holdfast.execution import examine_languages, examine_sandbox
from holdfast.store import StoreError, StoreSettings, open_database, redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.execution.shell.languages import Runtime
    from holdfast.execution.shell.sandbox.tier import Examination


async def examine_execution(config: Config | None = None) -> list[Finding]:
    """Build a sandbox, look for languages, and open the store that a configuration names."""
    settings = config.execution if config is not None else None
    if config is not None and settings is None:
        return []
    worker = None if settings is None else settings.worker
    findings = [*_sandbox(await examine_sandbox(worker), wanted="full" if worker is None else worker.tier)]
    findings += _languages(await examine_languages(worker))
    if config is not None and config.store is not None:
        findings.append(await _store(config.store))
    return findings


def _sandbox(found: Examination, *, wanted: str) -> Iterator[Finding]:
    enough = found.tier in {"full", wanted}
    yield Finding(
        name="sandbox",
        level="ok" if enough else "warn",
        detail=f"tier {found.tier}" + ("" if enough else ": workers do not start here"),
        remedy="" if enough else "mend what is said below",
    )
    for part in found.missing:
        yield Finding(name=part.name, level="warn", detail=part.detail, remedy=part.remedy)


def _languages(runtimes: Sequence[Runtime]) -> Iterator[Finding]:
    offered = [f"{runtime.name} {runtime.version}" for runtime in runtimes if runtime.available]
    yield Finding(
        name="languages",
        level="ok" if offered else "warn",
        detail=", ".join(offered) or "none that a sandbox could run",
        remedy="" if offered else "apt-get install python3",
    )
    for runtime in runtimes:
        if not runtime.available:
            detail = runtime.missing_reason or "not installed"
            yield Finding(name=runtime.name, level="ok", detail=f"not offered: {detail}", remedy=runtime.remedy or "")


async def _store(settings: StoreSettings) -> Finding:
    try:
        async with await open_database(settings):
            return Finding(name="store", level="ok", detail=f"{redacted(settings.url)} opens")
    except StoreError as error:
        return Finding(name="store", level="fail", detail=str(error))
