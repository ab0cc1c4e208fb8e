"""The start of the relay's scan for due tasks."""

from datetime import UTC, datetime, timedelta

from infra.queue.levels import HIGHEST, LATE_COMMIT, LOWEST, MAX_LEVELS, Levels

AT = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_kind_starts_at_the_default_priority_and_other_names_at_none():
    levels = Levels()
    assert levels.of("a") == [("a", 0, None)]
    assert levels.gaps("a") == [("a", LOWEST - 1, 0), ("a", 0, HIGHEST + 1)]


def test_a_scan_continues_at_the_last_published_task_but_includes_late_commits():
    levels = Levels()
    levels.published("a", 0, AT)
    levels.published("a", 5, AT + timedelta(seconds=1))
    assert dict(each[1:] for each in levels.of("a")) == {
        0: AT - LATE_COMMIT,
        5: AT + timedelta(seconds=1) - LATE_COMMIT,
    }
    assert levels.gaps("a") == [
        ("a", LOWEST - 1, 0),
        ("a", 0, 5),
        ("a", 5, HIGHEST + 1),
    ]


def test_an_exhausted_level_continues_there_and_a_full_scan_starts_over():
    levels = Levels()
    levels.exhausted(["a"], AT)
    assert levels.of("a") == [("a", 0, AT - LATE_COMMIT)]
    levels.scan_all()
    assert levels.of("a") == [("a", 0, None)]


def test_any_number_of_priorities_uses_bounded_memory():
    levels = Levels()
    for priority in range(10 * MAX_LEVELS):
        levels.published("a", priority, AT)
        assert len(levels.of("a")) <= MAX_LEVELS
