"""The command line: parse, call, print."""

from holdfast.cli.main import main

__all__ = ["main"]
