"""What readers of the catalogue get, through the cache; the one place that names its keys.

An answer is about a topic: one course, the listings, or the searches. Whoever changes a course
announces all three, of the searches those that can find it; whoever changes no more than its image
announces a touch.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from urllib.parse import parse_qsl, quote_plus
from uuid import UUID

from tortoise.exceptions import OperationalError

from infra.cache import Cache, Entry, Key, Outpost, Piece, masked
from infra.cache.answers import TOPICS_AT_ONCE
from infra.db.sql import rows
from infra.db.transactions import after_commit
from infra.queue.enqueue import enqueue
from infra.queue.queries import get as get_task
from models import Difficulty
from services.catalogue import queries, signatures
from services.catalogue.folding import fold
from services.catalogue.queries import VERSION, Filters, Sort
from services.catalogue.render import UrlOf
from services.catalogue.search_slots import SearchesBusy
from services.errors import CourseNotFound
from services.task_names import TaskName

LISTINGS = "courses"
SEARCHES = "searches"
_COURSE = "course:"
# Beyond these an answer is one of endlessly many, and read by few.
COMMON_COURSES = 5000
FEW_COURSES = 10
# Longer searches are not kept at all: hardly any two are the same.
MAX_SEARCH = 64
_ALL_LEVELS = frozenset(Difficulty)
_OID = "(SELECT oid FROM pg_database WHERE datname = current_database())"


async def course(cache: Cache, course_id: UUID, url_of: UrlOf) -> Entry:
    """Return a course.

    Raises:
        CourseNotFound: there is none of this id.

    """
    return await cache.get(key_of_course(course_id), lambda: queries.course(course_id, url_of))


async def courses(cache: Cache, course_ids: Collection[UUID], url_of: UrlOf) -> dict[UUID, Entry]:
    """Return those of the courses that there are, by their ids.

    Few are looked for in the cache, which has those of most students; of many, one statement takes
    less than as many look-ups.
    """
    if len(course_ids) > FEW_COURSES:
        return await queries.courses(course_ids, url_of)
    found = {}
    for course_id in course_ids:
        with suppress(CourseNotFound):
            found[course_id] = await course(cache, course_id, url_of)
    return found


async def newest(cache: Cache, url_of: UrlOf) -> Entry:
    """Return the newest thousand courses."""
    return await cache.get(NEWEST, lambda: queries.newest(url_of))


async def page(cache: Cache, filters: Filters, number: int, limit: int, url_of: UrlOf) -> Entry:
    """Return one page of the courses that match.

    Raises:
        SearchesBusy: it is a search, and there are too many.
        TooManyFills: it is a far page, and there are too many.

    """
    make = partial(queries.page, filters, number, limit, url_of)
    key = key_of_page(filters, number, limit)
    if key is None:
        return await make()
    on_sheet = _sheet_of(filters, number, limit)
    if on_sheet is None:
        return await cache.get(key, make)
    make_sheet = partial(queries.sheet, filters, on_sheet, url_of)
    cut = partial(queries.cut, number=number, limit=limit, filters=filters)
    return await cache.cut(Piece(key, _key_of_sheet(filters, on_sheet), make_sheet, cut, make))


async def by_name(cache: Cache, name: str, url_of: UrlOf) -> Entry:
    """Return the answer whose key has this name.

    Raises:
        CourseNotFound: it is of a course that is gone.
        SearchesBusy: it is of a search, and there are too many.
        ValueError: no key has this name.

    """
    if name == NEWEST.name:
        return await newest(cache, url_of)
    if name.startswith(_COURSE):
        return await course(cache, UUID(name.removeprefix(_COURSE)), url_of)
    filters, number, limit = _parsed(name)
    if limit is None:
        make = partial(queries.sheet, filters, number, url_of)
        return await cache.get(_key_of_sheet(filters, number), make)
    return await page(cache, filters, number, limit, url_of)


def _parsed(name: str) -> tuple[Filters, int, int | None]:
    """Return the filters, number and limit of a page's name; a sheet's has no limit.

    Raises:
        ValueError: none has this name.

    """
    _, _, query = name.partition("?")
    given = {"search": "", **dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))}
    try:
        difficulties = frozenset(map(Difficulty, filter(None, given["difficulty"].split(","))))
        filters = Filters(given["search"] or None, difficulties, Sort(given["sort"]))
        if "sheet" in given:
            return filters, int(given["sheet"]), None
        return filters, int(given["page"]), int(given["limit"])
    except KeyError as error:
        raise ValueError(f"{name!r} says no {error}") from None


async def warm(cache: Cache, names: Iterable[str], url_of: UrlOf) -> int:
    """Have the answers of these names made, one after the other; return how many there are."""
    warmed = 0
    for name in names:
        # What a slot is lacking for is made when somebody asks.
        with suppress(CourseNotFound, SearchesBusy, ValueError):
            await by_name(cache, name, url_of)
            warmed += 1
    return warmed


async def _mark() -> str:
    """Return the mark of the running transaction, by which its `cache.refresh` is known."""
    (row,) = await rows("SELECT pg_current_xact_id()::text AS id")
    return str(row["id"])


async def lacking(cache: Outpost, names: Iterable[str]) -> list[str]:
    """Return the names of what the shared cache has not of these answers, listings first.

    A change makes all listings old, some searches, and one course. Of a page it is the sheet.

    Raises:
        CacheAway: the cache can't be asked.

    """
    keys = {key.name: key for key in map(_shared, names) if key}
    lacking = await cache.lacking(list(keys.values()))
    return [key.name for key in sorted(lacking, key=lambda key: _SOONER.get(key.topic, 0))]


def _shared(name: str) -> Key | None:
    """Return the key of an answer in the shared cache; None: no key of it has this name."""
    if name == NEWEST.name:
        return NEWEST
    if name.startswith(_COURSE):
        return Key(name, name)
    try:
        filters, number, limit = _parsed(name)
    except ValueError:
        return None
    if limit is None:
        return _key_of_sheet(filters, number)
    on_sheet = _sheet_of(filters, number, limit)
    if on_sheet is not None:
        return _key_of_sheet(filters, on_sheet)
    return key_of_page(filters, number, limit)


async def announce(cache: Cache, course_id: UUID, *texts: str) -> None:
    """Announce, as soon as the running transaction commits, that a course came, changed or went.

    `texts` are all titles and descriptions that it has, and those that it had before.
    """
    found_by = masked(SEARCHES, signatures.bits_of(*texts))
    topics, mark = (LISTINGS, found_by, _topic(course_id)), await _mark()
    after_commit(lambda: cache.changed(*topics, mark=mark))


async def announce_image(cache: Cache, course_id: UUID) -> None:
    """Announce, as soon as the running transaction commits, that a course's image changed.

    It has another one, or the one that it has another state; nothing else changed.
    """
    topics, mark = (_topic(course_id), LISTINGS, SEARCHES), await _mark()
    after_commit(lambda: cache.touched(*topics, mark=mark))


async def is_announced(cache: Outpost, refresh_id: UUID) -> bool:
    """Tell whether whoever made the change that a task `cache.refresh` is of has announced it.

    Raises:
        CacheAway: the cache can't be asked.

    """
    refresh = await get_task(refresh_id)
    # `cache.refresh:MARK:...`, as the triggers write it; who enqueues it otherwise leaves no mark.
    _, _, key = (refresh.dedupe_key or "").partition(":")
    left, _, _ = key.partition(":")
    return bool(left) and await cache.is_announced(left)


async def owed() -> set[str]:
    """Return the topics of committed changes that no task has announced yet, and all listings'."""
    pending = await rows(
        # Two halves: an index has the queued ones by name, and few are running.
        "SELECT DISTINCT jsonb_array_elements_text(args->'courses') AS course FROM ("
        "SELECT args FROM tasks WHERE name = $1 AND state = 'queued' "
        "UNION ALL SELECT args FROM tasks WHERE name = $1 AND state = 'running') AS pending",
        TaskName.REFRESH_CACHE.value,
    )
    topics = {_topic(UUID(row["course"])) for row in pending}
    return topics | {LISTINGS, SEARCHES}


