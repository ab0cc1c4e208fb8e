"""The memory of one process: bounded by bytes, the least recently read goes first."""

import time
from math import inf

import pytest

from infra.cache import Entry, Key, Piece, masked
from infra.cache.memory import SLOT_BYTES, TARGETS_A_SLOT, Cutting, Memory

SOON = time.monotonic() + 3600


def entry(size: int = 1000) -> Entry:
    return Entry.of(b"x" * size)


def key(name: str, topic: str = "courses", *, rare: bool = False) -> Key:
    return Key(name, topic, rare=rare)


@pytest.fixture
def memory():
    return Memory(10 * (1000 + SLOT_BYTES))


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


def test_of_a_topic_with_a_mask_what_it_picks_is_made_anew_and_forgotten(memory):
    keys = [Key(f"search {bit}", "searches", bit=bit) for bit in (0, 3, None)]
    for each in [*keys, Key("3", "courses", bit=3)]:
        memory.put(each, entry(), SOON, entry)
    picked = masked("searches", [3, 4])
    assert {known.name for known, _ in memory.about([picked])} == {"search 3", "search None"}
    memory.forget(picked)
    assert [memory.get(name) is not None for name in ("search 0", "search 3", "3")] == [
        *(True, False, True)
    ]
    assert memory.get("search None") is None


def test_a_topic_is_forgotten_with_all_its_spellings(memory):
    memory.put(key("a"), entry(), SOON)
    memory.put(key("b", "course:1"), entry(), SOON)
    memory.remember(b"/a", "a")
    memory.remember(b"/b", "b")
    memory.forget("courses")
    assert memory.get("a") is None
    assert memory.get("b")
    assert list(memory.targets) == [b"/b"]
    memory.forget("courses")
    memory.clear()
    assert (len(memory), memory.size, memory.targets) == (0, 0, {})


@pytest.mark.parametrize("rare", [False, True])
def test_what_lists_a_thing_is_forgotten_with_all_its_spellings(memory, rare):
    for name, body in (("a", b'["one","two"]'), ("b", b'["three"]')):
        memory.put(Key(name, "courses", rare=rare, lists=True), Entry.of(body), SOON)
        memory.remember(b"/" + name.encode(), name)
    memory.put(key("c", "course:two"), Entry.of(b"two"), SOON)
    memory.forget_showing(b"two")
    assert memory.get("a") is None
    assert memory.get("b")
    assert memory.get("c")
    assert list(memory.targets) == [b"/b"]


@pytest.mark.parametrize("forget", [lambda m: m.forget("t"), lambda m: m.forget_showing(b"x")])
def test_how_a_piece_was_sent_is_kept_when_it_is_old(memory, forget):
    piece = Piece(Key("a", "t", lists=True), Key("whole", "t"), None, None, None)
    for has_prepared in (False, True):
        memory.put(piece.key, kept := entry(), SOON, piece)
        memory.remember(b"/a", "a")
        kept.prepared = "heads" if has_prepared else None
        forget(memory)
        assert memory.targets == {}
        assert list(memory.cuttings) == [b"/a"] * has_prepared
    assert memory.cuttings[b"/a"] == Cutting(piece, "heads")

    memory.put(piece.key, entry(), SOON, piece)
    memory.remember(b"/a", "a")
    assert not memory.cuttings


def test_only_so_many_old_pieces_are_kept(memory, monkeypatch):
    monkeypatch.setattr("infra.cache.memory.CUTTINGS", 3)
    for number in range(5):
        piece = Piece(Key(f"{number}", "t"), Key("whole", "t"), None, None, None)
        memory.put(piece.key, kept := entry(), SOON, piece)
        kept.prepared = "heads"
        memory.remember(b"/%d" % number, piece.key.name)
        memory.forget("t")
    assert list(memory.cuttings) == [b"/2", b"/3", b"/4"]
    memory.clear()
    assert not memory.cuttings


def test_what_can_be_made_again_is_told_by_topic_the_last_read_first(memory):
    piece = Piece(key("piece"), key("a"), None, None, None)
    for name, is_rare in (("a", False), ("r", True), ("b", False), ("s", True)):
        memory.put(key(name, rare=is_rare), entry(), SOON, f"make {name}")
    memory.put(key("elsewhere", topic="course:1"), entry(), SOON, "make elsewhere")
    memory.put(piece.key, entry(), SOON, piece)
    memory.put(key("once"), entry(), SOON)
    memory.get("a")
    assert [make for _, make in memory.about(["courses"])] == [
        "make a",
        "make b",
        "make s",
        "make r",
    ]
    assert [key.name for key, _ in memory.about(["course:1", "x"])] == ["elsewhere"]


def test_a_newer_answer_keeps_the_spellings(memory):
    memory.put(key("a"), entry(), SOON)
    memory.remember(b"/a", "a")
    memory.put(key("a"), newer := entry(10), SOON)
    assert memory.targets[b"/a"].entry is newer
    size = memory.size
    memory.remember(b"/a", "a")
    assert memory.size == size


@pytest.mark.parametrize("rare", [False, True])
def test_what_was_prepared_of_an_answer_counts_as_its_own(memory, rare):
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


def test_spellings_are_bounded(memory):
    memory.put(key("a"), entry(), SOON)
    told = [memory.remember(str(number).encode(), "a") for number in range(100)]
    assert told == [number < TARGETS_A_SLOT for number in range(100)]
    assert len(memory.targets) == TARGETS_A_SLOT
    assert memory.remember(b"0", "a")
    assert not memory.remember(b"elsewhere", "b")


def test_nothing_is_believed_past_its_time_or_that_of_the_link(memory):
    memory.put(key("a"), entry(), time.monotonic() - 1)
    assert memory.get("a") is None
    memory.put(key("a"), entry(), SOON)
    memory.sure_until = time.monotonic() - 1
    assert memory.get("a") is None
    memory.sure_until = inf
    assert memory.get("a")


def test_reads_are_told_once_even_of_what_is_gone(memory):
    memory.put(key("a"), entry(), SOON)
    memory.put(key("b"), entry(), SOON)
    for _ in range(3):
        memory.get("a")
    memory.forget("courses")
    memory.put(key("a"), entry(), SOON)
    memory.get("a")
    assert memory.take_reads() == {"a": 6, "b": 1}
    assert memory.take_reads() == {}
