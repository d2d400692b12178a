"""Other monitors' configurations as sections of ours: text in, a sound section and remarks out. Pure.

:mod:`.source` reads a file of strangers into values that know their places, one module for each program says what its
settings mean here, and :mod:`.draft` makes the section: ids, secrets, and the judgement by the configuration's rules.
"""

from holdfast.netpulse.core.importing.blackbox import read_blackbox
from holdfast.netpulse.core.importing.gatus import read_gatus
from holdfast.netpulse.core.importing.remarks import Imported, Reference, Remark
from holdfast.netpulse.core.importing.source import MAX_BYTES
from holdfast.netpulse.core.importing.uptime_kuma import read_uptime_kuma

__all__ = ["MAX_BYTES", "Imported", "Reference", "Remark", "read_blackbox", "read_gatus", "read_uptime_kuma"]
