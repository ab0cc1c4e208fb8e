"""The catalogue's queries: each response comes from one statement, without model objects."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlencode
from uuid import UUID

from tortoise import BaseDBAsyncClient

from infra.cache import Entry, Page
from infra.db.engine import primary
from infra.db.sql import rows
from infra.queue.fragments import STATUS
from models import Difficulty
from services.catalogue import render
from services.catalogue.folding import fold
from services.catalogue.render import Row, UrlOf
from services.catalogue.search_slots import SLOT_LOCK, SLOTS, SearchSlots
from services.errors import CourseNotFound

PLAIN_LIST_LIMIT = 1000
# Pages among the `FIRST` courses share one plan. A page at a larger offset skips by an index alone,
# which pays off from `FIRST` on, or from `FAR` on if difficulties are filtered.
FIRST, FAR = 100, 1000
# The courses of a block, from which pages are cut.
BLOCK_COURSES = 100
# Separates courses in a block: JSON contains line breaks only as escapes.
_LINE = b"\n"


class Sort(StrEnum):
    """The orders of a listing."""

    NEWEST = "newest"
    OLDEST = "oldest"
    TITLE = "title"


# Each order with its reverse.
_ORDERS = {
    Sort.NEWEST: ("created_at DESC, id DESC", "created_at, id"),
    Sort.OLDEST: ("created_at, id", "created_at DESC, id DESC"),
    Sort.TITLE: ("title, id", "title DESC, id DESC"),
}


@dataclass(frozen=True)
class Filters:
    """Which courses a listing shows, and in what order."""

    search: str | None = None
    difficulties: frozenset[Difficulty] = frozenset()
    sort: Sort = Sort.NEWEST

    @property
    def query(self) -> str:
        """Return the query string of the filters, without default values."""
        given = {
            "search": self.search,
            "difficulty": ",".join(sorted(self.difficulties)),
            "sort": "" if self.sort is Sort.NEWEST else self.sort.value,
        }
        return urlencode({name: value for name, value in given.items() if value}, safe=",")


# The images of the courses in `chosen`: variants and unfinished tasks. One statement reads courses
# and images from one snapshot. The look-ups use arrays, since PostgreSQL expects ten elements of an
# array. So it scans neither a small table for each course, nor a large table for an unknown LIMIT.
_WITH_IMAGES = f"""
    sized AS (
        SELECT course_id, json_agg(json_build_array(width, height, format, bytes, key)
                                   ORDER BY width DESC) AS variants
        FROM image_variants WHERE course_id IN (SELECT unnest(ARRAY(SELECT id FROM chosen)))
        GROUP BY course_id
    ),
    unfinished AS (
        {STATUS} WHERE id = ANY(ARRAY(
            SELECT image_task_id FROM chosen WHERE image_task_id IS NOT NULL
        ))
    )
"""  # noqa: S608  a constant
# The statement reads the version too, so that version and data have one snapshot.
_SHOWN = """
    (SELECT version FROM catalogue_version) AS version,
    chosen.id::text AS id, chosen.title, chosen.description, chosen.difficulty, chosen.image_url,
    chosen.created_at, chosen.updated_at, sized.variants,
    unfinished.id::text AS task_id, unfinished.state AS task_state, unfinished.error AS task_error
