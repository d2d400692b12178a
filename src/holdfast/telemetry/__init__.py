"""What the platform says about itself: logs."""

from holdfast.telemetry.lines import LineLog, opened
from holdfast.telemetry.logs import MASK, HumanFormatter, JsonFormatter, configure, is_secret_name, redact

__all__ = ["MASK", "HumanFormatter", "JsonFormatter", "LineLog", "configure", "is_secret_name", "opened", "redact"]
