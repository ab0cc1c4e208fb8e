"""What processes of one instance tell each other: each change, or that some are lost."""

import os

from uuid_utils.compat import uuid7

from infra.db.change_ring import SLOTS, ChangeRing
from infra.db.history import Change


def changes(number: int) -> list[Change]:
    return [Change((1 << 60) + n, str(uuid7()), bool(n % 2)) for n in range(number)]


def test_what_one_publishes_the_others_take():
    change_ring = ChangeRing()
    assert (change_ring.written, change_ring.since(0, 0)) == (0, [])
    first, second = changes(3), changes(2)
    change_ring.publish(first)
    assert change_ring.since(0, change_ring.written) == first
    change_ring.publish(second)
    assert change_ring.since(3, change_ring.written) == second
    assert change_ring.since(0, change_ring.written) == first + second


def test_what_is_overwritten_is_known_to_be_lost():
    change_ring, published = ChangeRing(), []
    for _ in range(10):
        published += (made := changes(SLOTS // 4))
        change_ring.publish(made)
        seen = change_ring.written - SLOTS // 2
        if seen >= 0:
            assert change_ring.since(seen, change_ring.written) == published[seen:]
    assert change_ring.since(change_ring.written - SLOTS, change_ring.written) is None
    change_ring.publish([])
    assert change_ring.since(change_ring.written, change_ring.written) == []


def test_of_more_changes_than_there_is_room_for_none_is_taken():
    change_ring = ChangeRing()
    change_ring.publish(changes(SLOTS + 1))
    assert change_ring.since(0, change_ring.written) is None
    assert change_ring.since(change_ring.written, change_ring.written) == []


def test_processes_that_publish_at_once_lose_nothing():
    change_ring, count = ChangeRing(), 5
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            try:
                for n in range(count):
                    change_ring.publish([Change(child * 100 + n, str(uuid7()), listed=True)])
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert change_ring.written == 4 * count
    taken = change_ring.since(0, change_ring.written)
    assert sorted(change.version for change in taken) == [
        child * 100 + n for child in range(4) for n in range(count)
    ]


def test_a_process_that_is_killed_while_it_publishes_locks_out_no_other(monkeypatch):
    change_ring = ChangeRing()
    if (pid := os.fork()) == 0:
        monkeypatch.setattr("infra.db.change_ring.UUID", lambda _: os.kill(os.getpid(), 9))
        change_ring.publish(changes(1))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    change_ring.publish(published := changes(1))
    assert change_ring.since(0, change_ring.written) == published


def test_times_and_the_newest_version_are_shared():
    change_ring = ChangeRing()
    assert (change_ring.newest, change_ring.wrote_at) == (0, 0)
    change_ring.note_version(7)
    change_ring.note_write()
    assert change_ring.newest == 7
    assert change_ring.wrote_at > 0
