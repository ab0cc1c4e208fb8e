"""Flags in the database: versions, audit, the feed of a process, and when they were evaluated."""

import asyncio
import json
import stat
from functools import partial
from uuid import uuid4

import asyncpg
import pytest

from infra.db.engine import database
from infra.db.feed import DatabaseFeed
from infra.observability.events import Event
from models import AuditEntry
from services.audit import trail
from services.audit.trail import Actor
from services.errors import Invalid
from services.fields import validated
from services.flags import store, uses
from services.flags.definitions import FlagDefinition
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.flags.registry import AVIF_VARIANTS, FLAGS, SEARCHES
from tests.factories import eventually

parse = partial(validated, FlagDefinition)

ON, OFF = ({"enabled": enabled} for enabled in (True, False))
SQL = "INSERT INTO feature_flags (name, definition) VALUES ($1, $2)"


@pytest.fixture
async def url(new_database):
    url = await new_database()
    async with database(url, pool_size=4):
        yield url


def definition(**fields):
    return parse({"enabled": True} | fields)


async def test_each_change_has_a_version_an_actor_and_what_was_before(url):
    trail.set_actor(Actor("ada"))
    one = await store.set_flag("avif-variants", definition())
    two = await store.kill_flag("avif-variants")
    three = await store.set_flag("avif-variants", definition())
    await store.delete_flag("avif-variants")
    assert 0 < one.version < two.version < three.version
    assert [each.state for each in (one, two, three)] == ["on", "off", "on"]
    changes, total = await store.history("avif-variants", 10)
    assert total == 4
    assert [change.action for change in changes] == [
        "flags.delete",
        "flags.set",
        "flags.kill",
        "flags.set",
    ]
    assert {change.actor for change in changes} == {"ada"}
    befores = [change.details["before"] for change in changes]
    afters = [change.details["after"] for change in changes]
    assert befores == [*afters[1:], None]
    assert [after and after["enabled"] for after in afters] == [None, True, False, True]
    page, _ = await store.history("avif-variants", 1, 1)
    assert [change.id for change in page] == [changes[1].id]


async def test_a_killed_flag_keeps_its_rollout(url):
    rollout = {"name": "flexibleRollout", "parameters": {"rollout": 25}}
    before = await store.set_flag("avif-variants", definition(strategies=[rollout]))
    killed = await store.kill_flag("avif-variants")
    assert (before.state, killed.state) == ("on for 25 %", "off")
    assert killed.definition == before.definition | {"enabled": False}


async def test_a_flag_without_a_definition_can_be_killed(url, tmp_path):
    assert (await store.kill_flag("searches")).state == "off"
    feed = FlagFeed(Flags(), tmp_path / "no folder" / "flags.json")
    await feed.catch_up()
    assert not feed.flags.is_on(SEARCHES)


async def test_a_refused_change_changes_and_records_nothing(url):
    await store.set_flag("searches", definition())
    with pytest.raises(store.FlagChanged):
        await store.set_flag("searches", definition(enabled=False), lambda _: False)
    with pytest.raises(store.FlagChanged):
        await store.delete_flag("searches", lambda _: False)
    with pytest.raises(Invalid):
        await store.set_flag("searches", definition(name="another"))
    for call in (store.kill_flag("no"), store.delete_flag("no"), store.get_flag("no")):
        with pytest.raises(store.FlagNotFound):
            await call
    with pytest.raises(store.FlagNotFound):
        await store.set_flag("no", definition())
    with pytest.raises(store.FlagNotFound):
        await store.history("no", 1)
    assert await AuditEntry.all().count() == 1


async def test_concurrent_changes_have_the_order_of_their_commits(url):
    await asyncio.gather(
        *(
            store.set_flag(name, definition(enabled=enabled))
            for enabled in (True, False)
            for name in ("searches", "avif-variants")
        )
    )
    entries = (await store.history("searches", 3))[0][::-1]
    last = await store.get_flag("searches")
    assert len(entries) == 2
    assert entries[-1].details["after"] == last.definition
    assert entries[-1].details["before"] == entries[0].details["after"]


async def test_only_one_of_two_conditional_changes_is_made(url):
    version = (await store.set_flag("searches", definition())).version
    results = await asyncio.gather(
        *(store.set_flag("searches", definition(), lambda at: at == version) for _ in range(2)),
        return_exceptions=True,
    )
    assert sorted(isinstance(each, store.FlagChanged) for each in results) == [False, True]


