"""Whoever PostgreSQL finds a course for is told of its change, whatever letters are in it."""

from random import Random

import pytest

from infra.db.engine import database
from infra.db.sql import rows
from services.catalogue.signatures import BITS, bit_of, bits_of

# Letters of which some become others, or several, when they are made large; and what LIKE knows.
LETTERS = "aAiIsSkKzaiskfnAISKFNß\u0130\u0131\u017f\u212aﬁﬃŉǰäÄéÉ\u03c3\u03c2\u0307 %_\\'ǆ"


@pytest.fixture
async def _database(new_database):
    async with database(await new_database(), pool_size=1):
        yield


@pytest.mark.usefixtures("_database")
async def test_no_search_that_finds_a_text_is_spared():
    random = Random(7)
    texts = ["".join(random.choices(LETTERS, k=random.randint(0, 14))) for _ in range(300)]
    terms = {
        random.choice([str.lower, str.upper, str])(text[start : start + random.randint(1, 6)])
        for text in texts
        for start in range(0, len(text), 3)
    } | {"".join(random.choices(LETTERS, k=3)) for _ in range(300)}
    found = await rows(
        """
        WITH texts AS MATERIALIZED (
            SELECT text, search_text(text) AS within FROM unnest($1::text[]) AS text
        ), terms AS MATERIALIZED (
            SELECT term, search_text(term) AS sought FROM unnest($2::text[]) AS term
        )
        SELECT text, term FROM texts, terms WHERE strpos(within, sought) > 0
        """,
        texts,
        sorted(term for term in terms if term),
    )
    assert len(found) > len(terms)
    told = [row for row in found if bit_of(row["term"]) is not None]
    assert len(told) > 100
    missed = [row for row in told if bit_of(row["term"]) not in bits_of(row["text"])]
    assert missed == []


def test_most_searches_are_spared_by_a_short_text():
    text = "Load testing, hands on", "A course of the load test; it goes when the test ends."
    words = [f"{one}{two}" for one in ("data", "web", "cloud", "bio") for two in range(100, 200)]
    picked = bits_of(*text)
    assert sum(bit_of(word) in picked for word in words) < len(words) / 4
    assert max(picked) < BITS
