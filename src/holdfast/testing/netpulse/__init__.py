"""NetPulse without a network: an engine and its records in memory, with a world that was written down.

``python -m holdfast.testing.netpulse PORT`` serves its API, for pages and clients to be built against.
"""

from holdfast.testing.netpulse.engine import ScriptedNetpulse
from holdfast.testing.netpulse.records import ScriptedRecords
from holdfast.testing.netpulse.scene import Scene, scene

__all__ = ["Scene", "ScriptedNetpulse", "ScriptedRecords", "scene"]
