"""Which price each deployment has: configured, or known, or nobody's."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.gateway.core import money
from holdfast.gateway.core.prices import Catalogue, Tariff
from holdfast.gateway.core.settings import PriceSettings
from holdfast.gateway.core.usage import Price
from holdfast.gateway.errors import Invalid

READ_WITHIN_S: Final = 20.0
"""The first time on a machine Python compiles the data, which takes a second or two."""
MAX_BYTES: Final = 32 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a deployment is, as far as its price goes."""

    provider: str
    """Name of a known provider (``openai``, ``anthropic``, ``azure``), whatever its section is called."""
    model: str
    """The provider's own name of it."""
    price: PriceSettings | None = None
    setting: str = ""
    """Where its price could be set: ``gateway.models.fast.deployments[0].price``."""


class PriceList:
    """Prices by deployment; resolved when it is made, and for deployments that turn up later."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._catalogue = catalogue
        self._tariffs: dict[str, Tariff | None] = {}

    def load(self, offers: Mapping[str, Offer]) -> None:
        """Resolve these; whatever was there under the same name is replaced. Raises :class:`Invalid`."""
        for deployment, offer in offers.items():
            self._tariffs[deployment] = self._resolve(deployment, offer)

    def at(self, deployment: str, wall: float) -> Price | None:
        """The price at a moment; ``None`` when nobody knows it."""
        tariff = self._tariffs.get(deployment)
        return None if tariff is None else tariff.at(wall)

    def knows(self, deployment: str) -> bool:
        """Whether it was resolved, to a price or to none."""
        return deployment in self._tariffs

    def _resolve(self, deployment: str, offer: Offer) -> Tariff | None:
        if offer.price is not None:
            try:
                return Tariff.fixed(money.configured(offer.price))
            except ValueError as error:
                raise Invalid(f"{offer.setting or deployment}: {error}") from None
        tariff = None if self._catalogue is None else self._catalogue.tariff(offer.provider, offer.model)
        if tariff is None:
            log.warning(
                "nobody knows what %s (%s/%s) costs; set %s",
                deployment,
                offer.provider,
                offer.model,
                offer.setting or "its price",
                extra={"action": "price_unknown", "deployment": deployment},
            )
        return tariff


async def read_catalogue() -> Catalogue | None:
    """The prices of ``genai-prices``; ``None``, and a line in the log, when it is not installed or cannot be read."""
    spec = importlib.util.find_spec("genai_prices")  # finds, does not import
    if spec is None or not spec.submodule_search_locations:
        log.warning("genai-prices is not installed: only configured prices are known", extra={"action": "prices"})
        return None
    directory = Path(next(iter(spec.submodule_search_locations)))
    version = importlib.metadata.version("genai-prices")
    reader = str(Path(__file__).with_name("catalogue.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", reader, str(directory),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={},
    )  # fmt: skip
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            out, err = await process.communicate()
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if not isinstance(error, TimeoutError):
            raise
        out, err = b"", b"took too long"
    if process.returncode != 0 or len(out) > MAX_BYTES:
        why = err.decode(errors="replace").strip().splitlines()[-1:]
        log.warning("genai-prices cannot be read: %s", *why or [""], extra={"action": "prices"})
        return None
    return Catalogue(out, version)
