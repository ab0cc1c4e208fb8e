"""`make release` tags only a clean commit with a green CI and release notes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## 1.0.0\n\n- The first one.\n\n## 0.9.0\n\n- Before.\n"
FILES = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1.0.0"\n',
    "CHANGELOG.md": CHANGELOG,
    "Makefile": "build:\n\tmkdir -p dist; touch dist/x-1.0.0-py3-none-any.whl dist/x-1.0.0.gz\n",
    ".ci/run": "#!/bin/sh\ntouch ci-was-run\n",
    ".gitignore": "dist/\nci-was-run\n",
}


class Checkout:
    def __init__(self, folder):
        self.folder = folder
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        self._author = author
        self.git("init", "--quiet", "--initial-branch", "main")
        for name, text in FILES.items():
            self.write(name, text)
        (folder / ".ci/run").chmod(0o755)
        self.commit()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def git(self, *arguments):
        command = ("git", *self._author, *arguments)
        return subprocess.run(
            command, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a commit")

    def release(self, *options):
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        env = os.environ | {"PYTHONPATH": str(ROOT)} | dict.fromkeys(names, "a@example.org")
        command = (sys.executable, "-m", "deploy.tag", *options)
        return subprocess.run(
            command, cwd=self.folder, env=env, check=False, capture_output=True, text=True
        )

    @property
    def tags(self):
        return self.git("tag", "--list").split()

    @property
    def ci_was_run(self):
        return (self.folder / "ci-was-run").exists()


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def refused(checkout, message):
    done = checkout.release()
    assert (done.returncode, checkout.tags) == (1, [])
    assert message in done.stderr


def test_a_clean_commit_with_a_green_ci_is_tagged_with_its_notes(checkout):
    done = checkout.release()
    assert (done.returncode, done.stderr) == (0, "")
    assert checkout.tags == ["v1.0.0"]
    assert checkout.git("tag", "--list", "--format=%(contents)") == "v1.0.0\n\n- The first one."
    assert checkout.ci_was_run
    again = checkout.release()
    assert again.returncode == 1
    assert "v1.0.0 exists" in again.stderr


def test_a_dry_run_builds_and_tags_nothing(checkout):
    done = checkout.release("--dry-run")
    assert done.returncode == 0
    assert "x-1.0.0-py3-none-any.whl, x-1.0.0.gz" in done.stdout
    assert "- The first one." in done.stdout
    assert "- Before." not in done.stdout
    assert (checkout.tags, checkout.ci_was_run) == ([], False)


def test_a_red_ci_stops_the_release(checkout):
    checkout.write(".ci/run", "#!/bin/sh\nexit 1\n")
    checkout.commit()
    refused(checkout, "CI is not green")


def test_uncommitted_changes_stop_the_release(checkout):
    checkout.write("new", "")
    refused(checkout, "the tree is not clean:\n?? new")


def test_a_ci_that_changes_the_tree_stops_the_release(checkout):
    checkout.write(".ci/run", "#!/bin/sh\necho >> Makefile\n")
    checkout.commit()
    refused(checkout, "the tree is not clean")


def test_another_branch_stops_the_release(checkout):
    checkout.git("switch", "--quiet", "--create", "other")
    refused(checkout, "releases are made on main, this is other")


@pytest.mark.parametrize("text", ["# Changelog\n\n## 0.9.0\n\n- Before.\n", "## 1.0.0\n\n## 0.9\n"])
def test_a_version_without_notes_stops_the_release(checkout, text):
    checkout.write("CHANGELOG.md", text)
    checkout.commit()
    refused(checkout, "CHANGELOG.md has no notes of 1.0.0")


def test_a_build_of_another_version_stops_the_release(checkout):
    checkout.write("Makefile", "build:\n\tmkdir -p dist; touch dist/x-0.9.0-py3-none-any.whl\n")
    checkout.commit()
    refused(checkout, "make build left no wheel of 1.0.0")
