"""The way in: run the balancer in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.balancer.core.settings import BalancerSettings


async def serve(
    settings: BalancerSettings,
    *,
    reload: Callable[[], BalancerSettings],
    ready: Callable[[Mapping[str, str]], None],
) -> int:
    """Run until SIGTERM or SIGINT; the exit code.

    0 after a drain; 1 when workers could not be kept running, or when a second signal cut
    the drain short. ``reload`` is called in a thread, on SIGHUP and on ``POST /admin/reload``;
    it raises :class:`~holdfast.kernel.HoldfastError` for an invalid configuration. ``ready``
    is called once every worker listens, with URLs (real ports) by what they lead to.

    Raises :class:`~holdfast.balancer.AddressError` when an address cannot be taken.
    """
    # Workers import this package as well, for its messages; only the master needs the web framework.
    from holdfast.balancer.shell.master import Master

    return await Master(settings, reload=reload, ready=ready).run()