async def test_processes_follow_changes_by_notification_also_those_of_plain_sql(url, tmp_path):
    feeds = [FlagFeed(Flags(), tmp_path / f"{number}.json") for number in range(2)]
    # Polls are too rare to help.
    following = [
        asyncio.create_task(DatabaseFeed(url, feed, seconds=600).follow()) for feed in feeds
    ]

    async def searches_are(expected):
        async def probe():
            return {feed.flags.is_on(SEARCHES) for feed in feeds} == {expected}

        await eventually(probe)

    async def polled():
        return all(feed.age_seconds < 60 for feed in feeds)

    await eventually(polled)
    await store.kill_flag("searches")
    await searches_are(expected=False)
    await store.delete_flag("searches")
    await searches_are(expected=True)
    connection = await asyncpg.connect(url)
    await connection.execute(SQL, "searches", json.dumps(OFF | {"strategies": []}))
    await searches_are(expected=False)
    await connection.execute("TRUNCATE feature_flags")
    await searches_are(expected=True)
    await connection.close()
    for each in following:
        each.cancel()


async def test_processes_follow_changes_without_notifications(url, tmp_path):
    feed = FlagFeed(Flags(), tmp_path / "flags.json")
    feed.channel = None  # as behind a pooler that forwards none
    following = asyncio.create_task(DatabaseFeed(url, feed, seconds=0.2).follow())
    await store.kill_flag("searches")

    async def is_off():
        return not feed.flags.is_on(SEARCHES)

    await eventually(is_off)
    following.cancel()


async def test_what_a_process_has_read_is_kept_in_a_private_file(url, tmp_path, monkeypatch):
    file = tmp_path / "flags.json"
    await store.kill_flag("searches")
    await FlagFeed(Flags(), file).start()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    async def away(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("services.flags.feed.rows", away)
    restarted = FlagFeed(Flags(), file)
    await restarted.start()
    assert not restarted.flags.is_on(SEARCHES)
    assert restarted.age_seconds > 1e9


async def test_a_restored_database_with_an_older_version_is_followed(url, tmp_path):
    file = tmp_path / "flags.json"
    await store.kill_flag("searches")
    await FlagFeed(Flags(), file).start()
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM feature_flags")
    await connection.execute("UPDATE feature_flag_state SET version = 1")
    await connection.close()
    feed = FlagFeed(Flags(), file)
    await feed.start()
    assert (feed.flags.version, feed.flags.is_on(SEARCHES)) == (1, True)


async def test_a_malformed_definition_cannot_be_stored(url):
    connection = await asyncpg.connect(url)
    for text in ("[]", "{}", '{"enabled": 1, "strategies": []}', '{"enabled": true}'):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(SQL, "searches", text)
    await connection.close()


async def test_a_flag_is_stale_if_nobody_has_evaluated_it_for_30_days(url, tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(uses.log, "warning", lambda event, **about: warned.append((event, about)))
    connection = await asyncpg.connect(url)
    await connection.execute(SQL, "forgotten", json.dumps(ON | {"strategies": []}))
    feed = FlagFeed(Flags(), tmp_path / "flags.json")
    await feed.start()
    feed.flags.is_on(AVIF_VARIANTS, uuid4())
    await feed.stop()
    shown = {flag.name: flag for flag in await store.list_flags()}
    assert set(shown) == {*FLAGS, "forgotten"}
    assert shown["avif-variants"].last_evaluated_at is not None
    assert shown["searches"].last_evaluated_at is None
    # The code has it no more, so nobody can evaluate it.
    assert await uses.report_stale() == ["forgotten"]
    await connection.execute(
        "UPDATE feature_flag_uses SET declared_at = now() - interval '31 days', "
        "last_evaluated_at = last_evaluated_at - interval '31 days'"
    )
    assert await uses.report_stale() == ["avif-variants", "forgotten", "searches"]
    assert {event for event, _ in warned} == {Event.FLAG_STALE}
    assert warned[-1][1]["owner"] == "catalogue"
    feed.flags.is_on(AVIF_VARIANTS, uuid4())
    await feed.stop()
    assert await uses.report_stale() == ["forgotten", "searches"]
    await connection.close()


async def test_evaluations_are_written_once_a_minute_and_kept_during_an_outage(
    url, tmp_path, monkeypatch
):
    monkeypatch.setattr("services.flags.feed.FRESH_SECONDS", -1)
    feed = FlagFeed(Flags(), tmp_path / "flags.json")
    await feed.start()
    feed.flags.is_on(SEARCHES)
    await feed.catch_up()
    assert (await store.get_flag("searches")).last_evaluated_at is None
    monkeypatch.setattr("services.flags.feed.FLUSH_SECONDS", 0)

    async def away(*_):
        raise ConnectionRefusedError

    with monkeypatch.context() as outage:
        outage.setattr("services.flags.feed.rows", away)
        await feed.stop()
    assert feed.flags.evaluated == {"searches"}
    await feed.catch_up()
    assert (await store.get_flag("searches")).last_evaluated_at is not None
    assert feed.flags.evaluated == set()
