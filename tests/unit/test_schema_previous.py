"""The release before: which commit it is, and which migrations its tests get."""

import subprocess

import pytest

from deploy.schema import __main__ as command
from deploy.schema import previous
from deploy.schema.previous import NoPreviousReleaseError, previous_commit
from deploy.verdict import EXIT_NOT_CHECKED
from tests.migrating import add_migration, copy_migrations


@pytest.fixture
def clone(tmp_path):
    """An empty repository; yields git in it."""

    def git(*arguments):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(
            ("git", *who, *arguments), cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    return git


def test_without_a_tag_a_revision_is_needed(clone, tmp_path):
    with pytest.raises(NoPreviousReleaseError, match="make test-previous REV="):
        previous_commit(None, tmp_path)
    clone("tag", "v1.0.0")
    clone("commit", "--allow-empty", "--message", "two")
    assert previous_commit(None, tmp_path) == clone("rev-parse", "HEAD~1")


def test_a_revision_that_a_shallow_clone_lacks_is_named(clone, tmp_path):
    assert previous_commit("HEAD", tmp_path) == clone("rev-parse", "HEAD")
    with pytest.raises(NoPreviousReleaseError, match="HEAD~1 is not in this clone"):
        previous_commit("HEAD~1", tmp_path)


def test_what_could_not_be_checked_has_an_exit_code_of_its_own(capsys):
    assert command.main(["previous", "--rev", "no-such"]) == EXIT_NOT_CHECKED
    assert "NOT CHECKED: no-such is not in this clone" in capsys.readouterr().err


def test_its_tests_get_all_migrations_but_those_that_contract(tmp_path):
    ours = copy_migrations(tmp_path / "ours")
    copy_migrations(tmp_path / "migrations").rename(theirs := tmp_path / "migrations" / "models")
    known = add_migration(theirs, "SELECT 1", PHASE="contract")
    phases = ("contract", "expand", "contract", "expand")
    names = [add_migration(ours, "SELECT 1", PHASE=phase) for phase in phases]
    assert names[0] == known
    previous._expand(tmp_path, ours)  # noqa: SLF001  the step before the tests run
    found = {path.name for path in theirs.glob("90*")}
    assert found == {names[0], names[1], names[3]}
