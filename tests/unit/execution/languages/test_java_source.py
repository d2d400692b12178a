"""Which class of a Java source is started."""

from __future__ import annotations

import pytest

from holdfast.execution.shell.languages.java_source import read

MAIN = "public static void main(String[] args) { }"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (f"class A {{ {MAIN} }}", "A"),
        (f"public class A {{ {MAIN} }}", "A"),
        (f"class Helper {{ int x; }}\npublic final class A {{ {MAIN} }}", "A"),
        (f"public class Box {{ }}\nclass A {{ {MAIN} }}", "A"),
        (f"package a.b;\nimport java.util.*;\nclass A {{ {MAIN} }}", "a.b.A"),
        (f"class A {{ class Inner {{ }} {MAIN} }}", "A"),
        (f"class A {{ static class Inner {{ {MAIN} }} }}", "Stem"),
        (f"/* class B {{ {MAIN} }} */ // class C {{\nclass A {{ {MAIN} }}", "A"),
        (f'class A {{ String s = "}} class B {{ \\" {{"; char c = \'{{\'; {MAIN} }}', "A"),
        (f'class A {{ String s = """\n}} class B {{ " """; {MAIN} }}', "A"),
        (f"record A(int x) {{ {MAIN} }}", "A"),
        (f"enum A {{ X; {MAIN} }}", "A"),
        (f"interface A {{ {MAIN.removeprefix('public ')} }}", "A"),
        ("public class A { }", "A"),
        ("int x", "Stem"),
        ("", "Stem"),
        ("/* never ends", "Stem"),
        ('class A { String s = "never ends', "Stem"),
        ("}}}}{{{{", "Stem"),
    ],
)
def test_the_class_with_main_is_started(text: str, start: str) -> None:
    assert read(text).start("Stem") == start


def test_only_a_public_class_at_the_top_level_names_the_file() -> None:
    assert read("class A { public class B { } } public class C { }").public == "C"
    assert read("class A { public static class B { } }").public is None


def test_a_long_hostile_text_takes_no_long_time() -> None:
    for piece in ('"', "'", "/*", "{", '"""', "\\", "public ", "public final ", "class "):
        read(piece * (100_000 // len(piece)))
