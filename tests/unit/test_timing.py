"""When the slots of schedules begin, also while clocks change."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.queue.timing import EPOCH, Cron, Every, InvalidTiming, declared, parse

AUCKLAND = "Pacific/Auckland"
# On 2026-04-05 at 3:00 NZDT the clocks of Auckland go back to 2:00 NZST; on 2026-09-27 at 2:00 NZST
# they go forward to 3:00 NZDT.
NZDT, NZST = "+13:00", "+12:00"


def at(text: str) -> datetime:
    """Return the time of a text with an offset, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def slots(timing, since: str, until: str) -> list[datetime]:
    """Return all slots after a time until another."""
    found, slot = [], at(since)
    while (slot := timing.next_after(slot)) <= at(until):
        found.append(slot)
    return found


def local(timing, since: str, until: str) -> list[str]:
    """Return the slots as the clocks of the zone show them."""
    return [f"{each.astimezone(timing.zone):%d %H:%M %Z}" for each in slots(timing, since, until)]


def test_a_cron_expression_follows_the_clocks_of_its_zone():
    weekly = Cron("0 6 * * mon", AUCKLAND)
    assert slots(weekly, "2026-03-29T00:00Z", "2026-04-14T00:00Z") == [
        at(f"2026-03-30T06:00{NZDT}"),
        at(f"2026-04-06T06:00{NZST}"),
        at(f"2026-04-13T06:00{NZST}"),
    ]
    assert Cron("0 6 * * mon").next_after(at("2026-03-29T00:00Z")) == at("2026-03-30T06:00Z")


def test_a_slot_that_does_not_exist_in_spring_is_the_next_minute_that_does():
    nightly = Cron("30 2 * * *", AUCKLAND)
    assert local(nightly, "2026-09-25T12:00Z", "2026-09-28T12:00Z") == [
        "26 02:30 NZST",
        "27 03:00 NZDT",
        "28 02:30 NZDT",
    ]
    assert nightly.latest(at(f"2026-09-27T03:00{NZDT}")) == at(f"2026-09-27T03:00{NZDT}")
    assert nightly.latest(at(f"2026-09-27T01:59:59{NZST}")) == at(f"2026-09-26T02:30{NZST}")


def test_slots_that_do_not_exist_in_spring_are_one_with_that_of_the_next_minute():
    both = Cron("0,30 2,3 * * *", AUCKLAND)
    assert local(both, f"2026-09-26T23:00{NZST}", f"2026-09-27T12:00{NZDT}") == [
        "27 03:00 NZDT",
        "27 03:30 NZDT",
    ]


def test_a_slot_that_comes_twice_in_autumn_counts_once():
    nightly = Cron("30 2 * * *", AUCKLAND)
    assert local(nightly, "2026-04-03T12:00Z", "2026-04-06T12:00Z") == [
        "04 02:30 NZDT",
        "05 02:30 NZDT",
        "06 02:30 NZST",
    ]
    first, second = at(f"2026-04-05T02:30{NZDT}"), at(f"2026-04-05T02:30{NZST}")
    for minutes in (0, 1, 29, 30, 59, 60, 61):
        assert nightly.latest(first + timedelta(minutes=minutes)) == first
    assert nightly.latest(second) == first
    assert nightly.next_after(second) == at(f"2026-04-06T02:30{NZST}")
    # Between the two, the search must not go back to the first.
    assert nightly.next_after(at(f"2026-04-05T02:10{NZST}")) == at(f"2026-04-06T02:30{NZST}")


def test_an_hourly_slot_goes_on_by_elapsed_time():
    hourly = Cron("30 * * * *", AUCKLAND)
    autumn = slots(hourly, f"2026-04-05T00:00{NZDT}", f"2026-04-05T06:00{NZST}")
    spring = slots(hourly, f"2026-09-27T00:00{NZST}", f"2026-09-27T06:00{NZDT}")
    assert (len(autumn), len(spring)) == (7, 5)
    for one, following in pairwise(autumn):
        assert following - one == timedelta(hours=1)


def test_midnight_that_does_not_exist_is_one_o_clock():
    daily = Cron("0 0 * * *", "America/Santiago")
    assert local(daily, "2026-09-05T12:00Z", "2026-09-07T12:00Z") == [
        "06 01:00 -03",
        "07 00:00 -03",
    ]


def test_no_slot_is_passed_over_where_clocks_move_by_half_an_hour():
    odd = Cron("10 */2 * * *", "Australia/Lord_Howe")
    assert local(odd, "2024-04-06T12:00Z", "2024-04-06T18:00Z") == [
        "07 00:10 +11",
        "07 02:10 +1030",
        "07 04:10 +1030",
    ]


