"""What an HTTP answer has to hold."""

from __future__ import annotations

from holdfast.kernel import Size
from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import HttpCheck
from holdfast.netpulse.shell.probes.finding import Failed, quoted
from holdfast.netpulse.shell.probes.trip import Trip


def wanted(check: HttpCheck) -> bool:
    """Whether anything is looked for, so that the body has to be kept."""
    return bool(check.contains or check.regex or check.jsonpath)


async def judge(check: HttpCheck, body: bytes, *, cut: bool, trip: Trip) -> None:
    """Raises :class:`Failed` when something is not there. Says what was looked for, never what else is in the body."""
    read = f"{len(body)} bytes" if not cut else f"first {Size(check.body_limit)}"
    if check.contains and check.contains.encode() not in body:
        raise Failed(Failure.CONTENT, f"expected the body to contain {quoted(check.contains)}; its {read} do not")
    if check.regex:
        trip.doing = "the body to be searched"
        if not await trip.examiner.matches(check.regex, body, trip.left()):
            raise Failed(Failure.CONTENT, f"expected the body to match {quoted(check.regex)}; its {read} do not")
    if check.jsonpath:
        trip.doing = "the body to be queried"
        value = await trip.examiner.first(check.jsonpath, body, trip.left())
        if value is None:
            raise Failed(Failure.CONTENT, f"expected {quoted(check.jsonpath)} to find something in the body's JSON")
        if check.equals and value != check.equals:
            raise Failed(
                Failure.CONTENT,
                f"expected {quoted(check.jsonpath)} to be {quoted(check.equals)}, got {quoted(value)}",
            )
