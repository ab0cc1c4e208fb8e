"""Full case folding: the one rule by which searches compare texts.

The database's function `search_text` has the same rule; a test compares both.
"""

from unicodedata import normalize

_BLANKS = dict.fromkeys((code for code in range(0x3001) if chr(code).isspace()), " ")


def fold(text: str) -> str:
    """Return the text case-folded, in NFC, with each blank as a space; accents stay.

    Two texts are a canonical caseless match of Unicode (D145) if their folded texts are equal.
    Folding is idempotent.
    """
    return normalize("NFC", normalize("NFD", text).casefold()).translate(_BLANKS)
