"""The database folds texts like `fold`, and a search finds all texts that look equal."""

import unicodedata
from random import Random

import pytest

from infra.db.engine import database
from infra.db.sql import rows
from services.catalogue import queries
from services.catalogue.folding import fold
from services.catalogue.queries import Filters

# Characters that change when folded or normalised, and blanks; punctuation has codes of its own.
LETTERS = [
    letter
    for letter in map(chr, range(0x80, 0x30000))
    if unicodedata.category(letter) not in {"Cn", "Cs", "Co"}
    and (letter.isspace() or fold(letter) != letter or unicodedata.decomposition(letter))
]
SIGNS = [sign for sign in map(chr, range(0x21, 0x7F)) if not sign.isalnum()]
EQUAL = {
    "sharp s": ("Die STRAẞE nach Köln", "straße"),
    "sharp s, as double s": ("Die Straße nach Köln", "STRASSE"),
    "composed": ("Cafe\u0301 society", "café"),
    "decomposed": ("Café society", "CAFE\u0301"),
    "two accents in another order": ("a\u0323\u0302n", "a\u0302\u0323n"),
    "final sigma": ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    "ligature": ("e\ufb03cient", "EFFICIENT"),
    "capital dotted I": ("\u0130stanbul", "i\u0307stanbul"),
    "Hangul": ("\u1112\u1161\u11ab글", "한글"),
    "Kelvin": ("300 \u212a", "300 k"),
    "emoji": ("Chess ♟️ club", "♟️ CLUB"),
    "no-break space": ("Part\u00a02 of it", "part 2 of"),
    "line break": ("an oral\nexamination", "oral examination"),
    "signs": ("100 % C++ [x] a_b \\d 'q'", "% c++ [X] A_B \\D 'Q'"),
}
DIFFERENT = {
    "accent": ("Café", "cafe"),
    "accent of the stored": ("Cafe", "café"),
    "accent, decomposed": ("Cafe\u0301", "cafe"),
    "dotless i": ("\u0131x", "ix"),
    "percent is no wildcard": ("100 parts", "1%p"),
    "underscore is no wildcard": ("abc", "a_c"),
    "one sign is no other": ("c++", "c--"),
    "a code is no letter": ("a b", "aQb"),
    "across title and description": ("end", "d start"),
}


@pytest.fixture(scope="module")
async def _database(new_database):
    async with database(await new_database(), pool_size=1):
        yield


@pytest.mark.usefixtures("_database")
async def test_the_database_folds_like_the_code():
    random = Random(24)
    texts = [*LETTERS, *("".join(random.choices(LETTERS, k=6)) for _ in range(2000))]
    found = await rows(
        "SELECT text, search_text(text) = search_text(folded) AS is_equal, "
        "search_text(text) AS ours FROM unnest($1::text[], $2::text[]) AS given (text, folded)",
        texts,
        list(map(fold, texts)),
    )
    assert len(found) == len(texts) > 8_000
    blank = (await rows("SELECT search_text(' ') AS code"))[0]["code"]
    coded = "SELECT search_text(sign) AS code FROM unnest($1::text[]) AS sign"
    signs = [row["code"] for row in await rows(coded, SIGNS)]
    assert len({*signs, blank}) == len(SIGNS) + 1
    decode = str.maketrans(dict(zip([*signs, blank], [*SIGNS, " "], strict=True)))
    wrong = [row["text"] for row in found if row["ours"].translate(decode) != fold(row["text"])]
    assert wrong == []
    assert all(row["is_equal"] for row in found)


@pytest.mark.usefixtures("_database")
@pytest.mark.parametrize("case", EQUAL)
async def test_a_search_finds_texts_that_look_equal(case):
    stored, search = EQUAL[case]
    await _store(stored)
    # Each part, down to one letter: short searches have an index of their own.
    assert await _found(search) == 1
    for length in (1, 2, 3):
        for start in range(len(fold(search)) - length + 1):
            part = fold(search)[start : start + length]
            assert await _found(part) == 1, part


@pytest.mark.usefixtures("_database")
@pytest.mark.parametrize("case", DIFFERENT)
async def test_a_search_finds_no_other_texts(case):
    stored, search = DIFFERENT[case]
    await _store(stored)
    assert await _found(search) == 0


@pytest.mark.usefixtures("_database")
async def test_a_course_written_by_sql_is_found_at_once():
    await _store("before")
    await rows("UPDATE courses SET title = 'ÄFTER'")
    assert [await _found(word) for word in ("before", "äfter", "ä")] == [0, 1, 1]


async def _store(title):
    """Replace all courses by one with this title."""
    await rows("DELETE FROM courses")
    await rows(
        "INSERT INTO courses (id, title, description, difficulty) "
        "VALUES (gen_random_uuid(), $1, 'start', 'Beginner')",
        title,
    )


async def _found(search):
    entry = await queries.page(Filters(search=search), 1, 10, str)
    return entry.body.count(b'"title":')
