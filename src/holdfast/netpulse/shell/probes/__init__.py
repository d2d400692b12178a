"""Probes: one look at one target, and what it found."""

from holdfast.netpulse.shell.probes.finding import Finding, Leave
from holdfast.netpulse.shell.probes.prober import Prober

__all__ = ["Finding", "Leave", "Prober"]
