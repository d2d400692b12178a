"""A worker: asks the API for jobs, runs each in a sandbox, and reports until it has a receipt."""

from holdfast.execution.shell.worker.errors import WorkerError
from holdfast.execution.shell.worker.serve import OpenSandboxes, serve

__all__ = ["OpenSandboxes", "WorkerError", "serve"]
