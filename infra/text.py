"""Escapes untrusted text for terminals and logs."""

import json
import re

# Printable ASCII and line ends need no check.
_USUAL = b"\n" + bytes(range(0x20, 0x7F))
_UNUSUAL = re.compile(r"[^\x20-\x7e\n]")


def escape_controls(text: object) -> str:
    """Return text as one line with its unprintable characters escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )


def escape_lines(text: object, indent: str = "  ") -> str:
    """Return text with all lines but the first indented, so that none looks like a line of ours."""
    return f"\n{indent}".join(escape_controls(line) for line in str(text).split("\n"))


def escape_json(document: str) -> str:
    """Return the same JSON with unprintable characters as JSON escapes."""
    if not document.encode().translate(None, _USUAL):
        return document
    return _UNUSUAL.sub(_escape, document)


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]