async def shape(url_of: UrlOf) -> str:
    """Return what must be equal for one process to use the answers that another one made.

    The database is part of it, as it knows itself: two of them may have one name, and processes
    of one deployment may reach theirs by several.
    """
    try:
        (found,) = await rows(f"SELECT system_identifier || '/' || {_OID} FROM pg_control_system()")  # noqa: S608  a constant
    except OperationalError:
        # A provider may keep that function to itself.
        (found,) = await rows(f"SELECT {_OID}")
    (name,) = found.values()
    return blake2b(f"{VERSION} {url_of('key')} {name}".encode(), digest_size=6).hexdigest()


async def announce_again(cache: Outpost, course_ids: Collection[UUID]) -> None:
    """Announce changes whose task this is.

    Raises:
        CacheAway: the cache has not taken them; they stay owed.

    """
    topics = [LISTINGS, SEARCHES, *(_topic(course_id) for course_id in course_ids)]
    for first in range(0, len(topics), TOPICS_AT_ONCE):
        await cache.announce(topics[first : first + TOPICS_AT_ONCE])


async def ask_to_warm() -> None:
    """Ask for what became old to be made anew."""
    await enqueue(TaskName.WARM_CACHE, {}, dedupe_key=TaskName.WARM_CACHE)


NEWEST = Key("courses", LISTINGS, slow=True, lists=True)
# What is made first of what is lacking: of listings there are few, and all are asked for.
_SOONER = {LISTINGS: -2, SEARCHES: -1}


def key_of_course(course_id: UUID) -> Key:
    """Return the key of a course."""
    return Key(_topic(course_id), _topic(course_id))


def _topic(course_id: UUID) -> str:
    return f"{_COURSE}{course_id}"


@lru_cache(maxsize=1024)
def key_of_page(filters: Filters, number: int, limit: int) -> Key | None:
    """Return the key of a page, the same for all ways to ask for it; None: not to be kept."""
    search = fold(filters.search or "")
    if len(search) > MAX_SEARCH:
        return None
    name = f"courses?page={number}&limit={limit}&{_order(filters)}&search={quote_plus(search)}"
    is_common = not search and (number - 1) * limit < COMMON_COURSES
    # A common page is made in less time than it takes to ask whether another process is at it.
    slow = not is_common
    topic = SEARCHES if search else LISTINGS
    bit = signatures.bit_of(search) if search else None
    return Key(
        name, topic, rare=not is_common, slow=slow, lists=True, bit=bit, slotted=bool(search)
    )


def _sheet_of(filters: Filters, number: int, limit: int) -> int | None:
    """Return the sheet that a page is cut from; None: it is rare, or begins on another."""
    first = (number - 1) * limit
    sheet, place = divmod(first, queries.SHEET)
    is_whole = place + limit <= queries.SHEET
    return sheet if is_whole and first < COMMON_COURSES and not filters.search else None


@lru_cache(maxsize=1024)
def _key_of_sheet(filters: Filters, number: int) -> Key:
    return Key(f"courses?sheet={number}&{_order(filters)}", LISTINGS, slow=True, lists=True)


def _order(filters: Filters) -> str:
    levels = filters.difficulties
    difficulty = ",".join(sorted(levels)) if levels != _ALL_LEVELS else ""
    return f"sort={filters.sort.value}&difficulty={difficulty}"
