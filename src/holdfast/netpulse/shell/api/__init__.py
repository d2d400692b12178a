"""NetPulse by HTTP: what people and pages ask of the engine."""

from holdfast.netpulse.shell.api.links import Links, open_links
from holdfast.netpulse.shell.api.serve import Server, serve_api

__all__ = ["Links", "Server", "open_links", "serve_api"]
