"""What pages may load: their own style, script and pictures. Apart, because who serves a site does not build one."""

from __future__ import annotations

from typing import Final

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'"
)
"""Of every page. The header adds ``frame-ancestors``, which means nothing in a ``<meta>``."""
