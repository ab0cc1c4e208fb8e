"""Which searches a change of a course can concern, told without asking the database.

Who finds a course by a word finds each three letters of the word in it. So of a search one such
three is taken, and of a course all that it has: as bits, for a mask of `BITS` is short. Two threes
may share a bit, which costs a search that is made anew for nothing; none is left out that finds
the course. Signatures as in superimposed coding: Roberts, Partial-match retrieval via the method
of superimposed codes (1979), and PostgreSQL's own for trigrams.
"""

from zlib import crc32

from services.catalogue.folding import fold

BITS = 512
LETTERS = 3


def bit_of(search: str) -> int | None:
    """Return the bit of a search; None: it is too short, and any change may concern it."""
    return next(map(_bit, _threes(search)), None)


def bits_of(*texts: str) -> set[int]:
    """Return the bits of all searches that can find one of these texts, those of None aside."""
    return {_bit(three) for text in texts for three in _threes(text)}


def _threes(text: str) -> list[str]:
    folded = fold(text)
    return [folded[start : start + LETTERS] for start in range(len(folded) - LETTERS + 1)]


def _bit(three: str) -> int:
    return crc32(three.encode(errors="surrogatepass")) % BITS
