"""Templates and static files. Both come with the package; nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2
from litestar import Response

from holdfast import __version__
from holdfast.console import pulse_wording, wording

MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Assets:
    """The static files, each under a name that changes with its content, so that browsers may keep it for ever."""

    def __init__(self) -> None:
        self._data: dict[str, tuple[bytes, str]] = {}
        self._names: dict[str, str] = {}
        for entry in files("holdfast.console").joinpath("static").iterdir():
            stem, _, kind = entry.name.rpartition(".")
            if media_type := MEDIA_TYPES.get(kind):
                data = entry.read_bytes()
                name = f"{stem}.{hashlib.sha256(data).hexdigest()[:12]}.{kind}"
                self._data[name] = (data, media_type)
                self._names[entry.name] = name

    def url(self, name: str) -> str:
        """Where a file of the package is served. Raises ``KeyError``."""
        return f"/static/{self._names[name]}"

    def find(self, name: str) -> tuple[bytes, str] | None:
        """Content and media type."""
        return self._data.get(name)


class Renderer:
    """Makes pages. Everything that goes into a template is escaped."""

    def __init__(self, assets: Assets) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("holdfast.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.globals.update(asset=assets.url, version=__version__)
        self._environment.filters.update(
            badge=wording.badge,
            language=wording.language,
            milliseconds=wording.milliseconds,
            seconds=wording.seconds,
            sentence=wording.sentence,
            size=wording.size,
            budget=pulse_wording.budget,
            condition=pulse_wording.condition,
            doubt=pulse_wording.doubt,
            incident_mark=pulse_wording.incident_mark,
            monitor_mark=pulse_wording.monitor_mark,
            notice_mark=pulse_wording.notice_mark,
            outcome_mark=pulse_wording.outcome_mark,
            region_mark=pulse_wording.region_mark,
            share=pulse_wording.share,
            span=pulse_wording.span,
            state_mark=pulse_wording.state_mark,
        )

    def page(
        self, template: str, values: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response[str]:
        """An answer with a page. Pages are about one visitor and one moment, so nobody keeps them."""
        text = self._environment.get_template(template).render(values)
        sent = {"cache-control": "no-store", **(headers or {})}
        return Response(text, status_code=status, media_type="text/html", headers=sent)
