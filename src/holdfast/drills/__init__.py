"""Failure drills: real processes, injected faults, open-loop load, recorded evidence."""

from holdfast.drills.catalog import DrillInfo, compare, list_drills, run_drill
from holdfast.drills.errors import DrillError, ProcessFailedError, ToolMissingError, UnknownDrillError
from holdfast.drills.page import render_page
from holdfast.drills.report import format_value, render, render_comparison

__all__ = [
    "DrillError",
    "DrillInfo",
    "ProcessFailedError",
    "ToolMissingError",
    "UnknownDrillError",
    "compare",
    "format_value",
    "list_drills",
    "render",
    "render_comparison",
    "render_page",
    "run_drill",
]
