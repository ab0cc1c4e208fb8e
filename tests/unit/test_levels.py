"""Where the relay's scan for due tasks starts."""

from datetime import UTC, datetime, timedelta

from infra.queue.levels import HIGHEST, LATE_COMMIT, LOWEST, MAX_LEVELS, Levels

AT = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_kind_starts_with_the_usual_priority_and_everything_else_unknown():
    levels = Levels()
    assert levels.of("a") == [("a", 0, None)]
    assert levels.gaps("a") == [("a", LOWEST - 1, 0), ("a", 0, HIGHEST + 1)]


def test_a_scan_goes_on_where_the_last_published_task_was_but_for_late_commits():
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


def test_what_was_exhausted_starts_there_and_a_scan_of_all_at_the_first():
    levels = Levels()
    levels.exhausted(["a"], AT)
    assert levels.of("a") == [("a", 0, AT - LATE_COMMIT)]
    levels.scan_all()
    assert levels.of("a") == [("a", 0, None)]


def test_any_number_of_priorities_takes_bounded_room():
    levels = Levels()
    for priority in range(10 * MAX_LEVELS):
        levels.published("a", priority, AT)
        assert len(levels.of("a")) <= MAX_LEVELS
