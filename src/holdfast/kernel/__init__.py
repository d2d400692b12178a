"""What everything else may rely on: time and chance as values, units, the base error."""

from holdfast.kernel.clock import Clock, IdSource
from holdfast.kernel.errors import HoldfastError
from holdfast.kernel.units import Duration, Size

__all__ = ["Clock", "Duration", "HoldfastError", "IdSource", "Size"]
