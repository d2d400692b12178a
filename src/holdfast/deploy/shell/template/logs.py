"""Log groups: always with an end to what is kept.

A group that a service makes by itself is kept for ever, and paid for as long; so every group here is made by the
template, before what writes to it, and roles may write to it but not make one.
"""

from __future__ import annotations

from typing import Any, Final

from troposphere import logs

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Stack

# fmt: off
RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)
# fmt: on
"""What ``PutRetentionPolicy`` of CloudWatch Logs takes. Zero, for ever, is not among them on purpose."""


def retention(days: int) -> int:
    """The same number, if CloudWatch knows it. Raises :class:`Invalid` with the next one up."""
    if days in RETENTION_DAYS:
        return days
    nearest = next((known for known in RETENTION_DAYS if known >= days), RETENTION_DAYS[-1])
    raise Invalid(f"deploy.template.log_days: CloudWatch cannot keep logs for {days} days; write {nearest}")


def log_group(stack: Stack, name: str, *, key: Any | None = None) -> Any:
    """A log group for one writer; it gets its physical name from CloudFormation.

    A fixed name would stop the second deployment after a deletion, because a group that is protected is still there.
    ``key`` is the ARN of a KMS key whose policy lets CloudWatch Logs use it; without one AWS's own key is used.
    """
    settings = stack.plan.settings.template
    policy = "Retain" if settings.protect else "Delete"
    optional = {} if key is None else {"KmsKeyId": key}
    return stack.template.add_resource(
        logs.LogGroup(
            logical_id(name, "logs"),
            RetentionInDays=retention(settings.log_days),
            DeletionPolicy=policy,
            UpdateReplacePolicy=policy,
            **optional,
        )
    )
