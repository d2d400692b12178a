"""Who may speak for a region: an authority of our own, and the certificates that it signed.

::

    DIRECTORY/                     0700
      authority.pem  authority.key the authority; whoever has the key can make agents
      engine.pem                   certificate and key of the engine's listener
      issued                       what was signed: SERIAL NAME REGION EXPIRES, one per line
      revoked                      serial numbers that get nowhere, one per line
      agents/NAME/                 a bundle: all that an agent needs, to be copied to its machine
        agent.pem                  certificate (CN: the agent, OU: its region) and key
        authority.pem              whom it believes

Rules:

- A certificate and its key are one file, so that replacing it is one rename and a reader never sees halves of two.
- Whatever changes the directory holds its lock: two processes that start at once make one authority.
- Certificates begin a day before they were made: a machine whose clock is behind can use them at once.
- A name that was revoked stays so until somebody makes it anew on purpose; :func:`ensure` does not.
"""

from holdfast.netpulse.shell.certificates.authority import Issued, ensure, issued, make_agent, revoke
from holdfast.netpulse.shell.certificates.credentials import (
    Revocations,
    agent_context,
    engine_context,
    expiring,
    find_bundle,
    identity,
)
from holdfast.netpulse.shell.certificates.files import Bundle, CertificateError, Identity

__all__ = [
    "Bundle",
    "CertificateError",
    "Identity",
    "Issued",
    "Revocations",
    "agent_context",
    "engine_context",
    "ensure",
    "expiring",
    "find_bundle",
    "identity",
    "issued",
    "make_agent",
    "revoke",
]
