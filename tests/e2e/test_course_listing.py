"""The catalogue: the plain array, and its paged, filtered and sorted form."""

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from tests.factories import COURSE, eventually, refused_for

LIST = "/api/v1/courses"
DIFFICULTIES = "Difficulty must be one of: Beginner, Intermediate, Advanced"
LEVELS = ["Beginner", "Intermediate", "Advanced"]
LIMIT_LOW = ("limit", "OUT_OF_RANGE", "Limit must be at least 1")
LIMIT_TYPE = ("limit", "INVALID_TYPE", "Limit must be a whole number")
PAGE_LOW = ("page", "OUT_OF_RANGE", "Page must be at least 1")
PAGE_TYPE = ("page", "INVALID_TYPE", "Page must be a whole number")


@pytest.fixture(scope="module", autouse=True)
async def after_startup(service):
    """Waits until the service has created its demo courses, which would change the totals."""

    async def is_done() -> bool:
        return "demo: done" in service.output.read_text()

    await eventually(is_done)


@pytest.fixture(scope="module")
async def catalogue(api):
    """Twenty-five courses that one unique word finds: (word, courses from oldest to newest)."""
    word = f"shelf{uuid7().hex}"
    made = [
        await api.new_course(
            title=f"{chr(ord('a') + number * 7 % 25)} {word}", difficulty=LEVELS[number % 3]
        )
        for number in range(25)
    ]
    return word, made


async def page(client, **query) -> tuple[list[dict], dict]:
    """Return a page of courses and its pagination."""
    response = await client.get(LIST, params=query)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"data", "pagination"}
    return response.json()["data"], response.json()["pagination"]


async def search_ids(client, search: str) -> set[str]:
    """Return the ids of the courses that a search finds."""
    courses, _ = await page(client, search=search, limit=100)
    return {course["id"] for course in courses}


async def test_without_parameters_the_list_is_a_plain_array_newest_first(api, client):
    made = [await api.new_course(title=f"Number {number}") for number in range(3)]
    response = await client.get(LIST)
    assert response.status_code == 200
    listed = response.json()
    assert isinstance(listed, list)
    assert listed[:3] == made[::-1]
    times = [course["created_at"] for course in listed]
    assert times == sorted(times, reverse=True)
    assert response.headers["x-total-count"] == str(len(listed))
    assert response.links["first"]["url"] == "/api/v1/courses?page=1&limit=100"
    assert response.links["last"]["url"] == f"{LIST}?page={-(-len(listed) // 100)}&limit=100"


async def test_the_total_follows_creations_and_deletions(api, client):
    async def total() -> int:
        plain = int((await client.get(LIST)).headers["x-total-count"])
        assert (await page(client, limit=1))[1]["total_count"] == plain
        return plain

    before = await total()
    course = await api.new_course()
    assert await total() == before + 1
    await api.call("PUT", f"/courses/{course['id']}", json=COURSE | {"difficulty": "Beginner"})
    assert await total() == before + 1
    await api.call("DELETE", f"/courses/{course['id']}")
    assert await total() == before


async def test_an_unknown_parameter_changes_nothing(client):
    response = await client.get(LIST, params={"colour": "blue"})
    assert isinstance(response.json(), list)


