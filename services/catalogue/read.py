"""Catalogue reads through the cache; the only module that makes its keys."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus
from uuid import UUID

from tortoise.exceptions import OperationalError

from infra.cache import Entry, Key, ResponseCache, Slice
from infra.db.sql import rows
from models import Difficulty
from services.catalogue import queries, render
from services.catalogue.folding import fold
from services.catalogue.queries import Filters, Sort
from services.catalogue.render import UrlOf
from services.catalogue.search_slots import SearchesBusy, SearchesOff
from services.errors import CourseNotFound
from services.flags.evaluate import Flags
from services.flags.registry import SEARCHES

_COURSE = "course:"
# Pages beyond so many courses, and reads of more courses by id, are rare and unbounded in number.
COMMON_COURSES = 5000
FEW_COURSES = 10
# Longer searches are not cached: they hardly ever repeat.
MAX_SEARCH = 64
_ALL_LEVELS = frozenset(Difficulty)
_OID = "(SELECT oid FROM pg_database WHERE datname = current_database())"


async def course(cache: ResponseCache, course_id: UUID, url_of: UrlOf) -> Entry:
    """Return a course.

    Raises:
        CourseNotFound: no course has this id.

    """
    return await cache.get(key_of_course(course_id), lambda: queries.course(course_id, url_of))


async def courses(
    cache: ResponseCache, course_ids: Collection[UUID], url_of: UrlOf
) -> dict[UUID, Entry]:
    """Return the courses that exist, by their ids.

    Up to `FEW_COURSES` come from the cache. For more, one statement is cheaper than the look-ups.
    """
    if len(course_ids) > FEW_COURSES:
        return await queries.courses(course_ids, url_of)
    found = {}
    for course_id in course_ids:
        with suppress(CourseNotFound):
            found[course_id] = await course(cache, course_id, url_of)
    return found


async def newest(cache: ResponseCache, url_of: UrlOf) -> Entry:
    """Return the newest courses as an array."""
    return await cache.get(NEWEST, lambda: queries.newest(url_of))


async def page(  # noqa: PLR0913  the page, and what it is made of
    cache: ResponseCache, filters: Filters, number: int, limit: int, url_of: UrlOf, *, flags: Flags
) -> Entry:
    """Return one page of the courses that match.

    Raises:
        SearchesBusy: the filters have a search, and too many searches run.
        SearchesOff: the search is not cached, and searches are switched off.
        TooManyFills: it is a far page, and too many of these are being filled.

    """
    is_off = bool(filters.search) and not flags.is_on(SEARCHES)
    make = _refuse if is_off else partial(queries.page, filters, number, limit, url_of)
    key = key_of_page(filters, number, limit)
    if key is None:
        return await make()
    on_block = _block_of(filters, number, limit)
    if on_block is None:
        return await cache.get(key, make)
    make_block = partial(queries.block, filters, on_block, url_of)
    cut = partial(queries.cut, number=number, limit=limit, filters=filters)
    return await cache.slice(Slice(key, _key_of_block(filters, on_block), make_block, cut, make))


async def _refuse() -> Entry:
    raise SearchesOff


async def by_name(cache: ResponseCache, name: str, url_of: UrlOf, *, flags: Flags) -> Entry:
    """Return the entry whose key has this name.

    Raises:
        CourseNotFound: it is the entry of a deleted course.
        SearchesBusy, SearchesOff: it is the entry of a search, as for `page`.
        ValueError: no key has this name.

    """
    if name == NEWEST.name:
        return await newest(cache, url_of)
    if name.startswith(_COURSE):
        return await course(cache, UUID(name.removeprefix(_COURSE)), url_of)
    filters, number, limit = _parsed(name)
    if limit is None:
        make = partial(queries.block, filters, number, url_of)
        return await cache.get(_key_of_block(filters, number), make)
    return await page(cache, filters, number, limit, url_of, flags=flags)


def _parsed(name: str) -> tuple[Filters, int, int | None]:
    """Return the filters, number and limit of a page's name; the limit of a block is None.

    Raises:
        ValueError: the name is neither a page's nor a block's.

    """
    _, _, query = name.partition("?")
    given = {"search": "", **dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))}
    try:
        difficulties = frozenset(map(Difficulty, filter(None, given["difficulty"].split(","))))
        filters = Filters(given["search"] or None, difficulties, Sort(given["sort"]))
        if "block" in given:
            return filters, int(given["block"]), None
        return filters, int(given["page"]), int(given["limit"])
    except KeyError as error:
        raise ValueError(f"{name!r} says no {error}") from None


async def warm(cache: ResponseCache, names: Iterable[str], url_of: UrlOf, *, flags: Flags) -> int:
    """Fill the missing entries of these names, lists first; return how many are filled now."""
    warmed = 0
    # Lists first: a change outdates all of them, and all readers use them.
    for name in sorted(names, key=lambda name: name.startswith(_COURSE)):
        # A request makes an entry that is left out here.
        with suppress(CourseNotFound, SearchesBusy, SearchesOff, ValueError):
            await by_name(cache, name, url_of, flags=flags)
            warmed += 1
    return warmed


async def namespace(url_of: UrlOf) -> str:
    """Return the namespace of the entries that this process may share with others.

    It is a hash of the rendering code, the addresses of images, and the database's identity. The
    name and address of a database are no identity: two databases may share both.
    """
    try:
        (found,) = await rows(f"SELECT system_identifier || '/' || {_OID} FROM pg_control_system()")  # noqa: S608  a constant
    except OperationalError:
        # Some providers don't grant pg_control_system().
        (found,) = await rows(f"SELECT {_OID}")
    (name,) = found.values()
    return blake2b(_code() + f"{url_of('key')} {name}".encode(), digest_size=6).hexdigest()


def _code() -> bytes:
    """Return the code that renders entries; releases with different code share no entries."""
    return b"".join(Path(str(each.__file__)).read_bytes() for each in (queries, render))


NEWEST = Key("courses", lock_on_fill=True)


def key_of_course(course_id: UUID) -> Key:
    """Return the key of a course."""
    return Key(f"{_COURSE}{course_id}", str(course_id))


@lru_cache(maxsize=1024)
def key_of_page(filters: Filters, number: int, limit: int) -> Key | None:
    """Return the key of a page, one for all URL variants of it; None: it is not cached."""
    search = fold(filters.search or "")
    if len(search) > MAX_SEARCH:
        return None
    name = f"courses?page={number}&limit={limit}&{_order(filters)}&search={quote_plus(search)}"
    is_common = not search and (number - 1) * limit < COMMON_COURSES
    # A common page has no lock: to make it takes less time than to acquire the lock.
    return Key(
        name, long_tail=not is_common, lock_on_fill=not is_common, limits_itself=bool(search)
    )


def _block_of(filters: Filters, number: int, limit: int) -> int | None:
    """Return the number of the block of a page; None: the page is rare, or spans two blocks."""
    first = (number - 1) * limit
    block, place = divmod(first, queries.BLOCK_COURSES)
    is_whole = place + limit <= queries.BLOCK_COURSES
    return block if is_whole and first < COMMON_COURSES and not filters.search else None


@lru_cache(maxsize=1024)
def _key_of_block(filters: Filters, number: int) -> Key:
    return Key(f"courses?block={number}&{_order(filters)}", lock_on_fill=True)


def _order(filters: Filters) -> str:
    levels = filters.difficulties
    difficulty = ",".join(sorted(levels)) if levels != _ALL_LEVELS else ""
    return f"sort={filters.sort.value}&difficulty={difficulty}"