"""
_IMAGES = """
    LEFT JOIN unfinished ON unfinished.id = chosen.image_task_id
    LEFT JOIN sized ON sized.course_id = chosen.id
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A course at one moment, with its image."""

    id: UUID
    row: Row

    def entry(self, url_of: UrlOf) -> Entry:
        """Return the entry for readers; it is `no_store` while the image is in processing."""
        entry = Entry.of(render.course(self.row, url_of), version=self.row["version"])
        entry.no_store = render.is_in_processing(self.row)
        return entry


async def snapshot(course_id: UUID) -> Snapshot:
    """Read a course, in the running transaction if there is one.

    Raises:
        CourseNotFound: there is none of this id.

    """
    found = await rows(
        f"""
        WITH chosen AS MATERIALIZED (SELECT * FROM courses WHERE id = $1), {_WITH_IMAGES}
        SELECT {_SHOWN} FROM chosen {_IMAGES}
        """,  # noqa: S608  constants of this module only
        course_id,
    )
    if not found:
        raise CourseNotFound
    return Snapshot(course_id, found[0])


async def course(course_id: UUID, url_of: UrlOf) -> Entry:
    """Return a course.

    Raises:
        CourseNotFound: there is none of this id.

    """
    return (await snapshot(course_id)).entry(url_of)


async def courses(
    course_ids: Collection[UUID], url_of: UrlOf, source: BaseDBAsyncClient | None = None
) -> dict[UUID, Entry]:
    """Return the courses that exist, by their ids."""
    found = await (source or primary()).execute_query_dict(
        f"""
        WITH chosen AS MATERIALIZED (SELECT * FROM courses WHERE id = ANY($1::uuid[])),
            {_WITH_IMAGES}
        SELECT {_SHOWN} FROM chosen {_IMAGES}
        """,  # noqa: S608  constants of this module only
        [list(course_ids)],
    )
    return {UUID(row["id"]): Entry.of(render.course(row, url_of)) for row in found}


async def newest(url_of: UrlOf) -> Entry:
    """Return the newest `PLAIN_LIST_LIMIT` courses as an array, and the total."""
    shown, total, version = await _select(Filters(), 0, PLAIN_LIST_LIMIT)
    page = Page(1, PLAIN_LIST_LIMIT)
    return Entry.of(render.array(_rendered(shown, url_of)), total, page, version)


async def page(filters: Filters, number: int, limit: int, url_of: UrlOf) -> Entry:
    """Return one page of the courses that match, with its position."""
    shown, total, version = await _select(filters, (number - 1) * limit, limit)
    body = render.page(_rendered(shown, url_of), total, number, limit)
    return Entry.of(body, total, Page(number, limit, filters.query), version)


async def block(filters: Filters, number: int, url_of: UrlOf) -> Entry:
    """Return a block of the courses that match; the first block has number 0."""
    shown, total, version = await _select(filters, number * BLOCK_COURSES, BLOCK_COURSES)
    return Entry.of(_LINE.join(_rendered(shown, url_of)), total, version=version)


def cut(block: Entry, number: int, limit: int, filters: Filters) -> Entry:
    """Return the same page as `page`, cut from its block of these filters."""
    courses = block.body.split(_LINE) if block.body else []
    first = (number - 1) * limit % BLOCK_COURSES
    total = block.total or 0
    body = render.page(courses[first : first + limit], total, number, limit)
    page = Entry.of(body, total, Page(number, limit, filters.query), block.version)
    page.stale_seconds = block.stale_seconds
    return page


def _rendered(shown: Sequence[Row], url_of: UrlOf) -> Iterator[bytes]:
    return (render.course(row, url_of) for row in shown)


async def _select(filters: Filters, offset: int, limit: int) -> tuple[Sequence[Row], int, int]:
    """Return the rows of a page, the total of all pages, and the version of both.

    Raises:
        SearchesBusy: the filters have a search, and too many searches run.

    """
    values: list[object] = [offset, limit, sorted(filters.difficulties or Difficulty)]
    if filters.search:
        found = await _search(filters, filters.search, values)
    else:
        is_far = offset >= (FAR if filters.difficulties else FIRST)
        first = FIRST if offset + limit <= FIRST else 0
        # Plain records: a dictionary per row would cost as much as rendering the JSON.
        _, found = await primary().execute_query(_listing(filters, first, is_far=is_far), values)
    # An empty page is one row that has only the total.
    head = found[0]
    return (found if head["id"] is not None else ()), head["total"], head["version"]


_slots = SearchSlots()


async def _search(filters: Filters, search: str, values: list[object]) -> Sequence[Row]:
    statement = _searching(replace(filters, search=None), min(len(fold(search)), TRIGRAM))

    async def look() -> Sequence[Row] | None:
        _, found = await primary().execute_query(statement, [*values, search])
        return found if found[0]["total"] is not None else None

    return await _slots.run(look)


@dataclass(frozen=True)
class _Parts:
    """The parts in which statements differ: CTEs, with `counted` among them, and chosen courses.

    The parameters are $1 the offset, $2 the limit, $3 the difficulties, and $4 the search.
    """

    tables: str
    chosen: str


def _statement(filters: Filters, parts: _Parts) -> str:
    order, _ = _ORDERS[filters.sort]
    return f"""
        {parts.tables}, chosen AS MATERIALIZED ({parts.chosen}), {_WITH_IMAGES}
        SELECT counted.total, {_SHOWN} FROM counted LEFT JOIN chosen ON true {_IMAGES}
        ORDER BY {_qualified(order)}
    """  # noqa: S608  constants of this module only


@lru_cache(maxsize=64)
def _listing(filters: Filters, first: int, *, is_far: bool) -> str:
    """Return the statement of a page; `first` is 0, or the page is among so many first courses.

    The text is cached, because asyncpg finds prepared statements by their text.
    """
    return _statement(filters, _far(filters) if is_far else _near(filters, first))


_COUNTED = """
    WITH counted AS MATERIALIZED (
        SELECT sum(total)::int AS total FROM course_totals WHERE difficulty = ANY($3::text[])
    )