async def test_the_plain_array_has_at_most_1000_courses(service, api, client):
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    rows = [(uuid7(), "One of many", "The plain array", "Beginner") for _ in range(1001)]
    columns = ["id", "title", "description", "difficulty"]
    await connection.copy_records_to_table("courses", records=rows, columns=columns)
    newest = await api.new_course()
    try:
        response = await client.get(LIST)
        listed, total = response.json(), int(response.headers["x-total-count"])
        assert len(listed) == 1000
        assert total > 1001
        assert response.links["next"]["url"] == f"{LIST}?page=11&limit=100"
        rest = await client.get(response.links["next"]["url"])
        assert rest.json()["data"][0]["id"] not in {course["id"] for course in listed}
        assert listed[0]["id"] == newest["id"]
        assert (await client.get(LIST, params={"limit": 100})).json()["pagination"] == {
            "current_page": 1,
            "total_pages": -(-total // 100),
            "total_count": total,
            "has_next": True,
            "has_prev": False,
            "limit": 100,
        }
    finally:
        ids = [row[0] for row in rows]
        await connection.execute("DELETE FROM courses WHERE id = ANY($1)", ids)
        await connection.close()
        # By the API, so that no cache keeps the deleted courses.
        await api.call("DELETE", f"/courses/{newest['id']}")


@pytest.mark.parametrize("times", [1, 3], ids=["made", "from memory"])
async def test_links_lead_through_all_pages_in_both_directions(client, catalogue, times):
    word, made = catalogue
    asked = {"search": word, "difficulty": "Beginner,Advanced", "sort": "oldest", "limit": 3}
    wanted = [one["id"] for one in made if one["difficulty"] != "Intermediate"]

    async def get(url, **params):
        responses = [await client.get(url, params=params or None) for _ in range(times)]
        assert len({response.headers["link"] for response in responses}) == 1
        return responses[-1]

    first = response = await get(LIST, **asked)
    seen, last = [], None
    while True:
        assert response.headers["x-total-count"] == str(len(wanted))
        seen += [course["id"] for course in response.json()["data"]]
        assert (await get(response.links["first"]["url"])).json() == first.json()
        if last:
            assert (await get(response.links["prev"]["url"])).json() == last.json()
        else:
            assert "prev" not in response.links
        if "next" not in response.links:
            break
        last, response = response, await get(response.links["next"]["url"])
    assert seen == wanted
    assert (await get(response.links["last"]["url"])).json() == response.json()


async def test_links_of_a_cached_page_follow_a_new_total(api, client):
    async def last_page():
        response = await client.get(LIST, params={"limit": 1})
        assert response.headers["x-total-count"] == str(
            response.json()["pagination"]["total_count"]
        )
        number = response.json()["pagination"]["total_pages"]
        assert response.links["last"]["url"] == f"{LIST}?page={number}&limit=1"
        return number

    for _ in range(5):
        before = await last_page()
        course = await api.new_course()
        assert await last_page() == before + 1
        await api.call("DELETE", f"/courses/{course['id']}")


@pytest.mark.parametrize("query", ["search=", "page=1", "limit=", "difficulty=", "sort=newest"])
async def test_any_listing_parameter_selects_the_paged_form(client, catalogue, query):
    response = await client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    assert response.json()["pagination"].keys() == {
        "current_page", "total_pages", "total_count", "has_next", "has_prev", "limit",
    }  # fmt: skip
    assert response.json()["pagination"]["limit"] == 10
    assert len(response.json()["data"]) == 10


@pytest.mark.parametrize(("number", "length"), [(1, 10), (2, 10), (3, 5), (4, 0)])
async def test_the_pages_of_a_search(client, catalogue, number, length):
    word, made = catalogue
    courses, pagination = await page(client, search=word, page=number)
    assert courses == made[::-1][(number - 1) * 10 : number * 10]
    assert len(courses) == length
    assert pagination == {
        "current_page": number,
        "total_pages": 3,
        "total_count": 25,
        "has_next": number in {1, 2},
        "has_prev": number != 1,
        "limit": 10,
    }


async def test_a_search_without_a_match_is_an_empty_page(client):
    courses, pagination = await page(client, search=uuid7().hex)
    assert courses == []
    assert (pagination["total_pages"], pagination["total_count"]) == (0, 0)
    assert (pagination["has_next"], pagination["has_prev"]) == (False, False)


@pytest.mark.parametrize("limit", [100, 101, 1000, 10**30])
async def test_a_limit_over_100_acts_as_100(client, catalogue, limit):
    courses, pagination = await page(client, search=catalogue[0], limit=limit)
    assert (len(courses), pagination["limit"], pagination["total_pages"]) == (25, 100, 1)


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("limit=0", [LIMIT_LOW]),
        ("limit=-1", [LIMIT_LOW]),
        ("limit=abc", [LIMIT_TYPE]),
        ("limit=1.5", [LIMIT_TYPE]),
        ("page=0", [PAGE_LOW]),
        ("page=-1", [PAGE_LOW]),
        ("page=abc", [PAGE_TYPE]),
        ("page=1000001", [("page", "OUT_OF_RANGE", "Page must be at most 1000000")]),
        (f"page=1{'0' * 5000}", [PAGE_TYPE]),
        ("difficulty=Expert", [("difficulty", "NOT_ALLOWED", DIFFICULTIES)]),
        ("difficulty=Beginner,Expert", [("difficulty", "NOT_ALLOWED", DIFFICULTIES)]),
        (
            "sort=random",
            [("sort", "NOT_ALLOWED", "Sort order must be one of: newest, oldest, title")],
        ),
        (
            f"search={'x' * 201}",
            [("search", "TOO_LONG", "Search must have at most 200 characters")],
        ),
        ("search=a%00b", [("search", "INVALID_FORMAT", "The character U+0000 is not allowed")]),
        ("search=%ff", [("query", "INVALID_FORMAT", "The query must be UTF-8")]),
        ("limit=x&page=0", [PAGE_LOW, LIMIT_TYPE]),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_parameter_is_a_400_that_names_it(client, query, faults):
    refused_for(await client.get(f"{LIST}?{query}"), *faults)


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ("Beginner", {"Beginner"}),
        ("Beginner,Advanced", {"Beginner", "Advanced"}),
        (" Advanced , Beginner,", {"Beginner", "Advanced"}),
        ("Beginner,Beginner", {"Beginner"}),
        ("", set(LEVELS)),
    ],
)
async def test_difficulty_accepts_a_comma_separated_list(client, catalogue, given, levels):
    word, made = catalogue
    courses, pagination = await page(client, search=word, difficulty=given, limit=100)
    expected = [course for course in made[::-1] if course["difficulty"] in levels]
    assert courses == expected
    assert pagination["total_count"] == len(expected)


