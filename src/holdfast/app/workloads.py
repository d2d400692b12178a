"""The workloads of a configuration file: those of our own services, and what its ``deploy`` section says of them.

A service's needs follow from its settings: the gateway's longest stream is its request timeout, a worker needs what its
sandbox needs. What settings do not tell (traffic, appetite, the account) is the ``deploy`` section's to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from collections.abc import Mapping as Environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from holdfast.app import demo
from holdfast.app.config import Loaded, judged, load, read_tree
from holdfast.app.decode import Report, decode
from holdfast.app.diagnostics import ConfigError, Diagnostic, is_secret
from holdfast.app.document import Mapping, Node, Scalar, Sequence
from holdfast.app.settings import Config
from holdfast.balancer.core.settings import BalancerSettings
from holdfast.deploy.core.cutover.settings import CutoverRequest, problems
from holdfast.deploy.core.validate import validate
from holdfast.deploy.core.workload import DeploySettings, HealthNeeds, Need, ScaleNeeds, Traffic, Workload
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.settings import NetpulseSettings

_MIB: Final = 2**20
_REFERENCE: Final = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
_DEFAULTS: Final = Workload()
AGENT_ROUND: Final = Duration(60.0)
"""An agent that sleeps between its rounds is woken this often."""


def load_workloads(file: str | Path, *, environ: Environ[str, str] | None = None) -> DeploySettings:
    """Read a ``holdfast.yaml`` or a ``workloads.yaml``: everything that is to be placed.

    Nothing of this machine is looked at: the file is for others, and its secrets need not be here. Raises
    :class:`~.diagnostics.ConfigError` with every problem.
    """
    environ = os.environ if environ is None else environ
    document = read_tree(str(file), environ, elsewhere=lambda _: True)
    if not isinstance(document.root, Mapping) or not _is_workloads(document.root):
        return _merged(load(file, environ=environ, here=False))
    report = Report(broken=set(document.broken))
    settings = decode(DeploySettings, document.root, report)
    judged(str(file), document, document.root, report, validate(settings))
    return settings


def load_cutover(file: str | Path, *, environ: Environ[str, str] | None = None) -> CutoverRequest:
    """Read a ``cutover.yaml``. Raises :class:`~.diagnostics.ConfigError` with every problem."""
    document = read_tree(str(file), os.environ if environ is None else environ)
    if not isinstance(document.root, Mapping):
        remedy = "start with `name:`; docs/deploy-cutover.md has an example"
        wrong = Diagnostic(message="not a section of KEY: VALUE lines", remedy=remedy)
        raise ConfigError(str(file), [*document.problems, wrong])
    report = Report(broken=set(document.broken))
    request = decode(CutoverRequest, document.root, report)
    judged(str(file), document, document.root, report, problems(request))
    return request


def demo_workloads() -> DeploySettings:
    """Those of the demo of ``holdfast up``: what is planned when no file is named."""
    text = demo.configuration(
        demo.Ports.from_base(8080), (9001, 9002, 9003), (9004, 9005), directory="/var/lib/holdfast", workers=1
    )
    with TemporaryDirectory(prefix="holdfast-") as directory:
        file = Path(directory) / "holdfast.yaml"
        file.write_text(text, encoding="utf-8")
        return load_workloads(file, environ={})


def _is_workloads(root: Mapping) -> bool:
    """Whether a file is about workloads only, and not a ``holdfast.yaml``."""
    return "workloads" in root.entries and not set(Config.__struct_fields__) & set(root.entries)


def _merged(loaded: Loaded) -> DeploySettings:
    """Our own services with what the section says of them; then its other workloads."""
    settings = loaded.config.deploy or DeploySettings()
    own = {}
    for name, one in _own(loaded.config):
        used = _variables(loaded.root, name)
        own[name] = msgspec.structs.replace(one, secrets=used[0], variables=used[1])
    for name, stated in settings.workloads.items():
        own[name] = _over(own[name], stated) if name in own else stated
    return msgspec.structs.replace(settings, workloads=own)


def _over(base: Workload, stated: Workload) -> Workload:
    """``base`` with whatever ``stated`` says; what it does not write is what a workload has by default."""
    said = {
        name: value
        for name in Workload.__struct_fields__
        if (value := getattr(stated, name)) != getattr(_DEFAULTS, name)
    }
    return msgspec.structs.replace(base, **said)


def _own(config: Config) -> Iterator[tuple[str, Workload]]:
    """Our services, as their settings have them."""
    if config.balancer is not None:
        yield "balancer", _balancer(config.balancer)
    if config.gateway is not None:
        yield "gateway", _gateway(config.gateway)
    if config.execution is not None:
        yield from _execution(config.execution, behind=config.balancer is not None)
    if config.netpulse is not None:
        yield from _netpulse(config.netpulse)
    if config.console is not None:
        yield (
            "console",
            Workload(
                summary="the web pages",
                service="console",
                protocols=("http/1.1", "sse"),
                ingress="private" if config.balancer is not None else "public",
                longest=Duration(3600.0),
                silence=Duration(15.0),
                drain=Duration(10.0),
                health=HealthNeeds(path="/readyz"),
                scale=ScaleNeeds(min=1, max=2),
                needs=("private-egress", "service-discovery", "background-work"),
                port=_port(config.console.listen),
            ),
        )


def _balancer(balancer: BalancerSettings) -> Workload:
    needs: tuple[Need, ...] = (
        *("ingress-control", "rollout-control", "client-address", "private-egress", "service-discovery"),
        *("background-work", "exec"),
    )
    if balancer.certificates:
        needs = (*needs, "tls-passthrough")
    return Workload(
        summary="the front door",
        service="balancer",
        protocols=("http/1.1", "websocket", "sse"),
        ingress="public",
        longest=balancer.timeouts.tunnel,
        silence=balancer.timeouts.tunnel,
        health=HealthNeeds(path="/readyz", checks=("http", "port", "thresholds")),
        scale=ScaleNeeds(signal="cpu", min=2, max=6),
        start=Duration(120.0),
        cpu=1.0,
        memory=Size(1024 * _MIB),
        needs=needs,
        rollout="rolling",
        traffic=Traffic(rate=50.0, busy=0.3, cpu=Duration(0.000030), duration=Duration(0.1)),
        port=_port(balancer.listen[0]) if balancer.listen else None,
    )


def _gateway(gateway: GatewaySettings) -> Workload:
    return Workload(
        summary="the AI gateway: streams of tokens",
        service="gateway",
        protocols=("http/1.1", "sse"),
        ingress="public",
        longest=gateway.timeouts.request,
        silence=gateway.timeouts.keep_alive,
        request_size=gateway.max_body,
        response_size=gateway.max_answer,
        health=HealthNeeds(path="/readyz"),
        scale=ScaleNeeds(min=1, max=4),
        start=Duration(180.0),
        cpu=0.5,
        memory=Size(1024 * _MIB),
        needs=("private-egress", "background-work"),  # it settles and reconciles after the answers
        state="scratch",
        traffic=Traffic(rate=2.0, busy=0.3, cpu=Duration(0.0036), duration=Duration(8.0)),
        port=_port(gateway.listen),
    )


def _execution(execution: ExecutionSettings, *, behind: bool) -> Iterator[tuple[str, Workload]]:
    """``behind``: a balancer is in front of it."""
    yield (
        "execution-api",
        Workload(
            summary="takes jobs and keeps the queue",
            service="execution-api",
            protocols=("http/1.1", "sse"),
            ingress="private" if behind else "public",
            longest=Duration(3600.0),
            silence=Duration(15.0),
            drain=execution.drain_timeout,
            health=HealthNeeds(path="/readyz"),
            scale=ScaleNeeds(min=1, max=3),
            needs=("private-egress", "service-discovery", "background-work"),
            cpu=0.5,
            memory=Size(1024 * _MIB),
            traffic=Traffic(rate=2.0, busy=0.2, cpu=Duration(0.0015)),
            port=_port(execution.listen),
        ),
    )
    scaling = execution.scaling
    yield (
        "execution-worker",
        Workload(
            summary="runs strangers' code in sandboxes",
            service="execution-worker",
            longest=execution.ceilings.wall,
            drain=execution.worker.drain_timeout,
            scale=ScaleNeeds(
                signal="queue",
                min=scaling.min_workers,
                max=scaling.max_workers,
                to_zero=scaling.min_workers == 0,
                interruptible=True,  # a job whose worker vanishes is given to another
            ),
            needs=("user-namespaces", "private-egress", "background-work"),
            rollout="rolling",  # somebody keeps the wanted number of them running, and replaces them one by one
            cpu=1.0,
            memory=Size(2048 * _MIB),
            state="scratch",
            scratch=Size(10 * 1024 * _MIB),
            traffic=Traffic(
                unit="job",
                rate=2.0,
                busy=0.2,
                cpu=Duration(0.2),
                memory=execution.limits.memory,
                duration=Duration(0.5),
            ),
        ),
    )


def _netpulse(netpulse: NetpulseSettings) -> Iterator[tuple[str, Workload]]:
    yield (
        "netpulse",
        Workload(
            summary="decides about incidents; agents report to it",
            service="netpulse",
            protocols=("http/1.1", "sse"),
            ingress="public",
            longest=Duration(3600.0),
            silence=Duration(15.0),
            drain=netpulse.drain_timeout,
            health=HealthNeeds(path="/readyz"),
            scale=ScaleNeeds(min=1, max=1),
            needs=("private-egress", "background-work", "tls-passthrough"),  # agents show their own certificates
            cpu=0.5,
            memory=Size(1024 * _MIB),
            traffic=Traffic(rate=1.0, cpu=Duration(0.002)),
            port=_port(netpulse.listen),
        ),
    )
    if netpulse.regions:
        regions = tuple(name for name in netpulse.regions if re.fullmatch(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", name))
        yield (
            "agents",
            Workload(
                summary="probes from several regions; asleep between rounds",
                service="agent",
                longest=AGENT_ROUND,
                scale=ScaleNeeds(signal="schedule", min=0, max=1, to_zero=True, interruptible=True),
                schedule=AGENT_ROUND,
                cpu=0.25,
                memory=Size(512 * _MIB),
                state="scratch",
                regions=regions,
                traffic=Traffic(unit="job", rate=1 / 60, cpu=Duration(0.5), duration=Duration(5.0)),
            ),
        )


def _port(listen: str) -> int:
    return int(listen.rpartition(":")[2])


_SECTIONS: Final = {"execution-api": "execution", "execution-worker": "execution", "agents": "netpulse"}


def _variables(root: Mapping, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the environment variables that a service's sections take: secret ones, and plain ones."""
    secrets, plain = set[str](), set[str]()
    for section in (_SECTIONS.get(name, name), "store"):
        for path, node in _scalars(root.entries.get(section), (section,)):
            names = _REFERENCE.findall(node.source)
            (secrets if node.secret or is_secret(path) or path == ("store", "url") else plain).update(names)
    return tuple(sorted(secrets)), tuple(sorted(plain - secrets))


def _scalars(node: Node | None, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Scalar]]:
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _scalars(item, (*path, index))
    elif isinstance(node, Mapping):
        for key, item in node.entries.items():
            yield from _scalars(item, (*path, key))
