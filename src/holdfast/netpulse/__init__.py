"""NetPulse: many regions watch, one page goes out."""

from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.validate import validate
from holdfast.netpulse.shell.services import serve_agent, serve_engine, serve_sink, serve_status

__all__ = ["NetpulseSettings", "serve_agent", "serve_engine", "serve_sink", "serve_status", "validate"]
