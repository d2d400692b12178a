"""The public status page: files, served by a process of its own, so that it stands when the engine does not."""

from holdfast.netpulse.shell.status.messenger import ChannelMessenger
from holdfast.netpulse.shell.status.publisher import StatusPublisher
from holdfast.netpulse.shell.status.render import render
from holdfast.netpulse.shell.status.server import serve_status
from holdfast.netpulse.shell.status.subscribe import subscribe_router
from holdfast.netpulse.shell.status.subscribers import Messenger, Subscribers
from holdfast.netpulse.shell.status.updates import StatusUpdates
from holdfast.netpulse.shell.status.writing import Desk, writing_router

__all__ = [
    "ChannelMessenger",
    "Desk",
    "Messenger",
    "StatusPublisher",
    "StatusUpdates",
    "Subscribers",
    "render",
    "serve_status",
    "subscribe_router",
    "writing_router",
]