"""


def _near(filters: Filters, first: int) -> _Parts:
    """Return the parts that read the rows in order, with a plain OFFSET."""
    order, _ = _ORDERS[filters.sort]
    courses = f"courses {_where(filters)}"
    if first and not filters.difficulties:
        # PostgreSQL estimates an unknown LIMIT as a tenth of the rows. A tenth of `FIRST` is a
        # page, so all pages keep one generic plan. With a filter the best plan depends on how
        # frequent the difficulty is.
        courses = f"(SELECT * FROM courses ORDER BY {order} LIMIT {first}) AS first"  # noqa: S608  constants only
    return _Parts(_COUNTED, f"SELECT * FROM {courses} ORDER BY {order} LIMIT $2 OFFSET $1")  # noqa: S608  constants only


def _far(filters: Filters) -> _Parts:
    """Return the parts that skip in an index alone, from the nearer end; `LIMIT 0` reads nothing.

    Subqueries hide the numbers from the planner, so that all pages share one plan.
    """
    where = _where(filters)
    order, reverse = _ORDERS[filters.sort]
    # These are all columns of the order's index: skipped rows are not read from the table.
    columns = f"{_column(filters)}, id"
    walk = """
        , walk AS MATERIALIZED (
            SELECT $1::bigint AS ahead, greatest(total - $1::bigint - $2::bigint, 0) AS behind,
                   CASE WHEN $1 <= total / 2 THEN $2 ELSE 0 END AS forth,
                   CASE WHEN $1 <= total / 2 THEN 0
                        ELSE greatest(least($2, total - $1), 0) END AS back
            FROM counted
        )
    """
    picked = f"""
        SELECT id FROM (
            (SELECT {columns} FROM courses {where} ORDER BY {order}
             LIMIT (SELECT forth FROM walk) OFFSET (SELECT ahead FROM walk))
            UNION ALL
            (SELECT {columns} FROM courses {where} ORDER BY {reverse}
             LIMIT (SELECT back FROM walk) OFFSET (SELECT behind FROM walk))
        ) AS walked
    """  # noqa: S608  constants only
    return _Parts(_COUNTED + walk, _of(picked))


# Conditions by the search's length: a trigram needs three letters. A subquery computes each pattern
# once and hides it from the planner. So all searches share one plan, which uses an index.
TRIGRAM = 3
_MATCHES = {
    1: "search_pairs(search_text) @@ (SELECT (quote_literal(search_text($4)) || ':*')::tsquery)",
    2: "search_pairs(search_text) @@ (SELECT quote_literal(search_text($4))::tsquery)",
    # The result of `search_text` contains neither % nor _.
    3: "search_text LIKE (SELECT '%' || search_text($4) || '%')",
}
_SLOT = f"""
    slot AS MATERIALIZED (
        SELECT FROM generate_series(1, {SLOTS}) AS number
        WHERE pg_try_advisory_xact_lock({SLOT_LOCK}, number) LIMIT 1
    )
"""
_HAS_SLOT = "(SELECT count(*) FROM slot) = 1"


@lru_cache(maxsize=64)
def _searching(filters: Filters, length: int) -> str:
    """Return the statement of a page of a search of `length` letters, or more at `TRIGRAM`.

    It searches once, in a slot, for both page and total; the total is NULL if no slot is free.
    """
    order, _ = _ORDERS[filters.sort]
    tables = f"""
        WITH {_SLOT}, found AS MATERIALIZED (
            SELECT id, {_column(filters)}
            FROM (SELECT * FROM courses {_where(filters)}) AS courses
            WHERE {_HAS_SLOT} AND {_MATCHES[length]}
        ),
        counted AS MATERIALIZED (
            SELECT CASE WHEN {_HAS_SLOT} THEN count(*)::int END AS total,
                   $3::text[] AS difficulties
            FROM found
        )
    """  # noqa: S608  constants only
    picked = f"SELECT id FROM found ORDER BY {order} LIMIT $2 OFFSET $1"  # noqa: S608  constants only
    return _statement(filters, _Parts(tables, _of(picked)))


def _column(filters: Filters) -> str:
    return "title" if filters.sort is Sort.TITLE else "created_at"


def _where(filters: Filters) -> str:
    match len(filters.difficulties):
        case 0:
            return ""
        case 1:  # only with `=` the planner reads ix_courses_difficulty_newest in order
            return "WHERE difficulty = ($3::text[])[1]"
        case _:
            return "WHERE difficulty = ANY($3::text[])"


def _of(picked: str) -> str:
    # An array: PostgreSQL expects few elements of it, but many rows of an unknown LIMIT.
    return f"SELECT * FROM courses WHERE id = ANY(ARRAY({picked}))"  # noqa: S608  constants only


def _qualified(order: str) -> str:
    return ", ".join(f"chosen.{term}" for term in order.split(", "))
