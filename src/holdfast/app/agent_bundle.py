"""The bundle of an agent that gets it as a value and not as files: from Secrets Manager, through ECS or Lambda."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from holdfast.kernel import HoldfastError
from holdfast.netpulse import NetpulseSettings

BUNDLE: Final = "HOLDFAST_AGENT_BUNDLE"
"""Environment variable: the bundle itself. Taken out of the environment before anything else is started."""
ENGINE: Final = "NETPULSE_ENGINE"
"""Environment variable: where the engine is, instead of ``agents.engine``."""
WORK: Final = Path("/tmp") / "holdfast"  # noqa: S108 - in a function or a container, where it is nobody else's


class NoBundle(HoldfastError):
    """What should be a bundle is none."""

    exit_code = 2


class _Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str
    """PEM, ``agent.pem`` as ``holdfast netpulse certs agent`` makes it, key included."""
    authority: str


def unpacked(settings: NetpulseSettings, bundle: str, *, engine: str, work: Path = WORK) -> NetpulseSettings:
    """Write the bundle below ``work``, for this user only; the settings of an agent that works there.

    An empty ``engine`` leaves that of the file. Raises :class:`NoBundle`, which quotes nothing of the text.
    """
    try:
        found = msgspec.json.decode(bundle, type=_Bundle)
    except msgspec.MsgspecError:
        # Without its cause: that may quote what is secret.
        raise NoBundle('the secret is not JSON of the form {"certificate": PEM, "authority": PEM}') from None
    directory = work / "certificates"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, pem in (("agent.pem", found.certificate), ("authority.pem", found.authority)):
        draft = directory / f".{name}"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(pem, encoding="utf-8")
        draft.replace(directory / name)
    agents = msgspec.structs.replace(
        settings.agents,
        engine=engine or settings.agents.engine,
        certificates=str(directory),
        spool=str(work / "spool"),
    )
    return msgspec.structs.replace(settings, agents=agents)
