"""NetPulse: many regions watch, one page goes out."""

from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.shell.services import (
    agent_round,
    check_url,
    differences,
    expectations,
    import_from,
    issued_certificates,
    make_agent,
    replay,
    revoke_agent,
    serve_agent,
    serve_engine,
    serve_sink,
    serve_status,
)

__all__ = [
    "NetpulseSettings",
    "agent_round",
    "check_url",
    "differences",
    "expectations",
    "import_from",
    "issued_certificates",
    "make_agent",
    "replay",
    "revoke_agent",
    "serve_agent",
    "serve_engine",
    "serve_sink",
    "serve_status",
]
