"""The table and the line at the bottom."""

from __future__ import annotations

import io
import re

from holdfast.app.child import Service
from holdfast.app.terminal import StatusLine, startup_table


def test_the_table_has_a_row_per_address() -> None:
    services = [
        Service(name="balancer", about="load balancer", argv=()),
        Service(name="quiet", about="no [address]", argv=()),
    ]
    addresses = {"balancer": {"front door": "http://127.0.0.1:8080", "admin plane": "http://127.0.0.1:8081"}}
    table = re.sub(r"\x1b\[[0-9;]*m", "", startup_table(services, addresses, columns=100))
    assert re.search(r"balancer +│ load balancer: front door +│ http://127\.0\.0\.1:8080 ", table)
    assert re.search(r"  +│ load balancer: admin plane +│ http://127\.0\.0\.1:8081 ", table)
    assert re.search(r"quiet +│ no \[address\] +│", table)


def test_lines_scroll_above_the_status() -> None:
    stream = io.StringIO()
    status = StatusLine(stream, columns=40)
    status.update("one")
    status.write("log line\n")
    status.write_bytes(b"child line\xff")
    status.update("two")
    status.close()
    erase = "\r\x1b[K"
    assert stream.getvalue() == (f"{erase}one{erase}log line\none{erase}child line\ufffd\none{erase}two\n")


def test_a_status_never_wraps() -> None:
    stream = io.StringIO()
    StatusLine(stream, columns=30).update("x" * 100)
    assert stream.getvalue().count("x") == 29
