"""What the makers of resources share: one stack under construction, and the network that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.deploy.core.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where tasks and databases are put. Values are ids or references (troposphere ``Ref``)."""

    vpc: Any
    public_subnets: tuple[Any, ...]
    private_subnets: tuple[Any, ...]
    ready: tuple[str, ...] = ()
    """Logical ids of the ways in and out: what needs them has to wait, as nothing that it refers to says so."""
    tasks_public: bool
    """Tasks have public addresses (no NAT); their security groups still let nobody in but the load balancer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One CloudFormation stack: a template for one region."""

    name: str
    """``holdfast``, ``holdfast-agents-eu-west-1``."""
    region: str
    summary: str
    template: Any
    """:class:`troposphere.Template`; resources are added to it in place."""
    plan: Plan
    shared: dict[str, Any] = field(default_factory=dict)
    """What one maker leaves for another, by name: ``database.secret``, ``alarms.topic``, ``cluster``."""

    def parameters(self) -> Mapping[str, Any]:
        """Parameters of the template by name."""
        found: Mapping[str, Any] = self.template.parameters
        return found
