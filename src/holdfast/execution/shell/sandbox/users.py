"""User ids of slots: one each, and never the same for two slots of this machine.

The kernel counts some things by user (inotify watches, pipe buffers, keys, pending signals), so slots that
shared one could starve each other. Several workers run on one machine and know nothing of each other; an id is
taken by binding an abstract socket of its name, which the kernel gives back when the worker is gone, however it went.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from holdfast.execution.shell.sandbox.errors import SandboxUnavailable

_RANGE: Final = 4096
"""Ids from the base on that are tried; more slots than that are on no machine."""


class User:
    """A user and group id for one slot."""

    def __init__(self, uid: int, gid: int, claim: socket.socket | None = None) -> None:
        """Made by :meth:`take`."""
        self.uid = uid
        self.gid = gid
        self._claim = claim

    @classmethod
    def take(cls, base: int) -> User:
        """An id that no other slot has, when we are root; else our own. Raises :class:`SandboxUnavailable`."""
        if os.getuid() != 0:
            return cls(os.getuid(), os.getgid())
        for uid in range(base, base + _RANGE):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0holdfast/uid/{uid}")
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return cls(uid, uid, claim)
        raise SandboxUnavailable(
            f"{_RANGE} user ids from {base} on are taken",
            where="execution.worker.uid_base",
            remedy="choose another range; `ss -xa | grep holdfast/uid` shows who has them",
        )

    def release(self) -> None:
        """Give it back."""
        if self._claim is not None:
            self._claim.close()
