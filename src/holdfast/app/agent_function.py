"""The agent as a Lambda function: the timer calls :func:`handler` once a minute, each call is one round.

The image carries a configuration with the ``netpulse`` section; what differs between regions comes from the function's
environment. The certificate comes from Secrets Manager, not from the environment, where everybody could read it who
may look at the function's settings.

=========================  ===========================================================================================
``HOLDFAST_AGENT_REGION``  the region of ``netpulse.regions`` that this function watches from
``HOLDFAST_AGENT_SECRET``  ARN of a secret: JSON with ``certificate`` (``agent.pem``, key included) and ``authority``
``NETPULSE_ENGINE``        where the engine is, ``https://HOST:PORT``; ``agents.engine`` when absent
``HOLDFAST_CONFIG``        the configuration; ``/etc/holdfast/holdfast.yaml`` when absent
=========================  ===========================================================================================

Only ``/tmp`` can be written, and it lives as long as Lambda keeps this environment: results that could not be
delivered are sent by the next round if that comes here, and are lost otherwise.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from holdfast.app.agent_bundle import ENGINE, WORK, unpacked
from holdfast.app.services import InputError, agent_settings
from holdfast.netpulse import agent_round
from holdfast.telemetry.logs import configure

CONFIG: Final = "/etc/holdfast/holdfast.yaml"
MARGIN_S: Final = 3.0
"""Left of the function's timeout when a round has to be over: to say what went wrong before Lambda ends the process."""
LEAST_S: Final = 12.0
"""A round with less time than this would probe nothing."""
REGION: Final = "HOLDFAST_AGENT_REGION"
SECRET: Final = "HOLDFAST_AGENT_SECRET"  # noqa: S105 - the name of one

FetchSecret = Callable[[str], str]
"""The value of a secret, by its ARN."""


class Context(Protocol):
    """What Lambda says of a call, as far as it is used."""

    def get_remaining_time_in_millis(self) -> int: ...  # noqa: D102 - Lambda's own name


def handler(_: object, context: Context) -> dict[str, Any]:
    """One round; what came of it. Raises what :func:`~holdfast.netpulse.agent_round` raises: then Lambda counts it."""
    configure(human=False)
    return one_round(os.environ, left_s=context.get_remaining_time_in_millis() / 1000.0, fetch=_fetch)


def one_round(environ: Mapping[str, str], *, left_s: float, fetch: FetchSecret, work: Path = WORK) -> dict[str, Any]:
    """Run a round within ``left_s`` seconds. Raises :class:`InputError` for an environment that says too little."""
    for name in (REGION, SECRET):
        if not environ.get(name):
            raise InputError(f"{name} is not in the environment of the function; the template sets it")
    if left_s - MARGIN_S < LEAST_S:
        raise InputError(f"{left_s:g} s are left for a round; set the timeout of the function to 50 s")
    region = environ[REGION]
    settings = agent_settings(environ.get("HOLDFAST_CONFIG", CONFIG), region)
    settings = unpacked(settings, fetch(environ[SECRET]), engine=environ.get(ENGINE, ""), work=work)
    report = asyncio.run(agent_round(settings, region=region, name=None, deadline_s=left_s - MARGIN_S))
    return {field: getattr(report, field) for field in ("due", "probed", "down", "abandoned", "blind")}


def _fetch(arn: str) -> str:
    try:
        import boto3
    except ImportError as error:
        raise InputError(f"a function needs boto3, which Lambda's images for Python have ({error})") from error
    value: str = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return value
