"""The version of a topic as a store keeps it, and what of it changed since.

It is lines of text, each a unique token and behind it a note: the id of what was touched then, or
a mask of the answers that a change may concern. The line that a whole change wrote has no note. An
answer is made under the token of the last line, and holds until a later one is about it.
"""

import os

from infra.cache.entry import Key, is_picked, parted

TOKEN_BYTES = 32
# What readers of listings fetch beside the answer; past it a note makes all of them old.
MAX_BYTES = 4096


def line(note: bytes = b"") -> bytes:
    """Return a new line."""
    return os.urandom(TOKEN_BYTES // 2).hex().encode() + note + b"\n"


def line_of(topic: str) -> bytes:
    """Return the line that a change of a topic writes, or of what a mask picks of one."""
    name, _ = parted(topic)
    return line(topic.removeprefix(name).encode())


def token(lines: bytes) -> bytes:
    """Return the token of the last line."""
    return lines.splitlines()[-1][:TOKEN_BYTES]


def holds(made_under: bytes, lines: bytes, body: bytes, key: Key) -> bool:
    """Tell whether an answer made under a token is still true."""
    for each in reversed(lines.splitlines()):
        if each[:TOKEN_BYTES] == made_under:
            return True
        if _concerns(each[TOKEN_BYTES:], body, key):
            return False
    return False


def _concerns(note: bytes, body: bytes, key: Key) -> bool:
    _, mask = parted(note.decode())
    # The empty note is in every body: nothing made before a whole change holds.
    return note in body if mask is None else is_picked(mask, key.bit)
