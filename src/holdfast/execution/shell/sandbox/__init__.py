"""Sandboxes: bubblewrap, a system call filter, control groups, one user id per slot, warm interpreters.

What a program cannot do, each shown by a test: see or change files, processes, sockets, keys or secrets of the
machine, the worker or another job; reach a network, not even loopback; gain a capability; outlive its job; use more
than its limits; forge its result; have the worker open a path that the program made.

What holds only as far as the kernel does: everything here is one Linux kernel, so a hole in what is left of its
interface is a way out. The filter makes that interface smaller, not safe. Who expects targeted attacks runs workers
on machines of their own, or in virtual machines.

What is not protected: time. Jobs share caches and cores, so one can measure that others work, and slow them down by
memory bandwidth. Jobs that use the warm interpreter of the same slot know its address layout and its hash seed.
Two jobs that want to talk to each other can, through locks on the read-only files that both see.

What the kernel charges to nobody: record locks (fcntl) take 192 bytes each outside of every memory limit. A program
makes some 200,000 in a second of CPU time, so its CPU limit is what bounds them: 0.4 GB with the default of 10 s, 12 GB
with the ceiling of 300 s. Where strangers may ask for that much, lower ``ceilings.cpu``.
"""

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
