"""Callbacks: the result of a job, signed, to where its owner wants it."""

from holdfast.execution.shell.callbacks.dispatcher import Callbacks
from holdfast.execution.shell.callbacks.running import calling_back
from holdfast.execution.shell.callbacks.sender import Sender

__all__ = ["Callbacks", "Sender", "calling_back"]
