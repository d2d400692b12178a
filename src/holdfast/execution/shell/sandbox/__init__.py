"""Sandboxes: bubblewrap, a system call filter, control groups, one user id per slot, warm interpreters."""

from holdfast.execution.shell.sandbox.errors import SandboxError, SandboxUnavailable, SlotBroken
from holdfast.execution.shell.sandbox.pool import Pool, open_sandboxes
from holdfast.execution.shell.sandbox.tier import Examination, Part, Tier, examine

__all__ = [
    "Examination",
    "Part",
    "Pool",
    "SandboxError",
    "SandboxUnavailable",
    "SlotBroken",
    "Tier",
    "examine",
    "open_sandboxes",
]
