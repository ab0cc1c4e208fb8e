"""The release before on this release's schema; `make test-previous` runs its whole suite."""

import asyncio

import pytest

from deploy.schema.previous import (
    NoPreviousReleaseError,
    before_newest_migration,
    check,
    previous_commit,
)

# Reads, writes and tasks, by that release's own tests.
TESTS = ("tests/e2e/test_enrollments.py", "tests/e2e/test_images.py")


@pytest.mark.timeout(400)
async def test_the_release_before_works_on_the_new_schema():
    try:
        commit = _newest_tag() or before_newest_migration()
    except NoPreviousReleaseError as error:
        pytest.skip(f"no release before this one: {error}")
    assert await asyncio.to_thread(check, commit, TESTS, shares_environment=True) == 0


def _newest_tag():
    try:
        return previous_commit(None)
    except NoPreviousReleaseError:
        return None
