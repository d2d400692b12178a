"""What a test needs of the machine that it runs on."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

_SERVERS_LIVE_HERE = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on the PATH of an ordinary user


def require_tool(name: str, package: str | None = None) -> str:
    """Path of a program; without it the test is skipped, and in CI it fails, with the same advice."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SERVERS_LIVE_HERE]))
    if path is not None:
        return path
    advice = f"{name} is not installed; run: sudo apt-get install {package or name}"
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on.

    Only for what has to be told its port beforehand (a peer's configuration file, a command line): somebody
    else may take it in between. Whatever can bind port 0 and say which one it got should do that.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
