"""`enroll backup` and `enroll restore` against a real server, its WAL, and a real bucket."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.backup import base_backup, wal
from infra.backup.archive import open_archive
from infra.backup.choose import Wanted
from infra.backup.errors import BackupError, BackupRefused
from infra.backup.record import Kind
from infra.backup.restore import restore
from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database
from infra.observability import task_metrics
from infra.queue.enqueue import enqueue
from infra.storage import BACKUPS_PREFIX, open_backup_storage, open_storage
from loadtests.bench.backup.site import (
    OWNER,
    Done,
    Site,
    archiving,
    new_key,
    public_folder,
)
from loadtests.bench.backup.site import site as running_site
from models import Task
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.task_names import TaskName
from tasks.registry import load_tasks
from tests.factories import eventually
from tests.processes import commands_of
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat

OBJECT = """
    INSERT INTO image_variants (id, course_id, width, height, format, bytes, key)
    SELECT gen_random_uuid(), id, $1, 1, $2, $3, $4 FROM courses LIMIT 1
"""
OWNER_NAME = OWNER[1] if OWNER else None
TABLES = """
    SELECT array_agg(relname::text) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@pytest.fixture(scope="module")
async def site():
    """A server with the service's schema and rows, a full backup and an incremental one."""
    with public_folder() as folder:
        async with running_site(folder) as site:
            for command in ("migrate", "seed --courses 50 --enrollments 2000", "backup --full"):
                await site.done(*command.split())
            await site.query("UPDATE courses SET title = title || ' II'")
            await site.done("backup")
            yield site


@pytest.fixture
def into():
    """A new folder to restore into."""
    with public_folder() as folder:
        yield folder / "restored"


def listed(done: Done) -> list[dict]:
    """Return what `enroll backup list --json` printed."""
    assert done.code == 0, done.errors
    return json.loads(done.output)


async def now(site):
    return await site.query("SELECT clock_timestamp()")


async def test_a_deleted_table_is_back_as_it_was_the_second_before(site, into):
    await site.query("UPDATE courses SET title = title || ' III'")
    tables = await site.query(TABLES)
    before = await site.hashes(tables)
    assert {"courses", "enrollments", "users"} < {*tables}
    moment = await now(site)
    await asyncio.sleep(1)
    await site.query("DROP TABLE enrollments CASCADE")
    await site.query("UPDATE courses SET title = 'damaged'")
    await site.archived()

    done = await site.restore(moment, into, "--json")
    assert done.code == 0, done.errors
    made = listed(await site.enroll("backup", "list", "--json"))
    assert [(each["kind"], each["parent"]) for each in made] == [
        ("full", None),
        ("incremental", made[0]["id"]),
    ]
    assert json.loads(done.output)["backups"] == [each["id"] for each in made]
    async with site.server(into) as url:
        assert await site.hashes(tables, url) == before
        assert await site.query("SELECT timeline_id FROM pg_control_checkpoint()", url=url) == 2
        await site.query("UPDATE courses SET title = 'writable'", url=url)


async def test_backups_go_on_after_a_restore(site, into):
    """The restored server has a timeline of its own, and archives it beside the old one."""
    await site.query("CREATE TABLE IF NOT EXISTS steps AS SELECT 1 AS step")
    moment = await now(site)
    await asyncio.sleep(0.1)
    await site.query("INSERT INTO steps VALUES (99)")
    await site.archived()
    assert (await site.restore(moment, into)).code == 0
    again = into.with_name("again")
    async with site.server(into, **archiving()) as url:
        other = Site(site.folder, url, {**site.environment}, site.launcher)
        other.environment["DATABASE_URL"] = url
        # The old timeline's backup is no parent of the new one's.
        assert "full backup" in (await other.done("backup")).output
        await other.query("INSERT INTO steps VALUES (2)")
        await other.archived()
        assert (await other.restore("latest", again)).code == 0
    async with site.server(again) as url:
        steps = "SELECT array_agg(step ORDER BY step) FROM steps"
        assert await site.query(steps, url=url) == [1, 2]
    # Not only for the tests after this one: an archive may have to forget a restored copy.
    await site.forget_timeline(2)


