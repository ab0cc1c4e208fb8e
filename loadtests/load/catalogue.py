"""The courses of the service under test, some far more popular than others."""

import json
import re
import zlib
from bisect import bisect
from collections.abc import Iterable
from itertools import accumulate
from random import Random
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from urllib.request import urlopen

T = TypeVar("T")

PAGE_SIZE = 10
TIMEOUT_SECONDS = 30
# As long as a person types; a search that is too long is refused.
_WORD = re.compile(r"\b[A-Za-z]{4,40}\b")


class NoCoursesError(Exception):
    """The service under test has no courses; `enroll seed` makes some."""


class Zipf(Generic[T]):
    """Things of which the n-th is wanted 1/n^s times as often as the first."""

    def __init__(self, things: Iterable[T], s: float = 1.0) -> None:
        self._things = list(things)
        self._weights = list(accumulate(1 / n**s for n in range(1, len(self._things) + 1)))

    def draw(self, random: Random) -> T:
        """Return one of them."""
        drawn = random.random() * self._weights[-1]
        return self._things[bisect(self._weights, drawn, hi=len(self._things) - 1)]


def by_popularity(ids: Iterable[str]) -> list[str]:
    """Return the courses' ids, the most popular first: the same order in every process."""
    return sorted(ids, key=lambda course_id: zlib.crc32(course_id.encode()))


class Catalogue:
    """Paths to ask for, each drawn as often as students do."""

    def __init__(self, courses: list[dict[str, Any]]) -> None:
        if not courses:
            raise NoCoursesError(NoCoursesError.__doc__)
        ids = by_popularity(course["id"] for course in courses)
        words = sorted({w for course in courses for w in _WORD.findall(course["title"])})
        levels = sorted({course["difficulty"] for course in courses})
        pages = range(1, -(-len(courses) // PAGE_SIZE) + 1)
        listing = "/api/v1/courses"
        self.course_ids = Zipf(ids)
        # Registration opens, and many want the same few.
        self.wanted_ids = Zipf(ids, s=1.1)
        # Hardly any student reads page 90.
        self.pages = Zipf((f"{listing}?page={n}&limit={PAGE_SIZE}" for n in pages), s=1.5)
        self.filters = Zipf(
            f"{listing}?difficulty={level}&page={n}&limit={PAGE_SIZE}"
            for n in (1, 2, 3)
            for level in levels
        )
        self.searches = Zipf(f"{listing}?search={quote(word)}&page=1" for word in words[:200])


def read(host: str) -> Catalogue:
    """Read the newest 1,000 courses of a service.

    Raises:
        NoCoursesError: there are none.

    """
    with urlopen(f"{host}/api/v1/courses", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  ours
        return Catalogue(json.load(answer))
