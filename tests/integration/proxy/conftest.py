"""Coroutine tests run in an event loop of their own, the one that production uses."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function through ``asyncio.run``, so that tasks it leaves are seen as leaks.

    One that is marked ``anyio`` is left to anyio, which runs its fixtures in the same loop.
    """
    test: Callable[..., object] = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test) or pyfuncitem.get_closest_marker("anyio") is not None:
        return None
    names = inspect.signature(test).parameters
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
