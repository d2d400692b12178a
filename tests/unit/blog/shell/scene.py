"""A small project on disk: posts, a picture, and a record that they quote."""

from __future__ import annotations

import datetime as dt
import re
import struct
import zlib
from pathlib import Path

from holdfast.blog.core.site import Address
from holdfast.blog.core.write import skeleton
from holdfast.blog.shell.build import Built, Options, build
from holdfast.evidence import Claim, Control, Histogram, Machine, Record, Samples, measure, write

TODAY = dt.date(2026, 11, 23)
ADDRESS = Address(base="http://127.0.0.1:8080/blog/", title="Test blog", about="Posts of a test.")
PLAIN = Options(cards=False)


def post(title: str, *, date: str = "2026-11-20", more: str = "", says: str = "") -> str:
    """A post without a fault that is published; ``more`` goes into its front matter, ``says`` into its first part."""
    text = skeleton("a-post", title=title, today=dt.date.fromisoformat(date)).replace("draft: true\n", more)
    text = text.replace("One sentence: what", "What")
    text = re.sub(
        r"^(- )?[A-Z*].*\.$", lambda line: f"{line[0]}\n{'  ' if line[1] else ''}It was so.", text, flags=re.MULTILINE
    )
    return text.replace("### Problem\n", f"### Problem\n\n{says}\n") if says else text


def lettered(number: int) -> str:
    """A title of its own for each number; digits in it would want evidence."""
    return f"Title {'abcdefghij'[number // 10]}{'klmnopqrst'[number % 10]}"


class Scene:
    """A project in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content, self.evidence, self.out = root / "content", root / "evidence", root / "out"
        (self.content / "posts").mkdir(parents=True)
        self.evidence.mkdir()

    def write(self, slug: str, text: str) -> None:
        """A post."""
        (self.content / "posts" / f"{slug}.md").write_text(text, encoding="utf-8")

    def remove(self, slug: str) -> None:
        """No post any more."""
        (self.content / "posts" / f"{slug}.md").unlink()

    def picture(self, name: str, width: int = 3, height: int = 2) -> None:
        """A PNG below ``content/public``."""
        path = self.content / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(width, height))

    def record(self) -> Record:
        """A record of a drill, written."""
        record = flapping()
        write(record, self.evidence)
        return record

    def build(self, options: Options = PLAIN, *, address: Address = ADDRESS) -> Built:
        """The site."""
        return build(self.content, self.evidence, self.out, address=address, today=TODAY, options=options)

    def page(self, path: str) -> str:
        """A file of the site."""
        return (self.out / path).read_text(encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        """Everything in the output."""
        return {
            path.relative_to(self.out).as_posix(): path.read_bytes()
            for path in sorted(self.out.rglob("*"))
            if path.is_file()
        }


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def flapping() -> Record:
    """Two contenders and a control."""
    samples: dict[str, Samples] = {
        "holdfast.errors": (1.0, 2.0),
        "haproxy.errors": (4.0, 5.0),
        "holdfast.latency_ms": Histogram.of([1.0, 2.0, 3.0, 40.0]),
        "haproxy.latency_ms": Histogram.of([1.0, 20.0, 300.0]),
    }
    off: dict[str, Samples] = {"errors": (40.0, 41.0)}
    metrics = {
        name: measure(f"sum(samples.{name})", unit="errors", better="lower", samples=samples)
        for name in ("holdfast.errors", "haproxy.errors")
    }
    return Record(
        id="20261122T140302Z-502f6794",
        drill="flapping",
        title="Do clients notice backends that flap?",
        argv=("holdfast", "drill", "run", "flapping", "--seed", "7"),
        commit="502f6794979c3795c705c566b3c18beb70369218",
        dirty=False,
        inputs={},
        machine=Machine(cpu="Test & Sons <1>", cores=2, memory_bytes=2**34, kernel="Linux 6.1"),
        versions={"python": "3.11.7"},
        seed=7,
        quick=False,
        started=dt.datetime(2026, 11, 22, 14, 3, 2, tzinfo=dt.UTC),
        duration_s=344.0,
        parameters={"hold_s": 45.0, "workers": 2},
        notes=("A peer was missing.",),
        samples=samples,
        metrics=metrics,
        claims=(Claim.judge("clients see few errors", "holdfast.errors", "<=", 5.0, metrics["holdfast.errors"].value),),
        control=Control(
            what="damping switched off",
            samples=off,
            metrics={"errors": measure("sum(samples.errors)", unit="errors", better="lower", samples=off)},
        ),
    )
