"""What processes of one instance tell each other: each change, or that some are lost."""

import os

from uuid_utils.compat import uuid7

from infra.cache.shared import SLOTS, Shared
from infra.db.history import Change


def changes(number: int) -> list[Change]:
    return [Change((1 << 60) + n, str(uuid7()), bool(n % 2)) for n in range(number)]


def test_what_one_publishes_the_others_take():
    shared = Shared()
    assert (shared.written, shared.since(0, 0)) == (0, [])
    first, second = changes(3), changes(2)
    shared.publish(first)
    assert shared.since(0, shared.written) == first
    shared.publish(second)
    assert shared.since(3, shared.written) == second
    assert shared.since(0, shared.written) == first + second


def test_what_is_overwritten_is_known_to_be_lost():
    shared, published = Shared(), []
    for _ in range(10):
        published += (made := changes(SLOTS // 4))
        shared.publish(made)
        seen = shared.written - SLOTS // 2
        if seen >= 0:
            assert shared.since(seen, shared.written) == published[seen:]
    assert shared.since(shared.written - SLOTS, shared.written) is None
    shared.publish([])
    assert shared.since(shared.written, shared.written) == []


def test_of_more_changes_than_there_is_room_for_none_is_taken():
    shared = Shared()
    shared.publish(changes(SLOTS + 1))
    assert shared.since(0, shared.written) is None
    assert shared.since(shared.written, shared.written) == []


def test_processes_that_publish_at_once_lose_nothing():
    shared, count = Shared(), 5
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            try:
                for n in range(count):
                    shared.publish([Change(child * 100 + n, str(uuid7()), listed=True)])
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert shared.written == 4 * count
    taken = shared.since(0, shared.written)
    assert sorted(change.version for change in taken) == [
        child * 100 + n for child in range(4) for n in range(count)
    ]


def test_a_process_that_is_killed_while_it_publishes_locks_out_no_other(monkeypatch):
    shared = Shared()
    if (pid := os.fork()) == 0:
        monkeypatch.setattr("infra.cache.shared.UUID", lambda _: os.kill(os.getpid(), 9))
        shared.publish(changes(1))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    shared.publish(published := changes(1))
    assert shared.since(0, shared.written) == published


def test_times_and_the_newest_version_are_shared():
    shared = Shared()
    assert (shared.newest, shared.wrote_at) == (0, 0)
    shared.note_version(7)
    shared.note_write()
    assert shared.newest == 7
    assert shared.wrote_at > 0
