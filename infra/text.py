"""Text from outside, made harmless for whatever shows it a line at a time."""

import json
import re

# ASCII that prints, and the end of a line: all else is looked at.
_USUAL = b"\n" + bytes(range(0x20, 0x7F))
_UNUSUAL = re.compile(r"[^\x20-\x7e\n]")


def harmless(text: object) -> str:
    """Return text as one line that can't steer a terminal: what does not print is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def harmless_lines(text: object, indent: str = "  ") -> str:
    """Return text of several lines, all but the first indented: none passes for one of ours."""
    return f"\n{indent}".join(harmless(line) for line in str(text).split("\n"))


def harmless_json(document: str) -> str:
    """Return the same JSON with all that does not print escaped, as JSON allows in its strings."""
    if not document.encode().translate(None, _USUAL):
        return document
    return _UNUSUAL.sub(_escape, document)


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]