async def test_a_time_after_the_last_transaction_is_restored_if_its_wal_is_archived(site, into):
    await site.query("CREATE TABLE quiet AS SELECT 1 AS one")
    await asyncio.sleep(0.2)
    moment = await now(site)
    await asyncio.sleep(0.2)
    await site.query("SELECT pg_logical_emit_message(false, 'test', 'no transaction')")
    await site.archived()
    assert (await site.restore(moment, into)).code == 0
    async with site.server(into) as url:
        assert await site.query("SELECT one FROM quiet", url=url) == 1


async def test_each_refused_restore_says_why(site, into):
    early = (await open_archive(site.settings).backups())[0].started_at
    full = into.with_name("full")
    full.mkdir()
    (full / "file").touch()
    other_key = str(new_key(site.folder / "other.key"))
    running = site.launcher.data_dir.root / "data"
    cases = [
        ("is before the end of the first backup", Wanted(early), into, {}),
        ("is after the last archived WAL", Wanted(datetime.now(UTC) + timedelta(1)), into, {}),
        ("there is no backup 2020", Wanted(None, backup="2020"), into, {}),
        ("no backup of the cluster 7", Wanted(None, cluster="7"), into, {}),
        ("no backup leads to the timeline 9", Wanted(None, timeline=9), into, {}),
        ("is the folder of a running PostgreSQL", Wanted(None), running, {}),
        ("is not empty", Wanted(None), full, {}),
        ("wrong key: .* was encrypted with", Wanted(None), into, {"BACKUP_KEY_FILE": other_key}),
    ]
    for words, wanted, folder, changes in cases:
        changed = Site(site.folder, site.url, site.environment | changes, site.launcher)
        with pytest.raises(BackupError, match=words):
            await restore(changed.settings, wanted, folder, OWNER_NAME)
        assert not into.exists()
    assert (full / "file").exists()
    with pytest.raises(BackupRefused, match="there is no such user"):
        await restore(site.settings, Wanted(None), into, "no-such-user")
    done = await site.restore(early, into)
    assert done.code == 1
    assert done.errors.startswith("enroll: ")
    assert done.errors.count("\n") == 1


async def test_a_damaged_archive_is_no_restore(site, into):
    settings = site.settings
    store = open_backup_storage(settings)
    (newest, *_) = (await open_archive(settings).backups())[::-1]
    key = f"{BACKUPS_PREFIX}data/{newest.cluster}/{newest.id}/part-00000000"
    good = await store.get(key)
    changed = bytearray(good.data)
    changed[-1] ^= 1
    for content, words in ((bytes(changed), "is damaged"), (None, "is missing")):
        await store.delete_prefix(key)
        if content:
            await store.put(key, content, good.content_type)
        with pytest.raises(BackupError, match=words):
            await restore(settings, Wanted(None), into, OWNER_NAME)
        assert not into.exists()
    await store.put(key, good.data, good.content_type)


async def copying():
    """Return the program of the backup that this process makes, if it runs."""
    commands = commands_of(psutil.Process())
    return next((each for each, (name, *_) in commands.items() if "pg_basebackup" in name), None)


async def test_a_cancelled_backup_leaves_neither_record_nor_program(site):
    archive = open_archive(site.settings)
    before = await archive.backups()
    making = asyncio.create_task(base_backup.create(site.settings, Kind.FULL))
    program = await eventually(copying)
    program.suspend()
    with pytest.raises(BackupRefused, match="another backup of this server is running"):
        await base_backup.create(site.settings)
    making.cancel()
    program.resume()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert await archive.backups() == before
    assert [*site.settings.backup_folder.iterdir()] == []
    # A backend notices that its client is gone when it sends.
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_basebackup'"
    assert await eventually(partial(site.query, gone))


