"""NetPulse: many regions watch, one page goes out."""

from holdfast.netpulse.core.expectations import Expectation, expectations
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.validate import validate
from holdfast.netpulse.shell.services import (
    check_url,
    differences,
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
    "Expectation",
    "NetpulseSettings",
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
    "validate",
]
