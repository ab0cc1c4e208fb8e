"""Which searches a change of a course can concern, told without asking the database.

Who finds a course by a word finds each three letters of the word in it. So of a search one such
three is taken, and of a course all that it has: as bits, for a mask of `BITS` is short. Two threes
may share a bit, which costs a search that is made anew for nothing; none is left out that finds
the course. Signatures as in superimposed coding: Roberts, Partial-match retrieval via the method
of superimposed codes (1979), and PostgreSQL's own for trigrams.
"""

from zlib import crc32

BITS = 512
LETTERS = 3


def bit_of(search: str) -> int | None:
    """Return the bit of a search; None: it is too short, and any change may concern it."""
    return next(map(_bit, _threes(_ascii_upper(search))), None)


def bits_of(*texts: str) -> set[int]:
    """Return the bits of all searches that can find one of these texts, those of None aside."""
    return {_bit(three) for text in texts for form in _forms(text) for three in _threes(form)}


def _forms(text: str) -> set[str]:
    """Return a text as databases fold it: `upper` is of the letters alone, or Unicode's.

    Where letters become others, as ß does SS, some do so and some do not; what has such a letter
    in a search is looked for by three others.
    """
    return {_ascii_upper(text), text.upper().replace("\u0130", "I")}


def _ascii_upper(text: str) -> str:
    return text.encode(errors="surrogatepass").upper().decode(errors="surrogatepass")


def _threes(text: str) -> list[str]:
    threes = (text[start : start + LETTERS] for start in range(len(text) - LETTERS + 1))
    return [three for three in threes if three.isascii()]


def _bit(three: str) -> int:
    return crc32(three.encode()) % BITS
