"""The record of a drill: write, load, verify, recompute."""

from holdfast.evidence.origin import project_root

__all__ = ["project_root"]
