"""Telling people: owed notices go out to their channels."""

from holdfast.netpulse.shell.notify.dispatcher import Health, Links, Notifier, Outbox

__all__ = ["Health", "Links", "Notifier", "Outbox"]
