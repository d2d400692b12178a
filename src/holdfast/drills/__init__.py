"""Failure drills: real processes, injected faults, open-loop load, recorded evidence."""

from holdfast.drills.catalog import DrillInfo, compare, list_drills, run_drill
from holdfast.drills.errors import DrillError, ProcessFailedError, ToolMissingError, UnknownDrillError
from holdfast.drills.report import render, render_comparison

__all__ = [
    "DrillError",
    "DrillInfo",
    "ProcessFailedError",
    "ToolMissingError",
    "UnknownDrillError",
    "compare",
    "list_drills",
    "render",
    "render_comparison",
    "run_drill",
]
