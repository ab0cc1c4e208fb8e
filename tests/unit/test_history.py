"""What a process knows of the changes, and what it takes for current because of them."""

import pytest

from infra.db import history as module
from infra.db.history import Change, History, Step

A, B, C = "a" * 36, "b" * 36, "c" * 36


def step(previous: int, version: int, subject: str = A, *, listed: bool = True) -> Step:
    return Step(previous, Change(version, subject, listed))


@pytest.fixture
def history():
    """One that has begun at version 10, with the change of 9 known."""
    history = History()
    assert history.follow(10, [step(5, 9, B), step(9, 10, C)]) is None
    return history


def _outdated(history, version, subject=None, body=b""):
    return history.is_outdated(version, subject, body)


def test_the_first_poll_knows_what_the_log_has(history):
    assert [history.covers(version) for version in (4, 5, 9, 10, 11)] == [
        *(False, True, True, True, False)
    ]
    assert history.version == 10


def test_of_an_empty_log_only_the_version_is_known():
    history = History()
    assert history.follow(7, []) is None
    assert [history.covers(version) for version in (6, 7)] == [False, True]
    assert history.follow(7, []) == []


def test_a_change_makes_old_its_thing_and_if_it_is_listed_all_lists(history):
    listed, unlisted = step(10, 11, A), step(11, 12, B, listed=False)
    assert history.follow(12, [listed, unlisted]) == [listed.change, unlisted.change]
    assert [_outdated(history, version, A) for version in (10, 11)] == [True, False]
    assert [_outdated(history, version, B) for version in (11, 12)] == [True, False]
    assert [_outdated(history, version) for version in (10, 11, 12)] == [True, False, False]
    # A list that shows what an unlisted change was of.
    shown = f'[{{"id":"{B}"}}]'.encode()
    assert [_outdated(history, version, None, shown) for version in (11, 12)] == [True, False]


@pytest.mark.parametrize(
    ("version", "steps"),
    [
        (13, [step(12, 13)]),  # 11 and 12 were pruned
        (9, []),  # the latest were lost
        (20, [step(8, 20)]),  # another history since
        (11, []),  # what led to it was pruned
    ],
)
def test_after_a_gap_nothing_known_before_counts(history, version, steps):
    assert history.follow(version, steps) is None
    assert history.version == version
    assert history.covers(version)
    assert history.covers(10) is False
    assert history.follow(version, []) == []


def test_of_several_changes_of_one_version_each_counts(history):
    history.follow(11, [step(10, 11, A, listed=False), step(10, 11, B, listed=False)])
    for subject in (A, B):
        assert _outdated(history, 10, subject)
        assert _outdated(history, 10, None, subject.encode())


def test_more_changes_than_are_read_at_once_are_a_gap(history, monkeypatch):
    monkeypatch.setattr(module, "MOST_CHANGES", 3)
    steps = [step(11, 12, A), step(11, 12, B), step(12, 13, C)]
    assert history.follow(13, steps) is None
    # Of the oldest some changes may be missing.
    assert [history.covers(version) for version in (10, 11, 12, 13)] == [False, False, True, True]
    assert _outdated(history, 12, C)
    assert history.follow(14, [step(13, 14)]) is not None


def test_an_own_change_counts_before_it_is_polled_and_is_no_gap_then(history):
    own = Change(12, A, listed=True)
    history.note(own)
    assert _outdated(history, 10)
    assert (history.covers(12), history.version) == (True, 10)
    # Another instance's version came in between.
    other = step(10, 11, B, listed=False)
    assert history.follow(12, [other, Step(11, own)]) == [other.change, own]
    assert _outdated(history, 11, A)
    assert _outdated(history, 10, None, B.encode())
    assert not _outdated(history, 12, None, B.encode())


def test_an_own_change_that_was_never_committed_is_forgotten(history):
    history.note(Change(12, A, listed=True))
    # The first poll may have begun before the commit.
    assert history.follow(10, []) == []
    assert _outdated(history, 10)
    assert history.follow(10, []) is None
    assert not _outdated(history, 10)
    assert history.follow(10, []) == []


def test_what_is_remembered_is_bounded_and_what_is_older_is_unknown(history, monkeypatch):
    monkeypatch.setattr(module, "MOST_CHANGES", 10)
    for version in range(11, 100):
        history.follow(version, [step(version - 1, version, str(version), listed=False)])
    assert [history.covers(version) for version in (10, 50, 88, 95, 99)] == [
        *(False, False, False, True, True)
    ]
    assert _outdated(history, 95, "96")
    assert len(vars(history)["_touched"]) <= 10
    assert len(vars(history)["_changed"]) <= 10


def test_after_a_reset_the_next_poll_begins_anew(history):
    history.reset()
    assert history.version is None
    assert not history.covers(10)
    assert history.follow(10, [step(9, 10)]) is None
    assert history.covers(9)


def test_a_noted_change_that_a_later_poll_does_not_find_was_lost(history):
    history.note(Change(11, A, listed=True))
    assert history.follow(10, []) == []  # the poll began before its commit
    assert history.follow(12, [step(10, 12)]) is None
    assert not history.covers(11)


def test_a_noted_change_that_a_poll_finds_stays(history):
    noted = step(10, 11)
    history.note(noted.change)
    assert history.follow(11, [noted]) == [noted.change]
    assert history.follow(12, [step(11, 12)]) == [step(11, 12).change]
    assert history.covers(11)
