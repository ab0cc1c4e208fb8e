"""Every way to ask for the same has one key, and every key says what it is of."""

from uuid import UUID

import pytest

from infra.cache import Entry
from models import Difficulty
from services.catalogue import read
from services.catalogue.queries import Filters, Sort
from services.flags.evaluate import Flags

BEGINNER, INTERMEDIATE, ADVANCED = Difficulty
COURSE = UUID("019aae3c-5f00-7cc0-8000-3f1bb9a3c001")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Filters(search="React"), Filters(search="rEACT")),
        (Filters(), Filters(difficulties=frozenset(Difficulty))),
        (
            Filters(difficulties=frozenset([BEGINNER, ADVANCED])),
            Filters(difficulties=frozenset([ADVANCED, BEGINNER])),
        ),
        (Filters(search="STRAẞE"), Filters(search="straße")),
        (Filters(search="Ä"), Filters(search="a\u0308")),
    ],
)
def test_what_finds_the_same_has_one_key(one, other):
    assert read.key_of_page(one, 1, 10) == read.key_of_page(other, 1, 10)


def test_what_finds_another_has_another_key():
    ways = [
        (filters, number, limit)
        for filters in (
            Filters(),
            Filters(search="a"),
            Filters(search="ä"),
            Filters(search="e"),
            Filters(search="é"),
            Filters(search="a&sort=title"),
            Filters(search="100%"),
            Filters(difficulties=frozenset([BEGINNER])),
            Filters(difficulties=frozenset([BEGINNER, INTERMEDIATE])),
            Filters(sort=Sort.TITLE),
        )
        for number in (1, 2)
        for limit in (10, 100)
    ]
    keys = {read.key_of_page(*way).name for way in ways}
    assert len(keys | {read.NEWEST.name, read.key_of_course(COURSE).name}) == len(ways) + 2


@pytest.mark.parametrize(
    ("filters", "number", "is_rare"),
    [(Filters(), 1, False), (Filters(), 501, True), (Filters(search="x"), 1, True)],
)
def test_what_there_is_endlessly_much_of_is_rare(filters, number, is_rare):
    assert read.key_of_page(filters, number, 10).long_tail is is_rare


def test_a_course_is_of_itself_and_a_list_of_none():
    keys = (read.key_of_course(COURSE), read.NEWEST, read.key_of_page(Filters(), 1, 10))
    assert [key.subject for key in keys] == [str(COURSE), None, None]


def test_a_long_search_is_not_kept():
    assert read.key_of_page(Filters(search="x" * 64), 1, 10)
    assert read.key_of_page(Filters(search="x" * 65), 1, 10) is None


class Asked:
    """A cache that only notes which key it was asked for, and the block of a slice."""

    block = None

    async def get(self, key, _make):
        self.key = key
        return Entry.of(b"")

    async def slice(self, part):
        self.key, self.block = part.key, part.block
        return Entry.of(b"")


@pytest.mark.parametrize(
    "key",
    [
        read.NEWEST,
        read.key_of_course(COURSE),
        read.key_of_page(Filters(), 1, 10),
        read.key_of_page(
            Filters(search="ü & %", difficulties=frozenset([ADVANCED, BEGINNER]), sort=Sort.TITLE),
            7,
            100,
        ),
    ],
    ids=lambda key: key.name,
)
async def test_a_name_is_enough_to_ask_again(key):
    asked = Asked()
    await read.by_name(asked, key.name, str, flags=Flags())
    assert asked.key == key


@pytest.mark.parametrize(
    ("number", "limit", "block"),
    [(1, 10, 0), (10, 10, 0), (11, 10, 1), (4, 25, 0), (1, 100, 0), (50, 100, 49)],
)
async def test_a_page_is_cut_from_its_block(number, limit, block):
    filters = Filters(difficulties=frozenset([BEGINNER]), sort=Sort.TITLE)
    asked = Asked()
    await read.page(asked, filters, number, limit, str, flags=Flags())
    assert asked.block.name == f"courses?block={block}&sort=title&difficulty=Beginner"


@pytest.mark.parametrize(
    ("filters", "number", "limit"),
    [(Filters(search="x"), 1, 10), (Filters(), 501, 10), (Filters(), 4, 30), (Filters(), 2, 70)],
)
async def test_a_page_that_is_rare_or_on_two_blocks_stands_alone(filters, number, limit):
    asked = Asked()
    await read.page(asked, filters, number, limit, str, flags=Flags())
    assert asked.key == read.key_of_page(filters, number, limit)
    assert asked.block is None


async def test_a_block_is_asked_for_by_its_name():
    asked = Asked()
    name = "courses?block=3&sort=oldest&difficulty="
    await read.by_name(asked, name, str, flags=Flags())
    assert asked.key.name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "nonsense", "course:1", "courses?page=x", "courses?page=1"),
        "courses?sort=newest&difficulty=",
        "courses?page=1&sort=newest&difficulty=",
        "courses?block=x&sort=newest&difficulty=",
    ],
)
async def test_a_name_of_no_key_warms_nothing(name):
    assert await read.warm(Asked(), [name], str, flags=Flags()) == 0