@pytest.mark.parametrize(
    "expression",
    ["30 2 * * *", "0,30 1-3 * * *", "*/15 * * * *", "0 0 * * *", "5 0 1 * *", "59 23 l * *"],
)
@pytest.mark.parametrize(
    "tz", [AUCKLAND, "Europe/Berlin", "America/Havana", "America/Asuncion", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("month", ["2024-03", "2024-10", "2024-11"])
def test_the_last_slot_and_the_next_agree_at_each_time(expression, tz, month):
    cron = Cron(expression, tz)
    start = at(f"{month}-01T00:00:00Z")
    all_slots = slots(cron, f"{start - timedelta(days=40)}", f"{start + timedelta(days=75)}")
    for hours in range(0, 35 * 24, 5):
        for offset in (timedelta(), timedelta(minutes=30), timedelta(microseconds=1)):
            time = start + timedelta(hours=hours) + offset
            position = bisect_right(all_slots, time)
            assert cron.latest(time) == all_slots[position - 1]
            assert cron.next_after(time) == all_slots[position]


def test_a_slot_has_begun_at_its_very_start():
    for timing in (Every(60), Cron("* * * * *"), Cron("30 2 * * *", AUCKLAND)):
        slot = timing.next_after(at("2026-01-01T00:00:07Z"))
        assert timing.latest(slot) == slot
        assert timing.latest(slot - timedelta(microseconds=1)) < slot
        assert timing.next_after(slot) > slot
        assert timing.next_after(slot - timedelta(microseconds=1)) == slot


def test_an_interval_counts_from_1970():
    assert Every(3600).latest(at("2026-01-01T05:59:59.9Z")) == at("2026-01-01T05:00Z")
    assert Every(7).latest(EPOCH + timedelta(seconds=20)) == EPOCH + timedelta(seconds=14)


def test_the_slots_of_an_expression_can_be_years_apart():
    leap = Cron("0 0 29 2 *")
    assert leap.latest(at("2026-01-01T00:00Z")) == at("2024-02-29T00:00Z")
    assert leap.next_after(at("2026-01-01T00:00Z")) == at("2028-02-29T00:00Z")


@pytest.mark.parametrize(
    "text", ["every 60", "0 6 * * mon Pacific/Auckland", "*/5 0-6 1,l * * UTC"]
)
def test_a_timing_is_its_text(text):
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


def test_spaces_do_not_make_another_timing():
    assert Cron(" 0  6 * * mon") == Cron("0 6 * * mon", "UTC")
    assert declared(None, "0 6 * * mon", None) == parse("0 6 * * mon UTC")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "tz '' is no time zone"),
        ("every", "tz 'every' is no time zone"),
        ("every x", "every must be whole seconds (it is 'x')"),
        ("every 0", "every must be whole seconds, 1 to 31622400 (it is 0)"),
        ("every 31622401", "every must be whole seconds"),
        ("0 6 * * mon", "tz 'mon' is no time zone; it must be a name such as Pacific/Auckland"),
        ("0 6 * * UTC", "must have five fields: minute, hour, day of month, month, day of week"),
        ("0 0 6 * * mon UTC", "must have five fields"),
        ("60 6 * * mon UTC", "cron '60 6 * * mon': bad minute"),
        ("0 6 * * xyz UTC", "bad day-of-week"),
        ("0 6 30 2 * UTC", "bad day-of-month"),
        ("* * */20 * 1L UTC", "matches no time in the next 50 years"),
        ("0 6 * * mon Europe", "tz 'Europe' is no time zone"),
        ("0 6 * * mon /etc/passwd", "tz '/etc/passwd' is no time zone"),
        ("0 6 * * mon ../zone", "tz '../zone' is no time zone"),
        (f"{','.join(['0'] * 200)} 6 * * mon UTC", "more than 255 characters"),
    ],
)
def test_an_invalid_timing_is_named(text, fault):
    with pytest.raises(InvalidTiming) as refused:
        parse(text)
    assert fault in str(refused.value)


@pytest.mark.parametrize("seconds", [True, 1.5, "60", -1])
def test_an_interval_is_a_positive_whole_number(seconds):
    with pytest.raises(InvalidTiming):
        Every(seconds)


FIELD = st.text("0123456789*,-/#lwLmonfri", min_size=1, max_size=6)


@given(st.lists(FIELD, min_size=5, max_size=5).map(" ".join))
def test_an_expression_is_understood_or_refused(expression):
    try:
        cron = Cron(expression, AUCKLAND)
    except InvalidTiming:
        return
    time = at("2026-04-05T00:00Z")
    assert cron.latest(time) <= time < cron.next_after(time)
