"""Briefs whose every statement is cited: their evidence, and the endpoint."""

from holdfast.gateway.shell.briefs.api import brief_router
from holdfast.gateway.shell.briefs.service import Briefs

__all__ = ["Briefs", "brief_router"]
