"""Holdfast: a resilience platform that a small engineering team can run."""

__version__ = "0.1.0"
