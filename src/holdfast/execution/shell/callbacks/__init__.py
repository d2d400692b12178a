"""Callbacks: the result of a job, signed, to where its owner wants it."""

from holdfast.execution.shell.callbacks.dispatcher import Callbacks
from holdfast.execution.shell.callbacks.outbox import DueCallback, Outbox
from holdfast.execution.shell.callbacks.sender import Sender, resolve

__all__ = ["Callbacks", "DueCallback", "Outbox", "Sender", "resolve"]
