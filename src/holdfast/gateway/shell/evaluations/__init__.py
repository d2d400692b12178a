"""Evaluation sets, run against models through a gateway."""

from holdfast.gateway.shell.evaluations.running import Graded, Report, read_set, run

__all__ = ["Graded", "Report", "read_set", "run"]
