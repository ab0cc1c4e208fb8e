"""`make bump` sets the version by the commits, and drafts its notes for `make release`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.tag import read_notes, read_version

ROOT = Path(__file__).parents[2]
BUMP = ("bump", "--changelog", "--version-files-only", "--yes")


@pytest.fixture
def checkout(tmp_path):
    """A repository whose last release is 1.0.0; returns its folder and a way to commit."""
    (tmp_path / "deploy").mkdir()
    for name in ("CHANGELOG.md", "pyproject.toml", "deploy/changelog.md.j2"):
        shutil.copy(ROOT / name, tmp_path / name)
    project = tmp_path / "pyproject.toml"
    project.write_text(
        project.read_text().replace(f'version = "{read_version(ROOT)}"', 'version = "1.0.0"')
    )
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\nFor users.\n\n## 1.0.0\n\nThe first.\n")

    def git(*arguments):
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(("git", *author, *arguments), cwd=tmp_path, check=True, capture_output=True)

    def commit(message):
        git("commit", "--quiet", "--allow-empty", "--message", message)

    git("init", "--quiet", "--initial-branch", "main")
    git("add", ".")
    commit("chore: begin")
    git("tag", "--annotate", "v1.0.0", "--message", "v1.0.0")
    return tmp_path, commit


def bump(folder):
    program = Path(sys.executable).with_name("cz")
    subprocess.run((program, *BUMP), cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("message", "version"),
    [
        ("fix(tasks): mend it", "1.0.1"),
        ("feat(api): a new thing", "1.1.0"),
        ("feat(api)!: another shape", "2.0.0"),
    ],
)
def test_the_commits_decide_the_version(checkout, message, version):
    folder, commit = checkout
    commit(message)
    bump(folder)
    assert read_version(folder) == version


def test_the_draft_is_on_top_and_make_release_finds_it(checkout):
    folder, commit = checkout
    for message in ("feat(api): a new thing", "fix: mend it", "refactor: tidy", "docs: say it"):
        commit(message)
    bump(folder)
    assert read_notes(folder, "1.1.0") == "### New\n\n- api: a new thing\n\n### Mended\n\n- mend it"
    assert read_notes(folder, "1.0.0") == "The first."
    text = (folder / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n\nFor users.\n\n## 1.1.0\n")


def test_no_tag_is_made(checkout):
    folder, commit = checkout
    commit("fix: mend it")
    bump(folder)
    tags = subprocess.run(("git", "tag"), cwd=folder, check=True, capture_output=True, text=True)
    assert tags.stdout.split() == ["v1.0.0"]
