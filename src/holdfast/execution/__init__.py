"""Queue-first execution of untrusted programs: accept, queue fairly, run in sandboxes.

What runs is imported when it is run: reading a configuration takes the settings only.
"""

from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.core.validate import validate
from holdfast.execution.shell.services import examine_languages, examine_sandbox, serve_api, serve_worker

__all__ = ["ExecutionSettings", "examine_languages", "examine_sandbox", "serve_api", "serve_worker", "validate"]
