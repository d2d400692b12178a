"""NetPulse: many regions watch, one page goes out."""

from holdfast.netpulse.core.settings import NetpulseSettings

__all__ = ["NetpulseSettings"]
