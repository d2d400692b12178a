"""Load ``holdfast.yaml``: all of it is judged before a socket opens.

The steps are text (:mod:`.document`), types (:mod:`.decode`), meaning (a pure ``validate`` per
section) and machine (:mod:`.preflight`). Each goes on after a problem as far as it can, so one
run shows everything that is wrong; a judgement that rests on a broken setting is held back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from collections.abc import Mapping as Environ
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Final

import msgspec

from holdfast.app import preflight
from holdfast.app.decode import Report, decode, display
from holdfast.app.diagnostics import ConfigError, Diagnostic, Path, is_secret, shown
from holdfast.app.document import Document, Elsewhere, Mapping, Node, Scalar, Sequence, nowhere, parse
from holdfast.app.settings import Config, SupervisorSettings
from holdfast.balancer.core import validate as balancer
from holdfast.blog.core import settings as blog
from holdfast.console import settings as console
from holdfast.deploy.core import validate as deploy
from holdfast.execution.core import validate as execution
from holdfast.gateway.core import validate as gateway
from holdfast.kernel import Duration
from holdfast.kernel.settings import Problem
from holdfast.store import StoreSettings
from holdfast.store import validate as validate_store
from holdfast.telemetry.logs import MASK

MAX_FILE_BYTES: Final = 2**20
SERVICES: Final = ("balancer", "gateway", "execution", "netpulse", "console", "blog")
"""Sections that each start something."""
STORED: Final = ("gateway", "execution", "netpulse")
"""Those of them that keep records."""

_HOUR: Final = Duration(3600.0)
_WEEK: Final = Duration(7 * 86400.0)
SUPERVISOR_RANGES: Final[dict[str, tuple[float, float]]] = {
    "restarts": (0, 1000),
    "window": (Duration(1.0), _WEEK),
    "backoff_min": (Duration(0.01), _HOUR),
    "backoff_max": (Duration(0.01), _HOUR),
    "start_timeout": (Duration(1.0), _HOUR),
    "grace": (Duration(0.0), _HOUR),
}
"""Lowest and highest value, both allowed."""

_WHOLE_REFERENCE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


READ_BY: Final[dict[str, tuple[Path, ...]]] = {
    "balancer": (("balancer",),),
    "gateway": (("gateway",), ("store",)),
    "execution-api": (("execution",), ("store",)),
    "execution-worker": (("execution",),),
    "netpulse": (("netpulse",), ("store",)),
    "agent": (("netpulse",),),
    "status": (("netpulse",),),
    "console": (("console",),),
    "blog": (("blog",),),
}
"""What a service takes from a file; ``supervisor`` is for ``holdfast up``, which reads all of it."""
NOT_READ_BY: Final[dict[str, tuple[Path, ...]]] = {
    "agent": (("netpulse", "channels"), ("netpulse", "monitors")),
    "status": (("netpulse", "channels"), ("netpulse", "monitors")),
}
"""Of these parts it needs nothing: an agent is told by the engine what to probe, a status page what to show."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sound configuration and where it came from."""

    file: str
    config: Config
    references: dict[Path, str]
    """Secrets that the file takes from the environment, as it writes them (``${NAME}``)."""
    root: Mapping
    """The file as a tree."""


def load(
    file: str | FilePath,
    *,
    environ: Environ[str, str] | None = None,
    ports: bool = True,
    here: bool = True,
    service: str | None = None,
) -> Loaded:
    """Read and judge a file.

    ``environ`` is what ``${NAME}`` sees, by default the process environment. ``ports`` also
    tries every listen address; switch it off for a file whose service is already running,
    as on a reload. Without ``here`` the file is for other machines: neither ports nor files
    are looked at, and variables need not be set. With a ``service`` the file is for that one alone: variables of what
    others read (:data:`READ_BY`) need not be set, so that no process has to hold another's secrets.
    Raises :class:`~.diagnostics.ConfigError` with every problem.
    """
    name = str(file)
    elsewhere = (lambda _: True) if not here else nowhere if service is None else partial(_of_others, service)
    document = read_tree(name, os.environ if environ is None else environ, elsewhere=elsewhere)
    ports = ports and here
    if not isinstance(document.root, Mapping):
        raise ConfigError(name, [*document.problems, *_not_a_section(document)])
    report = Report(broken=set(document.broken))
    config = decode(Config, document.root, report)
    problems = [*document.problems, *report.problems]
    if not any(getattr(config, name) or (name,) in report.broken for name in SERVICES):
        message, remedy = "no service is configured", "add a `balancer:` section; docs/configuration.md has an example"
        line = document.root.lines.get("balancer", document.root.line)
        problems.append(Diagnostic(line=line, path=("balancer",), message=message, remedy=remedy))
    problems += _masks(document.root.entries.get("gateway"), ("gateway",))
    config = _with_store(config)
    found = [
        *_supervisor(config.supervisor),
        *_balancer(config, ports=ports, here=here),
        *_stored(config, ports=ports, here=here),
        *_deploy(config),
    ]
    problems += [_located(problem, document.root) for problem in found if not _rests_on(problem, report.broken)]
    if problems:
        raise ConfigError(name, problems)
    return Loaded(name, config, dict(_references(document.root, ())), document.root)


