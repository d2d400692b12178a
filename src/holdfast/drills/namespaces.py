"""Two machines on one: network namespaces joined by a cable that can be pulled."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Self

from holdfast.drills.errors import DrillError, ProcessFailedError
from holdfast.drills.process import Child

_NETWORK: Final = "10.213.77"
_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_LAST_PORT: Final = 65_535


def missing() -> str | None:
    """Why namespaces cannot be made here, if they cannot."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"no program {program}; apt-get install {package}"
    return None


@cache
def has_netem() -> bool:
    """Whether the kernel can delay packets by itself, tried out in a namespace of its own."""
    name = f"hf-{secrets.token_hex(3)}-netem"
    made = False
    try:
        _ip("netns", "add", name)
        made = True
        _netem(name, "lo", 0.0)
    except DrillError:
        return False
    finally:
        if made:
            _ip("netns", "delete", name)
    return True


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

    @contextlib.contextmanager
    def delayed(self, port: int, delay_s: float, directory: Path) -> Iterator[int]:
        """A port of :attr:`near_address` that leads the far end to ``port`` there, each way later by ``delay_s``.

        With netem it is the port itself, and everything on the cable is late. Without, it is that of a relay, and the
        rest of the cable is as it was. Nothing listens behind it any more when the block ends. Raises
        :class:`DrillError`.
        """
        if has_netem():
            ends = ((self.near, f"{self._link}a"), (self.far, f"{self._link}b"))
            try:
                for name, end in ends:
                    _netem(name, end, delay_s)
                yield port
            finally:
                for name, end in ends:
                    with contextlib.suppress(DrillError):
                        _ip("netns", "exec", name, "tc", "qdisc", "delete", "dev", end, "root")
            return
        late = port + 1 if port < _LAST_PORT else port - 1
        words = (f"{self.near_address}:{late}", self.near_address, str(port), str(delay_s))
        relay = Child(
            [*self.inside(self.near), sys.executable, "-P", "-m", "holdfast.drills.relay", *words],
            log=directory / "delay.log",
        )
        try:
            self._wait_until_listening(relay, late)
            yield late
        finally:
            relay.stop()

    def _wait_until_listening(self, relay: Child, port: int) -> None:
        """Seen from the kernel's table: a connection to try it would be passed on to the server."""
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline and not relay.over:
            if f":{port:04X} 00000000:0000 0A" in Path(f"/proc/{relay.pid}/net/tcp").read_text():
                return
            time.sleep(_POLL_S)
        raise ProcessFailedError(f"the relay of the cable does not listen on {self.near_address}:{port}")

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


def _netem(name: str, device: str, delay_s: float) -> None:
    """Delay what a device of a namespace sends. Raises :class:`DrillError` where the kernel has no netem."""
    delay = f"{delay_s * 1e3:g}ms"
    _ip("netns", "exec", name, "tc", "qdisc", "replace", "dev", device, "root", "netem", "delay", delay)


class Star:
    """A hub and some regions around it, each a namespace with a cable of its own to the hub's bridge.

    The hub has :attr:`hub_address` and an address for each target. What a region sends to the targets can be lost,
    each new connection by chance, or cut off altogether, by rules of nftables in its namespace: the rest of its
    traffic, by which it reports, is not touched.
    """

    hub_address: Final = "10.213.78.1"
    canary_address: Final = "10.213.79.200"
    """In the hub as well. Lost connections are those to targets; a cut takes the canary, too."""

    def __init__(self, regions: Sequence[str], targets: int) -> None:
        """At most 100 targets."""
        tag = secrets.token_hex(3)
        self.hub = f"hf-{tag}-hub"
        self._names = {region: f"hf-{tag}-{region}" for region in regions}
        self.addresses = {region: f"10.213.78.{number}" for number, region in enumerate(regions, 11)}
        """Of the regions."""
        self.targets = tuple(f"10.213.79.{number}" for number in range(1, targets + 1))

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be made here; programs apart, only for root."""
        return missing()

    def __enter__(self) -> Self:
        """Make them. Raises :class:`DrillError`."""
        try:
            _ip("netns", "add", self.hub)
            _ip("-n", self.hub, "link", "set", "lo", "up")
            _ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
            _ip("-n", self.hub, "link", "set", "bridge", "up")
            _ip("-n", self.hub, "address", "add", f"{self.hub_address}/23", "dev", "bridge")
            for address in (*self.targets, self.canary_address):
                _ip("-n", self.hub, "address", "add", f"{address}/32", "dev", "bridge")
            for number, (region, name) in enumerate(self._names.items()):
                _ip("netns", "add", name)
                end = f"port{number}"
                _ip("-n", self.hub, "link", "add", end, "type", "veth", "peer", "name", "cable", "netns", name)
                _ip("-n", self.hub, "link", "set", end, "master", "bridge")
                _ip("-n", self.hub, "link", "set", end, "up")
                _ip("-n", name, "address", "add", f"{self.addresses[region]}/23", "dev", "cable")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", "cable", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them, and with them cables and rules."""
        self.close()

    def close(self) -> None:
        """Remove what was made."""
        for name in (self.hub, *self._names.values()):
            with contextlib.suppress(DrillError):
                _ip("netns", "delete", name)

    def inside(self, region: str | None = None) -> tuple[str, ...]:
        """What a command is put behind to run in a region, or in the hub."""
        return Cable.inside(self.hub if region is None else self._names[region])

    def lose(self, region: str, *, per_mille: int) -> None:
        """From now on so many (0 to 999) of a region's new connections to targets are lost, packet by packet."""
        chance = f"tcp flags & (syn|ack) == syn numgen random mod 1000 < {per_mille} drop"
        self._rule(region, f"ip daddr 10.213.79.0/25 {chance}")

    def cut(self, region: str) -> None:
        """From now on a region reaches neither targets nor canary. :meth:`lose` mends it."""
        self._rule(region, "ip daddr 10.213.79.0/24 drop")

    def _rule(self, region: str, rule: str) -> None:
        # The first line makes the second one possible; all of it happens at once.
        table = "table ip drill"
        chain = f"chain out {{\ntype filter hook output priority 0\n{rule}\n}}"
        script = f"{table}\ndelete {table}\n{table} {{\n{chain}\n}}\n"
        argv = [*self.inside(region), "nft", "-f", "-"]
        done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
        if done.returncode:
            raise DrillError(f"nft in {region}: {done.stderr.strip()}")
