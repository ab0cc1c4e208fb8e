"""What Tortoise has no words for: constraints, functions, triggers; a file a subject."""

import json
from pathlib import Path
from unicodedata import normalize

_FOLDER = Path(__file__).parent


def read(*subjects: str) -> str:
    """Return the SQL of these subjects, one after the other."""
    return "\n".join((_FOLDER / f"{subject}.sql").read_text("utf-8") for subject in subjects)


def read_search_text() -> str:
    """Return the SQL of the searched text, with the folding of each letter beyond ASCII."""
    return read("search_text").replace(":'foldings'", f"'{json.dumps(_foldings())}'")


def _foldings() -> dict[str, str]:
    """Return how letters fold in decomposed text; each kind of blank becomes a space."""
    return {
        letter: " " if letter.isspace() else normalize("NFD", letter.casefold())
        for letter in map(chr, range(0x80, 0x110000))
        if letter.isspace() or (letter != letter.casefold() and letter == normalize("NFD", letter))
    }
