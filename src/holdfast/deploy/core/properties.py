"""The properties that facts are about: one meaning, one kind, one unit each.

The file of facts is held to this table, the rules of :mod:`.constraints` read it by these names, and the documentation
of how to add a fact lists it. A property belongs to a *compute* platform or to an *ingress* (a load balancer, or what a
managed platform puts in front); platforms with an ingress of their own have both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PROTOCOLS: Final = ("http/1.1", "http/2", "websocket", "sse", "grpc", "tcp", "udp")
SIGNALS: Final = ("cpu", "memory", "requests", "concurrency", "queue", "schedule")
ROLLOUTS: Final = ("rolling", "canary", "linear", "blue-green")
HEALTH: Final = ("http", "tcp", "grpc", "command", "port", "thresholds", "matcher")
"""``port``: another port than the traffic's; ``thresholds``: intervals and counts can be set; ``matcher``: the
statuses that count as healthy can be set."""
ARCHITECTURES: Final = ("x86_64", "arm64")
PACKAGES: Final = ("container", "zip", "files")
"""What is deployed: an image, an archive of code for a runtime, or static files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """What one fact may say."""

    kind: Literal["flag", "quantity", "choice", "set"]
    about: Literal["compute", "ingress"]
    text: str
    unit: str = ""
    words: tuple[str, ...] = ()
    """Allowed values of a choice or set; empty: any."""


def _flag(about: Literal["compute", "ingress"], text: str) -> Property:
    return Property(kind="flag", about=about, text=text)


def _quantity(about: Literal["compute", "ingress"], unit: str, text: str) -> Property:
    return Property(kind="quantity", about=about, unit=unit, text=text)


def _set(about: Literal["compute", "ingress"], words: tuple[str, ...], text: str) -> Property:
    return Property(kind="set", about=about, words=words, text=text)


PROPERTIES: Final[dict[str, Property]] = {
    # ---- what an ingress carries
    "protocols": _set("ingress", PROTOCOLS, "Protocols that reach the workload from a client."),
    "request_longest": _quantity("ingress", "s", "Longest request or stream, from its first byte to its last."),
    "idle_longest": _quantity("ingress", "s", "Longest silence on a connection that can be configured."),
    "request_largest": _quantity("ingress", "B", "Largest request body."),
    "response_largest": _quantity("ingress", "B", "Largest response body."),
    "drain_longest": _quantity("ingress", "s", "Longest time that open requests may go on after a task is taken out."),
    "drain_configurable": _flag("ingress", "Whether that time is the team's to set."),
    "health_checks": _set("ingress", HEALTH, "How the ingress may ask whether a task is well."),
    "ingress_public": _flag("ingress", "Reachable from the internet."),
    "ingress_private": _flag("ingress", "Reachable from a private network only, if wished."),
    "static_address": _flag("ingress", "Fixed IP addresses."),
    "client_address": _flag("ingress", "The workload can learn its client's address."),
    "tls_passthrough": _flag("ingress", "TLS can end at the workload itself."),
    "custom_domain": _flag("ingress", "Under the team's own name, with a certificate."),
    "ingress_configurable": _flag("ingress", "Listener rules, timeouts and target attributes are the team's to set."),
    "weighted_targets": _flag("ingress", "Traffic can be split by weight between two versions."),
    # ---- what a platform runs
    "open_to_new_customers": _flag("compute", "Accounts that never used it may begin."),
    "packages": _set("compute", PACKAGES, "What can be deployed."),
    "runtimes": _set("compute", (), "Runtimes of archives (``nodejs24.x``); nothing for images."),
    "architectures": _set("compute", ARCHITECTURES, "Processor architectures."),
    "cpu_least": _quantity("compute", "vCPU", "Smallest task."),
    "cpu_most": _quantity("compute", "vCPU", "Largest task."),
    "memory_least": _quantity("compute", "B", "Smallest memory of a task."),
    "memory_most": _quantity("compute", "B", "Largest memory of a task."),
    "ephemeral_most": _quantity("compute", "B", "Largest scratch disk of a task."),
    "persistent_disk": _flag("compute", "A disk or file system that outlives the task can be attached."),
    "instances_most": _quantity("compute", "tasks", "Most tasks of one service."),
    "run_longest": _quantity("compute", "s", "Longest a task may run without a pause."),
    "keeps_tasks": _flag("compute", "Starts tasks as they are needed and replaces those that end; nobody has to call."),
    "background_work": _flag("compute", "Work goes on while no request is open."),
    "scale_signals": _set("compute", SIGNALS, "What it can be scaled by."),
    "scale_to_zero": _flag("compute", "Costs nothing for compute while there is no work."),
    "wakes_on_request": _flag("compute", "A request that finds nothing running waits until it runs."),
    "starts_on_schedule": _flag("compute", "A timer can start it."),
    "start_typical": _quantity("compute", "s", "From the wish for one more task to its first answer, typically."),
    "privileged": _flag("compute", "Privileged containers."),
    "capabilities": _set("compute", (), "Linux capabilities that can be added; ``ALL`` for all."),
    "user_namespaces": _flag("compute", "A process may make user namespaces, as sandboxes do."),
    "gpu": _flag("compute", "Graphics processors."),
    "sidecars": _flag("compute", "Several containers in a task."),
    "exec": _flag("compute", "A shell in a running task."),
    "service_discovery": _flag("compute", "Other services find its tasks by name."),
    "private_egress": _flag("compute", "Can reach a private network."),
    "stop_longest": _quantity("compute", "s", "Longest time between SIGTERM and SIGKILL."),
    "interruptible": _flag("compute", "The provider may take it away at any time."),
    "interruption_notice": _quantity("compute", "s", "Warning before it does."),
    "rollouts": _set("compute", ROLLOUTS, "Ways to bring out a version."),
    "rollout_configurable": _flag("compute", "Shares, bake times and thresholds are the team's to set."),
    "rolls_back": _flag("compute", "A bad version is taken back without a person."),
    "isolation": Property(
        kind="choice",
        about="compute",
        words=("vm", "microvm", "instance", "none"),
        text="What stands between two tasks.",
    ),
    "cloudformation": Property(kind="choice", about="compute", text="Resource type that makes it."),
    "regions": _set("compute", (), "Regions where it is offered."),
    "operations": _quantity("compute", "points", "Work that it leaves to the team: 0 none, 10 a cluster of one's own."),
    "quota": _quantity("compute", "", "Default account limit that is met first; the note says of what."),
}
