"""The public status page: rendered to files, served by a process of its own, so that it stands when the engine does not."""

from holdfast.netpulse.shell.status.publisher import StatusPublisher
from holdfast.netpulse.shell.status.render import render
from holdfast.netpulse.shell.status.server import serve_status

__all__ = ["StatusPublisher", "render", "serve_status"]
