"""What readers of the catalogue get, through the cache; the one place that names its keys.

An answer is about a topic: one course, or the listings. Whoever changes a course announces both;
whoever changes no more than its image announces a touch.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from hashlib import blake2b
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from tortoise.exceptions import OperationalError

from infra.cache import Cache, Entry, Key, Outpost
from infra.cache.answers import TOPICS_AT_ONCE
from models import Difficulty
from services import shelf, tasks
from services.errors import CourseNotFound
from services.shelf import VERSION, Filters, Sort, UrlOf
from services.tasks import TaskName, rows

LISTINGS = "courses"
_COURSE = "course:"
# Beyond these an answer is one of endlessly many, and read by few.
COMMON_PAGES = 50
# Longer searches are not kept at all: hardly any two are the same.
MAX_SEARCH = 64
_OID = "(SELECT oid FROM pg_database WHERE datname = current_database())"
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


async def course(cache: Cache, course_id: UUID, url_of: UrlOf) -> Entry:
    """Return a course.

    Raises:
        CourseNotFound: there is none of this id.

    """
    return await cache.get(key_of_course(course_id), lambda: shelf.course(course_id, url_of))


async def newest(cache: Cache, url_of: UrlOf) -> Entry:
    """Return the newest thousand courses."""
    return await cache.get(NEWEST, lambda: shelf.newest(url_of))


async def page(cache: Cache, filters: Filters, number: int, limit: int, url_of: UrlOf) -> Entry:
    """Return one page of the courses that match."""

    async def make() -> Entry:
        return await shelf.page(filters, number, limit, url_of)

    key = key_of_page(filters, number, limit)
    return await cache.get(key, make) if key else await make()


async def by_name(cache: Cache, name: str, url_of: UrlOf) -> Entry:
    """Return the answer whose key has this name.

    Raises:
        CourseNotFound: it is of a course that is gone.
        ValueError: no key has this name.

    """
    if name == NEWEST.name:
        return await newest(cache, url_of)
    kind, _, query = name.partition("?")
    if not query:
        return await course(cache, UUID(kind.removeprefix(_COURSE)), url_of)
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    filters = Filters(
        search=given["search"] or None,
        difficulties=frozenset(map(Difficulty, filter(None, given["difficulty"].split(",")))),
        sort=Sort(given["sort"]),
    )
    return await page(cache, filters, int(given["page"]), int(given["limit"]), url_of)


async def warm(cache: Cache, names: Iterable[str], url_of: UrlOf) -> int:
    """Have the answers of these names made, one after the other; return how many there are."""
    warmed = 0
    for name in names:
        with suppress(CourseNotFound, ValueError, KeyError):
            await by_name(cache, name, url_of)
            warmed += 1
    return warmed


async def mark() -> str:
    """Return the mark of the running transaction, by which its `cache.refresh` is known."""
    (row,) = await rows("SELECT pg_current_xact_id()::text AS id")
    return str(row["id"])


async def lacking(cache: Outpost, names: Iterable[str]) -> list[str]:
    """Return those of the names whose answers the shared cache has not, listings first.

    A change makes all listings old, and no more than one course.

    Raises:
        CacheAway: the cache can't be asked.

    """
    keys = [Key(name, name if name.startswith(_COURSE) else LISTINGS) for name in names]
    lacking = await cache.lacking(keys)
    return [key.name for key in sorted(lacking, key=lambda key: key.topic != LISTINGS)]


async def announce(cache: Cache, course_id: UUID, mark: str) -> None:
    """Announce that a course came, changed or went; after the commit, before the answer."""
    await cache.changed(LISTINGS, _topic(course_id), mark=mark)


async def announce_image(cache: Cache, course_id: UUID, mark: str) -> None:
    """Announce that a course has another image, or its image another state, and nothing else."""
    await cache.touched(_topic(course_id), LISTINGS, mark=mark)


async def is_announced(cache: Outpost, refresh_id: UUID) -> bool:
    """Tell whether whoever made the change that a task `cache.refresh` is of has announced it.

    Raises:
        CacheAway: the cache can't be asked.

    """
    refresh = await tasks.get(refresh_id)
    # `cache.refresh:MARK:...`, as the triggers write it; who enqueues it otherwise leaves no mark.
    _, _, key = (refresh.dedupe_key or "").partition(":")
    left, _, _ = key.partition(":")
    return bool(left) and await cache.is_announced(left)


async def owed() -> set[str]:
    """Return the topics of committed changes that no task has announced yet, and the listings'."""
    pending = await rows(
        # Two halves: an index has the queued ones by name, and few are running.
        "SELECT DISTINCT jsonb_array_elements_text(args->'courses') AS course FROM ("
        "SELECT args FROM tasks WHERE name = $1 AND state = 'queued' "
        "UNION ALL SELECT args FROM tasks WHERE name = $1 AND state = 'running') AS pending",
        TaskName.REFRESH_CACHE.value,
    )
    topics = {_topic(UUID(row["course"])) for row in pending}
    return topics | {LISTINGS}


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
    topics = [LISTINGS, *(_topic(course_id) for course_id in course_ids)]
    for first in range(0, len(topics), TOPICS_AT_ONCE):
        await cache.announce(topics[first : first + TOPICS_AT_ONCE])


async def ask_to_warm() -> None:
    """Ask for what became old to be made anew."""
    await tasks.enqueue(TaskName.WARM_CACHE, {}, dedupe_key=TaskName.WARM_CACHE)


NEWEST = Key("courses", LISTINGS, slow=True, lists=True)


def key_of_course(course_id: UUID) -> Key:
    """Return the key of a course."""
    return Key(_topic(course_id), _topic(course_id))


def _topic(course_id: UUID) -> str:
    return f"{_COURSE}{course_id}"


def key_of_page(filters: Filters, number: int, limit: int) -> Key | None:
    """Return the key of a page, the same for all ways to ask for it; None: not to be kept."""
    search = (filters.search or "").translate(_ASCII_LOWER)
    if len(search) > MAX_SEARCH:
        return None
    levels = filters.difficulties
    given = {
        "page": number,
        "limit": limit,
        "sort": filters.sort.value,
        "difficulty": ",".join(sorted(levels)) if levels != set(Difficulty) else "",
        "search": search,
    }
    is_common = not search and number <= COMMON_PAGES
    # A common page is made in less time than it takes to ask whether another process is at it.
    slow = not is_common
    return Key(f"courses?{urlencode(given)}", LISTINGS, rare=not is_common, slow=slow, lists=True)
