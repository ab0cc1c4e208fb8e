"""The version of a topic as a store keeps it, and what of it was touched since.

It is lines of text, each a unique token and behind it the name of what was touched then; the line
that a whole change wrote names nothing. An answer is made under the token of the last line, and
holds until a later line names something that it shows.
"""

import os

TOKEN_BYTES = 32
# What readers of listings fetch beside the answer; past it a touch makes all of them old.
MAX_BYTES = 4096


def line(name: bytes = b"") -> bytes:
    """Return a new line."""
    return os.urandom(TOKEN_BYTES // 2).hex().encode() + name + b"\n"


def token(lines: bytes) -> bytes:
    """Return the token of the last line."""
    return lines.splitlines()[-1][:TOKEN_BYTES]


def holds(made_under: bytes, lines: bytes, body: bytes) -> bool:
    """Tell whether an answer made under a token is still true."""
    for each in reversed(lines.splitlines()):
        if each[:TOKEN_BYTES] == made_under:
            return True
        # The empty name is in every body: nothing made before a whole change holds.
        if each[TOKEN_BYTES:] in body:
            return False
    return False