def _of_others(service: str, path: Path) -> bool:
    return not any(path[: len(read)] == read for read in READ_BY[service]) or path[:2] in NOT_READ_BY.get(service, ())


def read_tree(name: str, environ: Environ[str, str], *, elsewhere: Elsewhere = nowhere) -> Document:
    """A file as a tree. Raises :class:`~.diagnostics.ConfigError` when it cannot be read."""
    return parse(_read(name), environ, elsewhere=elsewhere)


def judged(name: str, document: Document, root: Node, report: Report, found: Items[Problem]) -> None:
    """Raise :class:`~.diagnostics.ConfigError` if anything was wrong with a tree or what was made of it."""
    located = [_located(problem, root) for problem in found if not _rests_on(problem, report.broken)]
    if problems := [*document.problems, *report.problems, *located]:
        raise ConfigError(name, problems)


def _read(name: str) -> str:
    try:
        with FilePath(name).open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        remedy = "check the path and its permissions"
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(name, [Diagnostic(message=f"cannot be read: {reason}", remedy=remedy)]) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(name, [Diagnostic(message="larger than 1 MiB", remedy="this is hardly a configuration file")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Diagnostic(line=line, message=f"not UTF-8 at byte {error.start}", remedy="save the file as UTF-8")
        raise ConfigError(name, [problem]) from error


def _not_a_section(document: Document) -> list[Diagnostic]:
    if document.root is None:
        return []
    remedy = "start with `balancer:`; docs/configuration.md has an example"
    return [Diagnostic(line=document.root.line, message="not a section of KEY: VALUE lines", remedy=remedy)]


def _deploy(config: Config) -> list[Problem]:
    if config.deploy is None:
        return []
    return [_below("deploy", problem) for problem in deploy.validate(config.deploy)]


def _balancer(config: Config, *, ports: bool, here: bool) -> list[Problem]:
    if config.balancer is None:
        return []
    found = [*balancer.validate(config.balancer), *(preflight.files(config.balancer) if here else ())]
    if ports:
        disputed = {problem.path for problem in found}
        found += [problem for problem in preflight.ports(config.balancer) if problem.path not in disputed]
    return [_below("balancer", problem) for problem in found]


def _with_store(config: Config) -> Config:
    """The store's defaults stand when a service needs one and the file says nothing of it."""
    if config.store is None and any(getattr(config, name) for name in STORED):
        return msgspec.structs.replace(config, store=StoreSettings())
    return config


def _stored(config: Config, *, ports: bool, here: bool) -> Iterator[Problem]:
    """The services that keep records, their store and their listeners."""
    if config.store is not None:
        found = list(validate_store(config.store))
        yield from (_below("store", problem) for problem in found or (preflight.store(config.store) if here else ()))
    if config.gateway is not None:
        yield from (_below("gateway", problem) for problem in gateway.validate(config.gateway))
    if config.execution is not None:
        yield from (_below("execution", problem) for problem in execution.validate(config.execution))
    if config.netpulse is not None:
        from holdfast.netpulse.core import validate as netpulse  # its rules are 5 MB, and every service reads the file

        yield from (_below("netpulse", problem) for problem in netpulse.validate(config.netpulse))
    if config.console is not None:
        yield from (_below("console", problem) for problem in console.validate(config.console))
    if config.blog is not None:
        yield from (_below("blog", problem) for problem in blog.validate(config.blog))
    for section in ("gateway", "execution", "netpulse", "console", "blog") if ports else ():
        settings = getattr(config, section)
        if settings is not None:
            yield from (_below(section, problem) for problem in preflight.listener(("listen",), settings.listen))
    if ports and config.netpulse is not None:
        listeners: dict[Path, str] = {("agents", "listen"): config.netpulse.agents.listen}
        if config.netpulse.status is not None:
            listeners["status", "listen"] = config.netpulse.status.listen
        for path, listen in listeners.items():
            yield from (_below("netpulse", problem) for problem in preflight.listener(path, listen))


def _below(section: str, problem: Problem) -> Problem:
    return Problem(
        path=(section, *problem.path),
        value=problem.value,
        message=problem.message,
        remedy=problem.remedy,
        related=tuple((section, *path) for path in problem.related),
    )


def _supervisor(settings: SupervisorSettings) -> list[Problem]:
    problems = [
        Problem(
            path=("supervisor", name),
            value=getattr(settings, name),
            message="out of range",
            remedy=f"write a value from {low} to {high}",
        )
        for name, (low, high) in SUPERVISOR_RANGES.items()
        if not low <= getattr(settings, name) <= high
    ]
    if settings.backoff_max < settings.backoff_min:
        problems.append(
            Problem(
                path=("supervisor", "backoff_max"),
                value=settings.backoff_max,
                message=f"shorter than backoff_min ({settings.backoff_min})",
                remedy="raise backoff_max or lower backoff_min",
                related=(("supervisor", "backoff_min"),),
            )
        )
    return problems


def _rests_on(problem: Problem, broken: set[Path]) -> bool:
    """Whether a judgement was made on a stand-in: at or below it, or resting on one."""
    return any(path[: len(spoiled)] == spoiled for path in (problem.path, *problem.related) for spoiled in broken)


def _located(problem: Problem, root: Node) -> Diagnostic:
    node, line, complete = _find(root, problem.path)
    value: str | None = None
    if complete and isinstance(node, Scalar):
        value = display(node, problem.path)
    elif problem.value is not None:
        value = shown(problem.value, problem.path, secret=_any_secret(node) if complete else False)
    return Diagnostic(line=line, path=problem.path, value=value, message=problem.message, remedy=problem.remedy)


def _find(node: Node, path: Path) -> tuple[Node, int, bool]:
    """The deepest node on the way to ``path``, its line, and whether that is the whole way."""
    line = node.line
    for part in path:
        if isinstance(part, str) and isinstance(node, Mapping) and part in node.entries:
            line, node = node.lines[part], node.entries[part]
            line = node.line if isinstance(node, Scalar) else line
        elif isinstance(part, int) and isinstance(node, Sequence) and part < len(node.items):
            node = node.items[part]
            line = node.line
        else:
            return node, line, False
    return node, line, True


def _any_secret(node: Node) -> bool:
    if isinstance(node, Scalar):
        return node.secret
    children = node.items if isinstance(node, Sequence) else tuple(node.entries.values())
    return any(_any_secret(child) for child in children)


def _masks(node: Node | None, path: Path) -> Iterator[Diagnostic]:
    """Secrets that say ``***``: the file is what ``check`` printed, and a provider would be asked with that."""
    if isinstance(node, Scalar):
        if node.text == MASK and is_secret(path):
            remedy = "take it from the environment: ${NAME}"
            message = "the mask that `holdfast check` prints, not a secret"
            yield Diagnostic(line=node.line, path=path, message=message, remedy=remedy)
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _masks(item, (*path, index))
    elif node is not None:
        for key, value in node.entries.items():
            yield from _masks(value, (*path, key))


def _references(node: Node, path: Path) -> Items[tuple[Path, str]]:
    if isinstance(node, Scalar):
        return [(path, node.source)] if is_secret(path) and _WHOLE_REFERENCE.fullmatch(node.source) else []
    pairs: list[tuple[str | int, Node]] = (
        list(enumerate(node.items)) if isinstance(node, Sequence) else list(node.entries.items())
    )
    return [found for part, child in pairs for found in _references(child, (*path, part))]
