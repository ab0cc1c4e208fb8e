"""The memory of one process: bounded by bytes, the least recently read goes first."""

import time
from math import inf

import pytest

from infra.cache import Entry, Key, Slice
from infra.cache.memory import SLOT_BYTES, TARGETS_A_SLOT, Memory, Recut
from infra.db.history import Change
from infra.db.trust import Trust

SOON = time.monotonic() + 3600
LISTED, TOUCHED = Change(2, "two", listed=True), Change(2, "two", listed=False)


def entry(size: int = 1000) -> Entry:
    return Entry.of(b"x" * size, version=1)


def key(name: str, subject: str | None = None, *, rare: bool = False) -> Key:
    return Key(name, subject, long_tail=rare)


@pytest.fixture
def memory():
    memory = Memory(10 * (1000 + SLOT_BYTES), Trust(60))
    memory.trust.until = inf
    return memory


def test_the_least_recently_read_goes_first(memory):
    for number in range(10):
        memory.put(key(str(number)), entry(), SOON)
    assert memory.get("0")
    memory.put(key("10"), entry(), SOON)
    assert memory.get("1") is None
    assert memory.get("0")
    assert len(memory) == 10


def test_the_bound_is_in_bytes(memory):
    for number in range(100):
        memory.put(key(str(number)), entry(number * 100), SOON)
        memory.remember(b"/" + str(number).encode(), str(number))
        assert memory.size <= 10 * (1000 + SLOT_BYTES)
    assert len(memory.targets) <= len(memory)


def test_what_is_larger_than_all_the_room_is_not_kept(memory):
    memory.put(key("huge"), entry(1_000_000), SOON)
    assert (len(memory), memory.size) == (0, 0)


def test_the_rare_have_a_part_of_the_room_and_drive_out_nothing_else(memory):
    for number in range(5):
        memory.put(key(str(number)), entry(), SOON)
    for number in range(100):
        memory.put(key(f"search {number}", rare=True), entry(), SOON)
    assert all(memory.get(str(number)) for number in range(5))
    assert memory.get("search 99")
    assert len(memory) == 5 + 2


def test_a_listed_change_drops_all_older_lists_with_all_their_targets(memory):
    memory.put(key("a"), entry(), SOON)
    memory.put(key("newer"), Entry.of(b"", version=2), SOON)
    for name, subject in (("b", "one"), ("c", "two")):
        memory.put(key(name, subject), entry(), SOON)
    for name in ("a", "b", "c"):
        memory.remember(b"/" + name.encode(), name)
    memory.invalidate(LISTED)
    assert [memory.get(name) is not None for name in ("a", "b", "c", "newer")] == [
        *(False, True, False, True)
    ]
    assert list(memory.targets) == [b"/b"]
    memory.invalidate(LISTED)
    memory.clear()
    assert (len(memory), memory.size, memory.targets) == (0, 0, {})


@pytest.mark.parametrize("rare", [False, True])
def test_any_other_change_drops_the_lists_that_show_the_thing(memory, rare):
    for name, body in (("a", b'["one","two"]'), ("b", b'["three"]')):
        memory.put(key(name, rare=rare), Entry.of(body, version=1), SOON)
        memory.remember(b"/" + name.encode(), name)
    memory.put(key("newer"), Entry.of(b"two", version=2), SOON)
    memory.put(key("c", "two"), entry(), SOON)
    memory.invalidate(TOUCHED)
    assert [memory.get(name) is not None for name in ("a", "b", "c", "newer")] == [
        *(False, True, False, True)
    ]
    assert list(memory.targets) == [b"/b"]


def test_lists_can_be_dropped_alone(memory):
    memory.put(key("a"), entry(), SOON)
    memory.put(key("b", "one"), entry(), SOON)
    memory.invalidate_lists()
    assert [memory.get(name) is not None for name in ("a", "b")] == [False, True]


@pytest.mark.parametrize("change", [LISTED, TOUCHED])
def test_how_a_slice_was_sent_is_kept_when_it_is_old(memory, change):
    part = Slice(Key("a"), Key("block"), None, None, None)
    for has_prepared in (False, True):
        memory.put(part.key, kept := Entry.of(b"two", version=1), SOON, part)
        memory.remember(b"/a", "a")
        kept.prepared = "heads" if has_prepared else None
        memory.invalidate(change)
        assert memory.targets == {}
        assert list(memory.recuts) == [b"/a"] * has_prepared
    assert memory.recuts[b"/a"] == Recut(part, "heads")

    memory.put(part.key, entry(), SOON, part)
    memory.remember(b"/a", "a")
    assert not memory.recuts


def test_only_so_many_old_slices_are_kept(memory, monkeypatch):
    monkeypatch.setattr("infra.cache.memory.RECUTS", 3)
    for number in range(5):
        part = Slice(Key(f"{number}"), Key("block"), None, None, None)
        memory.put(part.key, kept := entry(), SOON, part)
        kept.prepared = "heads"
        memory.remember(b"/%d" % number, part.key.name)
        memory.invalidate(LISTED)
    assert list(memory.recuts) == [b"/2", b"/3", b"/4"]
    memory.clear()
    assert not memory.recuts


def test_a_newer_entry_keeps_the_targets(memory):
    memory.put(key("a"), entry(), SOON)
    memory.remember(b"/a", "a")
    memory.put(key("a"), newer := entry(10), SOON)
    assert memory.targets[b"/a"].entry is newer
    size = memory.size
    memory.remember(b"/a", "a")
    assert memory.size == size


@pytest.mark.parametrize("rare", [False, True])
def test_what_was_prepared_of_an_entry_counts_as_its_own(memory, rare):
    memory.put(key("a", rare=rare), kept := entry(), SOON)
    memory.remember(b"/a", "a")
    before = memory.size
    for size in (900, 1300, 1300):
        memory.weigh(b"/a", kept, size)
        assert memory.size == before + size
    # What is kept elsewhere, or not any more, takes no room here.
    memory.weigh(b"/a", entry(), 5000)
    memory.weigh(b"/elsewhere", kept, 5000)
    assert memory.size == before + 1300
    memory.weigh(b"/a", kept, 20_000)
    assert (len(memory), memory.size) == (0, 0)


def test_targets_are_bounded(memory):
    memory.put(key("a"), entry(), SOON)
    told = [memory.remember(str(number).encode(), "a") for number in range(100)]
    assert told == [number < TARGETS_A_SLOT for number in range(100)]
    assert len(memory.targets) == TARGETS_A_SLOT
    assert memory.remember(b"0", "a")
    assert not memory.remember(b"elsewhere", "b")


def test_an_entry_ends_with_its_time_unless_trust_is_lost(memory):
    memory.put(key("a"), entry(), time.monotonic() - 1)
    memory.trust.until = -inf
    assert memory.get("a")
    memory.trust.until = inf
    assert memory.get("a") is None


def test_reads_are_told_once_even_of_what_is_gone(memory):
    memory.put(key("a"), entry(), SOON)
    memory.put(key("b"), entry(), SOON)
    for _ in range(3):
        memory.get("a")
    memory.invalidate(LISTED)
    memory.put(key("a"), entry(), SOON)
    memory.get("a")
    assert memory.take_reads() == {"a": 6, "b": 1}
    assert memory.take_reads() == {}
