"""The queue of jobs: durable, fair, on SQLite or PostgreSQL."""

from holdfast.execution.shell.queue.outbox import Callback, CallbackOutbox, DeadCallback
from holdfast.execution.shell.queue.queue import JobQueue

__all__ = ["Callback", "CallbackOutbox", "DeadCallback", "JobQueue"]
