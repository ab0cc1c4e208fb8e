"""Backups without a server: sealing, what is retained, what is chosen, folders as streams."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.backup import folders, retention, wal
from infra.backup.archive import Archive, data_folder, part_name
from infra.backup.choose import Wanted, choose, parse_history
from infra.backup.errors import BackupError, NoSuchBackup, TimeNotCovered, WrongKey
from infra.backup.record import Backup, Kind, segment_name
from infra.backup.sealing import Keys
from infra.backup.source import without_password
from infra.settings import Settings
from infra.storage import StorageUnavailable, open_backup_storage
from infra.storage.memory import MemoryStorage

DAY = timedelta(days=1)
NOW = datetime(2030, 1, 31, tzinfo=UTC)
MB = 1024 * 1024


def keys(path, *seeds):
    path.write_bytes(b"\n".join(b64encode(bytes([seed]) * 32) for seed in seeds))
    return Keys.load(path)


def backup(age, kind=Kind.FULL, parent=None, timeline=1, lsn=0):
    ended = NOW - age * DAY
    name = f"{ended:%Y%m%dT%H%M%S}000Z"
    return Backup(
        *(name, kind, parent and parent.id, "7", 18, timeline, lsn, lsn + 1, 16 * MB),
        *(ended - timedelta(minutes=1), ended, 5, 0),
    )


def increment(parent, age, **more):
    return backup(age, Kind.INCREMENTAL, parent, **more)


def test_what_is_sealed_is_opened_by_its_key_and_name_only(tmp_path):
    own = keys(tmp_path / "key", 1)
    sealed = own.seal("a", b"data" * 1000)
    assert len(sealed) < 200
    assert sealed != own.seal("a", b"data" * 1000)
    assert own.open("a", sealed) == b"data" * 1000
    with pytest.raises(WrongKey, match="b is damaged"):
        own.open("b", sealed)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(WrongKey):
            own.open("a", bytes(changed))
    for end in (0, 10, len(sealed) - 1):
        with pytest.raises(WrongKey):
            own.open("a", sealed[:end])


def test_an_older_key_still_opens_and_the_first_one_seals(tmp_path):
    sealed = keys(tmp_path / "old", 1).seal("a", b"data")
    both = keys(tmp_path / "both", 2, 1)
    assert both.open("a", sealed) == b"data"
    with pytest.raises(
        WrongKey, match=r"a was encrypted with the key \w{16}, and .*new has \w{16}$"
    ):
        keys(tmp_path / "new", 2).open("a", sealed)
    assert keys(tmp_path / "new", 2).open("a", both.seal("a", b"x")) == b"x"


async def test_a_folder_is_packed_in_chunks_and_unpacked(tmp_path):
    (tmp_path / "from/empty").mkdir(parents=True)
    (tmp_path / "from/a").write_bytes(bytes(range(256)) * 40_000)
    (tmp_path / "from/empty/.b").write_bytes(b"")
    chunks = [each async for each in folders.pack(tmp_path / "from", MB)]
    assert {len(each) for each in chunks[:-1]} == {MB}
    (tmp_path / "to").mkdir()

    async def stream(parts):
        for part in parts:
            yield part

    await folders.unpack(stream(chunks), tmp_path / "to")
    assert (tmp_path / "to/a").read_bytes() == (tmp_path / "from/a").read_bytes()
    assert (tmp_path / "to/empty/.b").exists()
    with pytest.raises(BackupError, match="can't be written"):
        await folders.unpack(stream(chunks[:1]), tmp_path / "to")
    with pytest.raises(BackupError, match="can't be written"):
        await folders.unpack(stream([b"no tar" * 1000]), tmp_path / "to")
    with pytest.raises(BackupError, match="can't be read"):
        assert not [each async for each in folders.pack(tmp_path / "absent", MB)]


async def test_an_archive_waits_for_a_store_that_comes_back(tmp_path, monkeypatch):
    class Away(MemoryStorage):
        failures = 3

        async def put(self, key, data, content_type):
            if self.failures:
                self.failures -= 1
                raise StorageUnavailable("away")
            await super().put(key, data, content_type)

    monkeypatch.setattr("infra.backup.archive._RETRY_SECONDS", (0, 0, 0))
    archive = Archive(store := Away("/"), keys(tmp_path / "key", 1))
    await archive.put("a", b"data")
    assert await archive.get("a") == b"data"
    assert [*store.objects] == ["backups/a"]
    store.failures = 9
    with pytest.raises(BackupError, match="away"):
        await archive.put_parts("b/", _stream(b"1", b"2"))


async def _stream(*chunks):
    for chunk in chunks:
        yield chunk


async def test_parts_come_in_order_and_a_missing_one_is_named(tmp_path):
    archive = Archive(MemoryStorage("/"), keys(tmp_path / "key", 1))
    content = [bytes([number]) * 9 for number in range(13)]
    assert await archive.put_parts("d/", _stream(*content)) == 13
    assert [each async for each in archive.parts("d/", 13)] == content
    await archive.delete(part_name("d/", 11))
    with pytest.raises(BackupError, match="backups/d/part-00000011 is missing"):
        assert [each async for each in archive.parts("d/", 13)]


def test_retention_keeps_what_restores_to_its_first_moment_need():
    old, base = backup(20, lsn=1 * MB), backup(9, lsn=100 * MB)
    first = increment(base, 8, lsn=200 * MB)
    newer, last = increment(first, 6, lsn=300 * MB), backup(1, lsn=400 * MB)
    kept = retention.retained([old, base, first, newer, last], NOW - 7 * DAY)
    assert kept.backups == {base.id, first.id, newer.id, last.id}
    # The replay begins at `first`: WAL between its parent and it is not needed.
    assert kept.first_segment == segment_name(1, 200 * MB, 16 * MB)[8:]


def test_retention_never_takes_the_last_good_backup():
    assert retention.retained([], NOW) is None
    assert retention.retained([backup(3)], NOW - 7 * DAY) is None
    lone = backup(100)
    broken = increment(backup(50), 40)  # its parent is gone
    assert retention.retained([lone, broken], NOW - 7 * DAY).backups >= {lone.id}


async def test_pruning_deletes_old_backups_their_wal_and_what_failures_left(tmp_path):
    keys(tmp_path / "key", 1)
    settings = Settings(
        _env_file=None,
        backup_url=f"file://{tmp_path}/store",
        backup_key_file=tmp_path / "key",
        backup_retention_days=7,
    )
    archive = Archive(open_backup_storage(settings), Keys.load(tmp_path / "key"))
    old, base, last = backup(20), backup(9, lsn=32 * MB), backup(1, lsn=64 * MB)
    for each in (old, base, last):
        await archive.put_parts(data_folder("7", each.id), _stream(b"1"))
        await archive.put_backup(each)
    for left in (backup(5), backup(1.5)):
        await archive.put(part_name(data_folder("7", left.id), 0), b"of a failed backup")
    segments = [segment_name(1, number * 16 * MB, 16 * MB) for number in range(4)]
    for file in (*segments, "00000002.history"):
        await archive.put(f"wal/7/{file}", bytes(16))
    assert await retention.prune(settings, NOW) == 1
    assert await archive.backups("7") == [base, last]
    assert await wal.files(archive, "7") == [*segments[2:], "00000002.history"]
    kept = {name.split("/")[2] for name in await archive.names("data/")}
    assert kept == {base.id, last.id, backup(1.5).id}
    assert await retention.prune(settings, NOW) == 0


def test_the_newest_chain_before_the_time_is_chosen():
    full = backup(9)
    middle = increment(full, 8)
    newest = increment(middle, 2)
    known = [full, middle, newest]
    assert choose(Wanted(None), known, {}).backups == known
    assert choose(Wanted(NOW - 3 * DAY), known, {}).backups == [full, middle]
    assert choose(Wanted(NOW, backup=full.id), known, {}).backups == [full]
    with pytest.raises(TimeNotCovered, match="nothing before it can be restored"):
        choose(Wanted(NOW - 10 * DAY), known, {})
    # Without its parent an incremental backup is none, and an older chain is used.
    other = replace(backup(20), id="other")
    assert choose(Wanted(None), [other, middle, newest], {}).backups == [other]
    with pytest.raises(NoSuchBackup, match=r"the parent .* is missing"):
        choose(Wanted(None), [middle, newest], {})


def test_backups_of_an_abandoned_timeline_are_not_chosen():
    before, abandoned, own = backup(9, lsn=5), backup(8, lsn=50), backup(7, timeline=2, lsn=40)
    histories = {2: parse_history("1\t0/14\tbefore 2030-01-01\n\n# a comment\n")}
    assert histories == {2: {1: 20}}
    choice = choose(Wanted(None), [before, abandoned], histories)
    assert (choice.backups, choice.timeline) == ([before], 2)
    assert choose(Wanted(None), [before, abandoned, own], histories).backups == [own]
    choice = choose(Wanted(None, timeline=1), [before, abandoned, own], histories)
    assert (choice.backups, choice.timeline) == ([abandoned], 1)
    with pytest.raises(NoSuchBackup, match="no backup leads to the timeline 2"):
        choose(Wanted(None), [abandoned], histories)


def test_segments_follow_each_other():
    assert segment_name(3, 0x1_2345_6789, 16 * MB) == "000000030000000100000023"
    assert wal.following("0000000300000001000000FF", 16 * MB) == "000000030000000200000000"
    assert wal.following("000000030000000100000003", 1024 * MB) == "000000030000000200000000"


def test_no_password_is_in_a_command_line():
    url = "postgresql://me:p%40ss@a:1,b:2/x?password=other&sslmode=disable&pgbouncer=false"
    shown, environment = without_password(url)
    assert shown == "postgresql://me@a:1,b:2/x?sslmode=disable&target_session_attrs=primary"
    assert environment == {"PGPASSWORD": "other"}
    assert without_password("postgresql://me:p%40ss@a/x")[1] == {"PGPASSWORD": "p@ss"}
    assert without_password("postgresql://a/x") == ("postgresql://a/x", {})
