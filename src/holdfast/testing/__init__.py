"""What tests need of a world that behaves as told: time, backends, clients, and a proxy between them.

Public, so that a user of the package can test a configuration the way we test ours.
"""

from holdfast.testing.client import Answer, RawClient
from holdfast.testing.clock import FakeClock
from holdfast.testing.proxy import ProxyUnderTest, proxied
from holdfast.testing.upstream import Script, ScriptedUpstream, Visit, always, answer, replies
from holdfast.testing.waiting import eventually

__all__ = [
    "Answer",
    "FakeClock",
    "ProxyUnderTest",
    "RawClient",
    "Script",
    "ScriptedUpstream",
    "Visit",
    "always",
    "answer",
    "eventually",
    "proxied",
    "replies",
]
