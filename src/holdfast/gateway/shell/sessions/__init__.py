"""Sessions and runs: plan, execute, verify, within bounds, and never silently lost."""

from holdfast.gateway.shell.sessions.api import session_router
from holdfast.gateway.shell.sessions.service import Sessions

__all__ = ["Sessions", "session_router"]
