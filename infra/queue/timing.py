"""When the slots of a schedule begin: an interval, or a cron expression with its time zone.

The text of a timing is `every 3600`, in seconds, or `0 6 * * mon Pacific/Auckland`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTERVAL_SECONDS = 366 * 24 * 60 * 60
MAX_TEXT = 255
# The next slot of an expression that matches no more time.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_FIELDS = 5


class InvalidTiming(ValueError):
    """A schedule's timing is not understood, or never comes"""


@dataclass(frozen=True)
class Every:
    """Slots of so many seconds, counted from 1970 in UTC.

    Raises:
        InvalidTiming: the interval is no whole number of seconds from 1 to 366 days.

    """

    seconds: int

    def __post_init__(self) -> None:
        """Check the interval."""
        is_number = isinstance(self.seconds, int) and not isinstance(self.seconds, bool)
        if not is_number or not 1 <= self.seconds <= MAX_INTERVAL_SECONDS:
            raise InvalidTiming(
                f"every must be whole seconds, 1 to {MAX_INTERVAL_SECONDS} (it is {self.seconds!r})"
            )

    def __str__(self) -> str:
        """Return its text."""
        return f"every {self.seconds}"

    @property
    def zone(self) -> tzinfo:
        """The time zone of its slots."""
        return UTC

    def next_after(self, at: datetime) -> datetime:
        """Return the start of the first slot after a time."""
        return self.latest(at) + timedelta(seconds=self.seconds)

    def latest(self, at: datetime) -> datetime:
        """Return the start of the last slot that has begun."""
        interval = timedelta(seconds=self.seconds)
        return EPOCH + (at - EPOCH) // interval * interval

    def slot_id(self, slot: datetime) -> str:
        """Return what tells a slot from the others of its task."""
        return str((slot - EPOCH) // timedelta(seconds=self.seconds))


@dataclass(frozen=True)
class Cron:
    """The minutes that match a cron expression of five fields, by the clocks of a time zone.

    At changes of these clocks it does as Debian's cron. A time that does not exist in spring is its
    next minute that does; one that comes twice in autumn counts once, the first time. Expressions
    whose minutes or hours start with `*` go on by elapsed time.

    Raises:
        InvalidTiming: expression or zone are not understood, or no time matches for 50 years.

    """

    expression: str
    tz: str = "UTC"
    zone: tzinfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check expression and zone."""
        object.__setattr__(self, "zone", _zone(self.tz))
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        if len(str(self)) > MAX_TEXT:
            raise InvalidTiming(f"cron has more than {MAX_TEXT} characters with its tz")
        if len(self.expression.split()) != _FIELDS:
            raise InvalidTiming(
                f"cron {self.expression!r} must have five fields: "
                "minute, hour, day of month, month, day of week"
            )
        try:
            upcoming = next(CronSim(self.expression, datetime.now(UTC)), None)
        except CronSimError as error:
            raise InvalidTiming(f"cron {self.expression!r}: {_lowered(error)}") from None
        if upcoming is None:
            raise InvalidTiming(f"cron {self.expression!r} matches no time in the next 50 years")

    def __str__(self) -> str:
        """Return its text."""
        return f"{self.expression} {self.tz}"

    def next_after(self, at: datetime) -> datetime:
        """Return the first slot after a time, in UTC; `NEVER` if there is none."""
        return _next_after(self, at)

    def latest(self, at: datetime) -> datetime:
        """Return the last slot that has begun, in UTC; 1970 if there is none."""
        latest = _backwards(self, at)
        while (following := self.next_after(latest)) <= at:
            latest = following
        return latest

    def slot_id(self, slot: datetime) -> str:
        """Return what tells a slot from the others of its task."""
        return slot.isoformat()


Timing = Every | Cron


def declared(every: int | None, cron: str | None, tz: str | None) -> Timing | None:
    """Return the timing of a declaration: an interval in seconds, or cron and its zone.

    Raises:
        InvalidTiming: it is both, incomplete, or not understood.

    """
    if cron is None and tz is not None:
        raise InvalidTiming("tz is for cron, and there is no cron")
    if cron is None:
        return None if every is None else Every(every)
    if every is not None:
        raise InvalidTiming("give every or cron, not both")
    return Cron(cron) if tz is None else Cron(cron, tz)


@lru_cache(maxsize=1024)
def parse(text: str) -> Timing:
    """Return the timing that has this text.

    Raises:
        InvalidTiming: none has.

    """
    *words, last = text.split() or [""]
    if words == ["every"]:
        if not last.isdecimal():
            raise InvalidTiming(f"every must be whole seconds (it is {last!r})")
        return Every(int(last))
    return Cron(" ".join(words), last)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # A folder of zones, such as Europe, gives an OSError, and an absolute path a ValueError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidTiming(
            f"tz {name!r} is no time zone; it must be a name such as Pacific/Auckland"
        ) from None


# Each relay asks once a second for each schedule.
@lru_cache(maxsize=1024)
def _next_after(cron: Cron, at: datetime) -> datetime:
    forwards = CronSim(cron.expression, at.astimezone(cron.zone))
    # In the hour that comes twice, the search may begin before the time.
    found = next((each for slot in forwards if (each := slot.astimezone(UTC)) > at), NEVER)
    # Where clocks move by half an hour, it may pass over a slot.
    while found < NEVER and (before := _backwards(cron, found)) > at:
        found = before
    return found


def _backwards(cron: Cron, at: datetime) -> datetime:
    """Return a slot before a time; in the hour that comes twice, not always the last one."""
    slot = next(CronSim(cron.expression, at.astimezone(cron.zone), reverse=True), None)
    return slot.astimezone(UTC) if slot else EPOCH


def _lowered(error: CronSimError) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
