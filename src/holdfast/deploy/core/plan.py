"""The plan for a whole file: which workload goes where, as the templates and the cut-over take it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.deploy.core.answer import Answer
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.workload import DeploySettings, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One workload, placed."""

    name: str
    workload: Workload
    candidate: Candidate
    regions: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything in the file."""

    settings: DeploySettings
    placements: tuple[Placement, ...]
    unplaced: tuple[Answer, ...]
    """Workloads that nothing fits; each answer names the closest and what would have to give."""
