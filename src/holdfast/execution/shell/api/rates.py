"""How fast a tenant may ask, and submit, in this process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from holdfast.execution.core.admission import too_fast
from holdfast.execution.core.settings import AdmissionSettings
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.web.rates import Buckets


class Rates:
    """A bucket for requests and one for submissions per tenant."""

    def __init__(self, settings: AdmissionSettings, *, monotonic: Callable[[], float], rng: Random) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._rng = rng
        self._requests = Buckets(settings.requests_per_s, max(1.0, 2 * settings.requests_per_s))
        self._submissions = Buckets(settings.submits_per_s, max(1.0, settings.submit_burst))

    def request(self, tenant: str) -> None:
        """Count a request. Raises :class:`ProblemError` when there are too many."""
        wait_s = self._requests.take(tenant, self._monotonic())
        if wait_s:
            detail = (
                f"more than {self._settings.requests_per_s:g} requests per second; slow down, or send jobs in batches"
            )
            raise ProblemError("request-rate", detail, retry_after_s=wait_s * (1 + self._rng.random() / 2))

    def submission(self, tenant: str, count: int = 1) -> None:
        """Count jobs. Raises :class:`ProblemError` when there are too many."""
        wait_s = self._submissions.take(tenant, self._monotonic(), count)
        if wait_s:
            refused = too_fast(wait_s, self._rng, self._settings)
            raise ProblemError("submit-rate", refused.detail, retry_after_s=refused.retry_after_s)
