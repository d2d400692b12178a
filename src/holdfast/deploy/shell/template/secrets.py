"""Secrets: made by Secrets Manager, or the operator's own; never a value in a template or a parameter.

What can be made up (a password, an administrator's key) is generated inside AWS and seen by nobody. What only the
operator has (a provider's API key) is put into Secrets Manager *before* the deployment, and the template takes its ARN.
An empty secret that waits to be filled was rejected: ECS fails a task whose secret has no value, the circuit breaker
then undoes the deployment, and with it the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from troposphere import Parameter, Ref, Sub, secretsmanager

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.names import logical_id, variable_id
from holdfast.deploy.shell.template.stack import Stack

ARN: Final = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+"
KEY_CHARACTERS: Final = 48
"""Of a generated key: letters and digits, so over 285 bits; it can stand in a header or a URL as it is."""
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One value that a task gets as an environment variable."""

    variable: str
    """``OPENAI_API_KEY``."""
    arn: Any
    """Of the secret: what the execution role may read."""
    value_from: Any
    """What the container's ``Secrets`` entry takes: the ARN, or one key of a secret that is JSON."""


def generated(stack: Stack, variable: str, *, about: str) -> Secret:
    """A key that Secrets Manager makes up, once; it stays the same over updates of the stack."""
    policy = "Retain" if stack.plan.settings.template.protect else "Delete"
    secret = stack.template.add_resource(
        secretsmanager.Secret(
            logical_id(variable_id(variable), "secret"),
            Description=about,
            GenerateSecretString=secretsmanager.GenerateSecretString(
                PasswordLength=KEY_CHARACTERS, ExcludePunctuation=True
            ),
            DeletionPolicy=policy,
            UpdateReplacePolicy=policy,
        )
    )
    return Secret(variable=variable, arn=Ref(secret), value_from=Ref(secret))


def provided(stack: Stack, variable: str) -> Secret:
    """The operator's own, whose ARN is a parameter of the stack: ``OpenaiApiKeySecretArn``.

    Several services may name the same variable: there is one parameter. Raises :class:`Invalid` for a name that no
    environment variable has.
    """
    if not _VARIABLE.fullmatch(variable):
        raise Invalid(f"${{{variable}}}: a variable that becomes a secret has capitals, digits and underscores")
    title = logical_id(variable_id(variable), "secret", "arn")
    if title not in stack.template.parameters:
        stack.template.add_parameter(
            Parameter(
                title,
                Type="String",
                AllowedPattern=f"^{ARN}$",
                ConstraintDescription="the full ARN of a secret, with the six characters at its end",
                Description=f"Secret whose whole value is {variable}. Make it before this stack.",
            )
        )
    return Secret(variable=variable, arn=Ref(title), value_from=Ref(title))


def of_json(variable: str, arn: Any, key: str) -> Secret:
    """One key of a secret that holds JSON; ECS takes it apart when it starts the task."""
    return Secret(variable=variable, arn=arn, value_from=Sub(f"${{Secret}}:{key}::", Secret=arn))
