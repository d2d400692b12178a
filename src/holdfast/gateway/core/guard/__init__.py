"""Guardrails: what may go to a model, and what may come back.

:class:`Policy` is compiled when the configuration is read; :func:`guard_for` makes the guardrails of one request
from it. See ``guard.py`` for what is judged, ``detector.py`` for how a stream is judged without being delayed.
"""

from holdfast.gateway.core.guard.guard import Policy, RequestGuard, guard_for
from holdfast.gateway.core.guard.stream import AnswerGuard

__all__ = ["AnswerGuard", "Policy", "RequestGuard", "guard_for"]