async def test_a_file_of_wal_is_archived_once_and_never_replaced(site, tmp_path):
    control = site.launcher.data_dir.root / "data/global/pg_control"
    (tmp_path / "global").mkdir()
    (tmp_path / "global/pg_control").write_bytes(control.read_bytes())
    (segment := tmp_path / "pg_wal/0000000F0000000000000001").parent.mkdir()
    for is_new in (True, False):
        segment.write_bytes(b"wal")
        assert await wal.archive_file(site.settings, segment) is is_new
    segment.write_bytes(b"of another server")
    done = await site.enroll("backup", "archive-wal", segment)
    assert done.code == 1
    assert "is archived with another content" in done.errors
    with pytest.raises(BackupRefused, match="is no file of PostgreSQL's WAL"):
        await wal.archive_file(site.settings, tmp_path / "global/pg_control")
    await site.forget_timeline(15)


async def test_missing_images_are_named(site):
    store = open_storage(site.settings)
    for width in (1, 2, 3):
        await site.query(OBJECT, width, "webp", 5, f"courses/{width}.webp")
    await store.put("courses/1.webp", b"image", "image/webp")
    await store.put("courses/2.webp", b"half", "image/webp")
    done = await site.enroll("backup", "check", "--json")
    assert (done.code, json.loads(done.output)) == (
        1,
        {
            "objects": 3,
            "faulty": [
                {"key": "courses/2.webp", "size": 5, "stored_size": 4},
                {"key": "courses/3.webp", "size": 5, "stored_size": None},
            ],
        },
    )
    done = await site.enroll("backup", "check")
    assert done.output.splitlines() == [
        "courses/2.webp: 4 bytes, and the database names 5 bytes",
        "courses/3.webp: missing, and the database names 5 bytes",
        "3 objects, 2 faulty",
    ]
    await site.query("DELETE FROM image_variants")
    assert (await site.enroll("backup", "check")).code == 0


async def test_the_scheduled_task_makes_a_backup_when_one_is_due(site, monkeypatch):
    shown = []
    monkeypatch.setattr(task_metrics.newest_backup, "set", shown.append)
    archive = open_archive(site.settings)
    before = await archive.backups()

    async def run(**changes):
        settings = site.settings.model_copy(update=changes)
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        parts = settings, open_storage(settings), cache, FlagFeed(Flags()), load_tasks()
        async with database(site.url, pool_size=2):
            task_id = await enqueue(TaskName.BACK_UP, {})
            await Task.filter(id=task_id).update(max_attempts=1)
            return await execute(Backends(*parts, "this", Heartbeat(site.url)), task_id)

    assert await run() == "succeeded"
    assert shown == []
    assert await run(backup_interval_hours=5) == "succeeded"
    assert shown == [before[-1].ended_at.timestamp()]
    assert await archive.backups() == before
    monkeypatch.setattr(base_backup, "newest", _long_ago)
    assert await run(backup_interval_hours=5) == "succeeded"
    made = (await archive.backups())[-1]
    assert made.parent == before[-1].id
    assert shown[-1] == made.ended_at.timestamp()


async def _long_ago(_settings):
    return datetime.now(UTC) - timedelta(hours=6)


async def test_a_server_without_an_archive_gets_no_backup(site, service):
    done = await site.enroll("backup", DATABASE_URL=service.env["DATABASE_URL"])
    assert done.code == 1
    assert "archive_mode is off on the server" in done.errors


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backup_key_file": None}, "BACKUP_KEY_FILE is missing"),
        ({"backup_key_file": "/no/such/file"}, "BACKUP_KEY_FILE /no/such/file can't be read"),
        ({"backup_key_file": __file__}, "has a line that is not 32 bytes in base64"),
        ({"backup_postgres_bin": "/usr"}, "BACKUP_POSTGRES_BIN /usr has no pg_basebackup"),
    ],
)
async def test_settings_that_allow_no_backup_are_named(site, changes, words):
    paths = {name: value and Path(value) for name, value in changes.items()}
    with pytest.raises(BackupRefused, match=words):
        await base_backup.create(site.settings.model_copy(update=paths))
