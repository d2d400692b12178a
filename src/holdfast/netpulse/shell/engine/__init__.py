"""The running engine: results in, decisions stored and acted on."""

from holdfast.netpulse.shell.engine.runtime import Runtime

__all__ = ["Runtime"]
