"""Full case folding: the one rule by which texts are equal to searches.

The database has the same rule as its function `search_text`; a test compares both.
"""

from unicodedata import normalize

_BLANKS = dict.fromkeys((code for code in range(0x3001) if chr(code).isspace()), " ")


def fold(text: str) -> str:
    """Return a text in NFC without its case, each kind of blank as a space; accents count.

    A canonical caseless match of Unicode (D145) is an equality of folded texts. Folded twice, a
    text stays as it is.
    """
    return normalize("NFC", normalize("NFD", text).casefold()).translate(_BLANKS)
