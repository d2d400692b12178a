"""What is known of requests that are over: counted, logged, traced, and kept for questions."""

from holdfast.gateway.shell.observing.observers import Observers

__all__ = ["Observers"]
