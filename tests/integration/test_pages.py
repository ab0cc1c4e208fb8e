"""Pages of the catalogue are the same slices by whichever plan they are read."""

from datetime import UTC, datetime, timedelta
from itertools import chain, combinations, product
from operator import attrgetter
from random import Random
from uuid import UUID

import orjson
import pytest

from infra.db.engine import database
from models import Course, Difficulty
from services.catalogue import queries
from services.catalogue.queries import Filters, Sort

COUNT = 41
LIMITS = (1, 7, 20, 100)
SUBSETS = [
    frozenset(some)
    for some in chain.from_iterable(combinations(Difficulty, size) for size in range(4))
]
# Many courses have the same time and title, so that the order depends on their ids.
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = {
    Sort.NEWEST: (attrgetter("created_at", "id"), True),
    Sort.OLDEST: (attrgetter("created_at", "id"), False),
    Sort.TITLE: (attrgetter("title", "id"), False),
}


@pytest.fixture(params=[0, COUNT], ids=["no courses", "courses"])
async def courses(request, new_database):
    """The courses of an open database."""
    random = Random(4)
    async with database(await new_database(), pool_size=1):
        made = [
            Course(
                id=UUID(int=random.getrandbits(128)),
                title=random.choice(["algebra", "biology", "logic"]),
                description=random.choice(["theory", "practice"]),
                difficulty=random.choice(list(Difficulty)),
                created_at=MOMENT + timedelta(seconds=random.randrange(9)),
            )
            for _ in range(request.param)
        ]
        await Course.bulk_create(made)
        yield made


@pytest.mark.parametrize(("first", "far"), [(100, 1000), (5, 1000), (5, 8), (0, 0)])
@pytest.mark.parametrize("sort", Sort)
async def test_a_page_is_a_slice_of_all_matches_in_order(courses, monkeypatch, sort, first, far):
    monkeypatch.setattr(queries, "FIRST", first)
    monkeypatch.setattr(queries, "FAR", far)
    for difficulties, search in product(SUBSETS, [None, "LOGIC", "heor"]):
        filters = Filters(search=search, difficulties=difficulties, sort=sort)
        expected = _expected(courses, filters)
        for limit in LIMITS:
            last = -(-len(expected) // limit)
            for number in (*range(1, last + 3), 10**6):
                shown, total = await _page(filters, number, limit)
                assert shown == expected[(number - 1) * limit : number * limit]
                assert total == len(expected)


def _sent(entry):
    return entry.body, entry.digest, entry.total, entry.page


@pytest.mark.parametrize("difficulties", SUBSETS[:3])
@pytest.mark.parametrize("sort", Sort)
async def test_a_page_sliced_from_a_block_equals_a_page_from_the_database(
    courses, monkeypatch, sort, difficulties
):
    monkeypatch.setattr(queries, "BLOCK_COURSES", 20)
    filters = Filters(difficulties=difficulties, sort=sort)
    for limit in (1, 5, 10, 20):
        for number in range(1, COUNT // limit + 3):
            block = await queries.block(filters, (number - 1) * limit // 20, str)
            made = await queries.page(filters, number, limit, str)
            assert _sent(queries.cut(block, number, limit, filters)) == _sent(made)


def _expected(courses, filters):
    key, is_reverse = KEYS[filters.sort]
    found = [
        course
        for course in courses
        if (not filters.difficulties or course.difficulty in filters.difficulties)
        and (filters.search or "").lower() in f"{course.title} {course.description}"
    ]
    return [str(course.id) for course in sorted(found, key=key, reverse=is_reverse)]


async def _page(filters, number, limit):
    content = orjson.loads((await queries.page(filters, number, limit, str)).body)
    return [course["id"] for course in content["data"]], content["pagination"]["total_count"]