async def test_a_difficulty_filter_counts_only_its_courses(client, catalogue):
    totals = [(await page(client, difficulty=level))[1]["total_count"] for level in LEVELS]
    assert sum(totals) == (await page(client, limit=1))[1]["total_count"]
    courses, pagination = await page(client, difficulty="Beginner", limit=100)
    assert {course["difficulty"] for course in courses} == {"Beginner"}
    assert len(courses) == min(100, totals[0])
    assert pagination["total_count"] == totals[0]


async def test_each_sort_order(client, catalogue):
    word, made = catalogue
    orders = {sort: await page(client, search=word, limit=100, sort=sort) for sort in
              ("newest", "oldest", "title")}  # fmt: skip
    assert orders["newest"][0] == made[::-1]
    assert orders["oldest"][0] == made
    assert orders["title"][0] == sorted(made, key=lambda course: course["title"])


async def test_search_matches_title_and_description_in_any_case(api, client):
    word = f"Wort{uuid7().hex}"
    titled = await api.new_course(title=f"Über {word}s")
    described = await api.new_course(description=f"Something about {word.upper()}.")
    both = {titled["id"], described["id"]}
    for search in (word, word.lower(), word.upper(), f" {word} ", word[1:-1]):
        assert await search_ids(client, search) == both
    assert await search_ids(client, f"über {word}") == {titled["id"]}


@pytest.mark.parametrize("sign", ["%", "_", "\\", "\\%", "'", '"', "*", "."])
async def test_wildcards_of_like_are_plain_characters(api, client, sign):
    word = uuid7().hex
    with_sign = await api.new_course(title=f"{word}{sign}end")
    await api.new_course(title=f"{word}xend")
    await api.new_course(title=f"{word}xxend")
    assert await search_ids(client, f"{word}{sign}end") == {with_sign["id"]}


async def test_the_last_of_repeated_parameters_counts(client, catalogue):
    response = await client.get(f"{LIST}?limit=3&limit=2&search={catalogue[0]}")
    assert len(response.json()["data"]) == 2
