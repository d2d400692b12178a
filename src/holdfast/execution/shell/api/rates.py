"""How fast a tenant may ask, and submit, in this process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from holdfast.execution.core.admission import too_fast
from holdfast.execution.core.settings import AdmissionSettings
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.resilience import RateLimit

TENANTS: Final = 10_000
"""Buckets that are kept; beyond that, full ones are forgotten as they are found."""


class Rates:
    """A bucket for requests and one for submissions per tenant."""

    def __init__(self, settings: AdmissionSettings, *, monotonic: Callable[[], float], rng: Random) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._rng = rng
        self._requests: dict[str, RateLimit] = {}
        self._submissions: dict[str, RateLimit] = {}

    def request(self, tenant: str) -> None:
        """Count a request. Raises :class:`ProblemError` when there are too many."""
        per_s = self._settings.requests_per_s
        if per_s:
            wait_s = self._bucket(self._requests, tenant, per_s, max(1.0, 2 * per_s)).take(self._monotonic())
            if wait_s:
                detail = f"more than {per_s:g} requests per second; slow down, or send jobs in batches"
                raise ProblemError("request-rate", detail, retry_after_s=wait_s * (1 + self._rng.random() / 2))

    def submission(self, tenant: str, count: int = 1) -> None:
        """Count jobs. Raises :class:`ProblemError` when there are too many."""
        per_s = self._settings.submits_per_s
        if per_s:
            bucket = self._bucket(self._submissions, tenant, per_s, max(1.0, self._settings.submit_burst))
            wait_s = bucket.take(self._monotonic(), count)
            if wait_s:
                refused = too_fast(wait_s, self._rng, self._settings)
                raise ProblemError("submit-rate", refused.detail, retry_after_s=refused.retry_after_s)

    def _bucket(self, buckets: dict[str, RateLimit], tenant: str, per_s: float, burst: float) -> RateLimit:
        bucket = buckets.get(tenant)
        if bucket is None:
            if len(buckets) >= TENANTS:
                now = self._monotonic()
                for name in [name for name, each in buckets.items() if each.full(now)]:
                    del buckets[name]
            bucket = buckets[tenant] = RateLimit(per_s, burst)
        return bucket
