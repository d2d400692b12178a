"""Sessions and runs: plan, execute, verify, within bounds, and never silently lost."""

from holdfast.gateway.shell.sessions.api import session_router
from holdfast.gateway.shell.sessions.offering import Offering
from holdfast.gateway.shell.sessions.service import Sessions

__all__ = ["Offering", "Sessions", "session_router"]
