"""What readers of the catalogue get, through the cache; the one place that names its keys.

An answer is about a topic: one course, or the listings. Whoever changes a course announces both.
"""

from collections.abc import Collection
from hashlib import blake2b
from urllib.parse import urlencode
from uuid import UUID

from infra.cache import Cache, Entry, Key, Outpost
from infra.cache.answers import TOPICS_AT_ONCE
from models import Difficulty
from services import shelf
from services.shelf import VERSION, Filters, UrlOf
from services.tasks import TaskName, rows

LISTINGS = "courses"
# Beyond these an answer is one of endlessly many, and read by few.
COMMON_PAGES = 50
# Longer searches are not kept at all: hardly any two are the same.
MAX_SEARCH = 64
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


async def announce(cache: Cache, *course_ids: UUID) -> None:
    """Announce that courses came, changed or went; after the commit, before the answer."""
    await cache.changed(*(_topic(course_id) for course_id in course_ids), LISTINGS)


async def owed() -> set[str]:
    """Return the topics of committed changes that no task has announced yet, and the listings'."""
    pending = await rows(
        "SELECT DISTINCT jsonb_array_elements_text(args->'courses') AS course FROM tasks "
        "WHERE name = $1 AND state IN ('queued', 'running')",
        TaskName.REFRESH_CACHE.value,
    )
    topics = {_topic(UUID(row["course"])) for row in pending}
    return topics | {LISTINGS}


def shape(url_of: UrlOf) -> str:
    """Return what must be equal for one process to use the answers that another one made."""
    return blake2b(f"{VERSION} {url_of('key')}".encode(), digest_size=6).hexdigest()


async def announce_again(cache: Outpost, course_ids: Collection[UUID]) -> None:
    """Announce changes whose task this is.

    Raises:
        CacheAway: the cache has not taken them; they stay owed.

    """
    topics = [LISTINGS, *(_topic(course_id) for course_id in course_ids)]
    for first in range(0, len(topics), TOPICS_AT_ONCE):
        await cache.announce(topics[first : first + TOPICS_AT_ONCE])


NEWEST = Key("courses", LISTINGS, slow=True)


def key_of_course(course_id: UUID) -> Key:
    """Return the key of a course."""
    return Key(_topic(course_id), _topic(course_id))


def _topic(course_id: UUID) -> str:
    return f"course:{course_id}"


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
    rare = bool(search) or number > COMMON_PAGES
    return Key(f"courses?{urlencode(given)}", LISTINGS, rare=rare, slow=True)
