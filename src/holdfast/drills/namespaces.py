"""Two machines on one: network namespaces joined by a cable that can be pulled."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from typing import Final, Self

from holdfast.drills.errors import DrillError

_NETWORK: Final = "10.213.77"
_TIMEOUT_S: Final = 10.0


def missing() -> str | None:
    """Why namespaces cannot be made here, if they cannot."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"no program {program}; apt-get install {package}"
    return None


class Cable:
    """Two namespaces, ``near`` (``.1``) and ``far`` (``.2``)."""

    def __init__(self) -> None:
        tag = secrets.token_hex(3)
        self.near, self.far = f"hf-{tag}-near", f"hf-{tag}-far"
        self._link = f"hf{tag}"

    near_address: Final = f"{_NETWORK}.1"
    far_address: Final = f"{_NETWORK}.2"

    def __enter__(self) -> Self:
        """Make them. Raises :class:`DrillError`."""
        try:
            near_end, far_end = f"{self._link}a", f"{self._link}b"
            _ip("netns", "add", self.near)
            _ip("netns", "add", self.far)
            peer = ("peer", "name", far_end, "netns", self.far)
            _ip("-n", self.near, "link", "add", near_end, "type", "veth", *peer)
            for name, address, end in (
                (self.near, self.near_address, near_end),
                (self.far, self.far_address, far_end),
            ):
                _ip("-n", name, "address", "add", f"{address}/24", "dev", end)
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", end, "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them, and with them the cable."""
        self.close()

    def close(self) -> None:
        """Remove what was made."""
        for name in (self.near, self.far):
            with contextlib.suppress(DrillError):
                _ip("netns", "delete", name)

    def pull(self) -> None:
        """From now on packets vanish; nobody is told."""
        _ip("-n", self.far, "link", "set", f"{self._link}b", "down")

    def plug_in(self) -> None:
        """Packets pass again."""
        _ip("-n", self.far, "link", "set", f"{self._link}b", "up")

    @staticmethod
    def inside(name: str) -> tuple[str, ...]:
        """What a command is put behind to run in a namespace.

        Not ``ip netns exec``: that mounts a new ``/sys``, in which a worker finds no control groups.
        """
        return ("nsenter", f"--net=/run/netns/{name}")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode:
        raise DrillError(f"ip {' '.join(words)}: {done.stderr.strip()}")
