"""``holdfast blog`` writes a skeleton, judges what is written and takes in what was published elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from holdfast import evidence
from holdfast.blog.core.published import to_json
from holdfast.cli import main
from tests.unit.blog.core.scenery import CONTENT, SAMPLE, ScriptedReadings, sample
from tests.unit.evidence.records import small_record

CHART = SAMPLE[SAMPLE.index("```chart") : SAMPLE.index("### Breaking point")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one record of a drill, and one post that quotes it."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("one = {rise: 2, fall: 3}\n")
    inputs = evidence.digest_files([tmp_path / "src" / "code.py"], tmp_path)
    evidence.write(small_record(inputs=inputs), tmp_path / "evidence")
    shutil.copytree(CONTENT / "public", tmp_path / "content" / "public")
    post = tmp_path / "content" / "posts" / "a-sound-post.md"
    post.parent.mkdir(parents=True)
    post.write_text(_on_the_small_record(SAMPLE))
    return tmp_path


def _on_the_small_record(text: str) -> str:
    text = text.replace(CHART, "").replace("health: {rise: 2, fall: 3}", "one = {rise: 2, fall: 3}")
    return re.sub(r"\{ev:[^}]*\}", "{ev:flapping.attempts_per_request|2}", text)


def run(*arguments: str) -> int:
    return main(["blog", *arguments])


def test_a_sound_project_is_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "-C", str(project)) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "1 post, 1 number, no fault\n"


def test_a_fault_is_printed_with_file_line_and_remedy(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    post = project / "content" / "posts" / "a-sound-post.md"
    post.write_text(post.read_text().replace("Most balancers", "Most of 41 balancers"))
    line = post.read_text()[: post.read_text().index("Most of 41")].count("\n") + 1
    assert run("check", "-C", str(project)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"content/posts/a-sound-post.md:{line}: the number '41' is typed by hand; take it from")


def test_faults_as_json_have_their_parts_apart(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    post = project / "content" / "posts" / "a-sound-post.md"
    post.write_text(post.read_text().replace("Most balancers", "Most of 41 balancers"))
    assert run("check", "-C", str(project), "--json") == 2
    said = json.loads(capsys.readouterr().out)
    assert [sorted(fault) for fault in said["faults"]] == [["file", "line", "message", "remedy"]]
    assert (said["posts"], said["stale"]) == (0, [])


def test_a_stale_record_is_a_fault_or_a_warning(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "src" / "code.py").write_text("one = {rise: 2, fall: 3}\ntwo = 2\n")
    assert run("check", "-C", str(project)) == 2
    assert "is stale: src/code.py changed since; run 'holdfast evidence rerun flapping'" in capsys.readouterr().err
    assert run("check", "-C", str(project), "--allow-stale") == 0
    said = capsys.readouterr()
    assert said.err == "warning: flapping: its record is stale; run 'holdfast evidence rerun flapping'\n"
    assert said.out == "1 post, 1 number, no fault\n"


def test_a_flipped_sample_fails_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = next((project / "evidence").glob("*/*.json"))
    record.write_text(record.read_text().replace("[11.0]", "[12.0]"))
    assert run("check", "-C", str(project)) == 2
    assert "is not sound" in capsys.readouterr().err


def test_drafts_are_judged_unless_only_what_is_published_is_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = project / "content" / "posts" / "a-draft.md"
    text = (
        (project / "content" / "posts" / "a-sound-post.md")
        .read_text()
        .replace("redirectFrom: [flapping]", "draft: true")
    )
    draft.write_text(text.replace("Most balancers", "Most of 41 balancers"))
    assert run("check", "-C", str(project)) == 2
    capsys.readouterr()
    assert run("check", "-C", str(project), "--published") == 0


def test_the_readme_is_judged_its_results_against_the_records(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = project / "README.md"
    readme.write_text("# Kelp\n\nIt holds.\n")
    assert run("check", "-C", str(project)) == 0
    readme.write_text("# Kelp\n\nIt holds 41 times.\n")
    assert run("check", "-C", str(project)) == 2
    assert "README.md:3: the number in '41' is typed by hand" in capsys.readouterr().err
    readme.write_text("# Kelp\n\n<!-- results -->\n| errors | 41 |\n<!-- /results -->\n")
    assert run("check", "-C", str(project)) == 2
    assert "README.md:4: the results are not what the records say" in capsys.readouterr().err


def test_a_new_post_passes_the_check_and_its_steps_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "redis-outage", "--title", 'Redis: an "outage"', "-C", str(project)) == 0
    said = capsys.readouterr()
    path = project / "content" / "posts" / "redis-outage.md"
    assert said.out == f"{path}\n"
    assert [line[:2] for line in said.err.splitlines()] == ["1.", "2.", "3."]
    assert run("check", "-C", str(project)) == 0
    path.write_text("mine")
    assert run("new", "redis-outage", "-C", str(project)) == 2
    assert path.read_text() == "mine"


def test_a_slug_that_is_none_leaves_nothing_behind(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "../../outside", "-C", str(project)) == 2
    assert "is not a slug" in capsys.readouterr().err
    assert run("new", "long-title", "--title", "a" * 121, "-C", str(project)) == 2
    assert len(list((project / "content" / "posts").iterdir())) == 1


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("a\u202eb", "--title: the character U+202E shows text in another order than it is read in; write it"),
        ("a\ue000b", "--title: the character U+E000 is no text"),
        (os.fsdecode(b"caf\xe9"), "--title: the character U+DCE9 is no text"),
        ("41 errors", "--title: the number '41' is typed by hand; take it from a record"),
    ],
)
def test_a_title_that_no_check_would_pass_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], title: str, message: str
) -> None:
    assert run("new", "an-idea", "--title", title, "-C", str(project)) == 2
    assert message in capsys.readouterr().err
    assert not (project / "content" / "posts" / "an-idea.md").exists()
    assert run("build", "--title", "a\ue000b", "-C", str(project)) == 2


@pytest.mark.parametrize("slug", ["redis-in-2026", "forty-errors", "layer-seven"])
def test_a_new_post_passes_whatever_its_slug_counts(project: Path, slug: str) -> None:
    assert run("new", slug, "-C", str(project)) == 0
    assert run("check", "-C", str(project)) == 0


def test_a_folder_that_takes_no_post_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posts = project / "content" / "posts"
    shutil.rmtree(posts)
    posts.write_text("a file")
    assert run("new", "an-idea", "-C", str(project)) == 1
    assert f"{posts}/an-idea.md cannot be written" in capsys.readouterr().err


def test_imported_posts_are_drafts_whose_numbers_want_evidence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "posts.json"
    file.write_text(json.dumps([to_json(sample(), ScriptedReadings())]))
    assert run("import", str(file), "-C", str(project)) == 0
    said = capsys.readouterr()
    assert said.out == "content/posts/flapping-backends.md\n"
    assert "content/posts/flapping-backends.md:" in said.err
    assert "the number '38,214' is typed by hand" in said.err
    assert "draft: true" in (project / "content" / "posts" / "flapping-backends.md").read_text()
    assert run("import", str(file), "-C", str(project)) == 2
    assert "exists" in capsys.readouterr().err


def test_without_the_extra_the_command_to_install_it_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("check", "-C", str(project)) == 1
    assert capsys.readouterr().err == "the blog needs markdown_it and pygments; run: pip install 'holdfast[blog]'\n"


def test_a_folder_that_is_no_project_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "-C", str(tmp_path)) == 2
    assert "holdfast blog new" in capsys.readouterr().err
