"""A process follows the removals of images."""

import asyncio
import time
from datetime import timedelta

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from infra.db.feed import DatabaseFeed
from services.images.removals import RemovedImages
from tests.factories import eventually


@pytest.fixture(scope="module")
async def url(new_database):
    """A database of the test's own."""
    return await new_database()


@pytest.fixture
async def remove(url):
    """Requests the removal of a prefix, as the transaction that stops showing an image does."""
    connection = await asyncpg.connect(url)

    async def request_removal(seconds_ago=0):
        prefix = f"courses/{uuid7()}/"
        await connection.execute(
            "INSERT INTO tasks (id, name, args, created_at) VALUES "
            "($1, 'images.remove', jsonb_build_object('prefix', $2::text), now() - $3::interval)",
            *(uuid7(), prefix, timedelta(seconds=seconds_ago)),
        )
        return prefix

    yield request_removal
    await connection.close()


@pytest.fixture
async def removed(url):
    """The removed prefixes that two instances know, each by a feed of its own."""
    known = [set(), set()]
    following = [
        asyncio.create_task(DatabaseFeed(url, RemovedImages(each.add)).follow()) for each in known
    ]
    yield known
    for task in following:
        task.cancel()


async def test_every_instance_knows_a_removal_within_a_second(removed, remove):
    await asyncio.sleep(0.2)
    prefix = await remove()
    started = time.monotonic()
    await eventually(lambda: asyncio.sleep(0, all(prefix in known for known in removed)))
    assert time.monotonic() - started < 1


async def test_a_process_that_starts_later_knows_earlier_removals(url, remove):
    prefix = await remove(86_400)
    known = set()
    following = asyncio.create_task(DatabaseFeed(url, RemovedImages(known.add)).follow())
    await eventually(lambda: asyncio.sleep(0, prefix in known))
    following.cancel()
