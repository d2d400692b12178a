"""Parameters that several makers of resources share, each added once."""

from __future__ import annotations

from typing import Any, Final

from troposphere import Parameter, Ref

from holdfast.deploy.shell.template.names import logical_id, variable_id
from holdfast.deploy.shell.template.stack import Stack

IMAGE: Final = r"[a-z0-9][a-zA-Z0-9./:_-]*@sha256:[0-9a-f]{64}"
"""An image by its digest: a tag can be moved, and a task that is replaced at night would run something else."""


def image(stack: Stack, name: str) -> Any:
    """``ImageGateway``: what the containers of one workload run."""
    return _once(
        stack,
        Parameter(
            logical_id("image", name),
            Type="String",
            AllowedPattern=f"^{IMAGE}$",
            ConstraintDescription="an image by its digest: REPOSITORY@sha256:...",
            Description=f"Image of {name}, by its digest.",
        ),
    )


def variable(stack: Stack, name: str) -> Any:
    """An environment variable with a plain value, which only who deploys knows."""
    return _once(
        stack,
        Parameter(
            variable_id(name), Type="String", Description=f"Value of {name} in the environment of the containers."
        ),
    )


def repository(stack: Stack) -> Any:
    """Name of the ECR repository that tasks may pull from."""
    return _once(
        stack,
        Parameter(
            "ImageRepository",
            Type="String",
            Default=stack.plan.settings.template.name,
            AllowedPattern=r"^[a-z0-9][a-z0-9/_.-]*$",
            ConstraintDescription="the name of an ECR repository, such as team/holdfast",
            Description="ECR repository of this account and region that the images are in.",
        ),
    )


def _once(stack: Stack, parameter: Any) -> Any:
    if parameter.title not in stack.template.parameters:
        stack.template.add_parameter(parameter)
    return Ref(parameter.title)
