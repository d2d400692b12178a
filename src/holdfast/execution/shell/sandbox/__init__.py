"""Sandboxes: bubblewrap, a system call filter, control groups, one user id per slot, warm interpreters."""

from holdfast.execution.shell.sandbox.errors import SandboxError, SandboxUnavailable, SlotBroken
from holdfast.execution.shell.sandbox.pool import Pool, open_sandboxes

__all__ = ["Pool", "SandboxError", "SandboxUnavailable", "SlotBroken", "open_sandboxes"]
