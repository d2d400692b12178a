"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.execution.shell.sandbox import open_sandboxes
from tests.integration.execution.sandbox.harness import SECRET, SETTINGS, SLOTS, Host, require_full_tier


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Sandboxes to attack; afterwards the host must be unharmed."""
    require_full_tier()
    monkeypatch.setenv("HOLDFAST_SECRET", SECRET)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    uid = SETTINGS.uid_base if os.getuid() == 0 else os.getuid()
    other = uid != os.getuid()
    canary = subprocess.Popen(
        ["sleep", "600"], user=uid if other else None, group=uid if other else None, extra_groups=[] if other else None
    )
    try:
        with asyncio.Runner() as runner:
            context = open_sandboxes(SETTINGS, slots=SLOTS, ahead=0)
            pool = runner.run(context.__aenter__())
            try:
                host = Host(tmp_path, runner, pool, canary, {secret: SECRET.encode()})
                yield host
                host.is_unharmed()
            finally:
                runner.run(context.__aexit__(None, None, None))
    finally:
        canary.kill()
        canary.wait()
