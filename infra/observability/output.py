"""Standard error as the log's output, which never blocks: a reader that stops delays no request.

A line is in the kernel when its call returns, so that a crash loses none. Lines that a pipe does
not take wait in a bounded buffer; the rest is dropped and counted. There is no thread, which no
fork would copy.
"""

import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from infra import error_messages

STDERR = 2
# What waits while the reader does not read.
MAX_PENDING_BYTES = 1 << 20
NOT_READ = "not read in time"

# Writes bytes without blocking and returns how many; raises BlockingIOError if none can be taken.
_WriteNow = Callable[[bytes], int]


class Output:
    """Standard error; lines that can't be written are dropped and counted."""

    def __init__(self, report: Callable[[int, str], None]) -> None:
        self._report = report
        # Reentrant: a finalizer may log in the middle of a write.
        self._lock = threading.RLock()
        self._write_now: _WriteNow | None = None
        self._is_pipe = False
        self._pending = bytearray()
        # True while only a part of a line is written.
        self._is_torn = False
        self._is_writing = False
        self._lost = 0
        self._reason = ""
        self._uncounted = 0
        os.register_at_fork(after_in_child=self._forget)

    def open(self) -> None:
        """Write to the descriptor from now on, unless another object replaces standard error."""
        self._write_now = None
        with suppress(OSError, ValueError, AttributeError):
            if sys.stderr.fileno() == STDERR:
                self._is_pipe = stat.S_ISFIFO(os.fstat(STDERR).st_mode)
                self._write_now = _opened()

    def write(self, text: str) -> None:
        """Write lines, or keep or drop them."""
        with self._lock:
            lines = text.encode(errors="backslashreplace")
            if self._has_no_room(lines):
                self.flush()
            if self._has_no_room(lines):
                self._drop(lines.count(b"\n"), NOT_READ)
            else:
                self._pending += lines
                self.flush()

    def flush(self) -> None:
        """Write what waits, as far as that is possible now; then report what was dropped."""
        with self._lock:
            if self._is_writing or not self._pending:
                return  # the interrupted call goes on
            self._is_writing = True
            try:
                while self._pending:
                    self._write_some()
            except BlockingIOError:
                return
            except OSError as error:
                self._drop_pending(error)
                return
            finally:
                self._is_writing = False
            if self._lost:
                lost, self._lost = self._lost, 0
                self._report(lost, self._reason)
                if self._lost:  # the report, too
                    self._lost += lost - 1
                    self._uncounted -= 1

    def drain(self, seconds: float) -> None:
        """Write what waits before the process ends, for so long at most."""
        end = time.monotonic() + seconds
        self.flush()
        while self._pending and (left := end - time.monotonic()) > 0:
            select.select([], [STDERR], [], left)
            self.flush()

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        with self._lock:
            dropped, self._uncounted = self._uncounted, 0
        return dropped

    def _has_no_room(self, lines: bytes) -> bool:
        size = len(self._pending)
        return size > 0 and size + len(lines) > MAX_PENDING_BYTES

    def _write_some(self) -> None:
        part = bytes(self._pending[: self._end()])
        written = self._write_now(part) if self._write_now else _write_stream(part)
        del self._pending[:written]
        self._is_torn = not part[:written].endswith(b"\n")

    def _end(self) -> int:
        """Return how much to write at once: a pipe keeps so few bytes of one writer together."""
        if not self._is_pipe:
            return len(self._pending)
        end = self._pending.rfind(b"\n", 0, select.PIPE_BUF) + 1
        return end or self._pending.find(b"\n") + 1

    def _drop_pending(self, error: OSError) -> None:
        """Drop what waits, except the end of a torn line, which has to come next."""
        kept = self._pending.find(b"\n") + 1 if self._is_torn else 0
        lost = self._pending.count(b"\n", kept)
        del self._pending[kept:]
        is_full = error_messages.is_disk_full(error)
        self._drop(lost, error_messages.DISK_FULL if is_full else str(error))

    def _drop(self, lines: int, reason: str) -> None:
        self._lost += lines
        self._uncounted += lines
        self._reason = reason

    def _forget(self) -> None:
        """Leave to the parent what waits in it."""
        self._lock = threading.RLock()
        self._pending.clear()
        self._is_torn = self._is_writing = False
        self._lost = self._uncounted = 0


@cache
def _opened() -> _WriteNow:
    """Return how to write to standard error without blocking.

    Its own descriptor stays as it is: other programs share it.
    """
    mode = os.fstat(STDERR).st_mode
    if stat.S_ISREG(mode):
        return lambda part: os.write(STDERR, part)
    if stat.S_ISSOCK(mode):
        stream = socket.socket(fileno=os.dup(STDERR))
        return lambda part: stream.send(part, socket.MSG_DONTWAIT)
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
        own = os.open(f"/proc/self/fd/{STDERR}", flags)
    except OSError:  # no Linux, or a pipe of another user
        return _write_if_ready
    return lambda part: os.write(own, part)


def _write_if_ready(part: bytes) -> int:
    """Write if the descriptor takes bytes; another writer that fills it now still blocks this."""
    if not select.select([], [STDERR], [], 0)[1]:
        raise BlockingIOError
    return os.write(STDERR, part[: select.PIPE_BUF])


def _write_stream(part: bytes) -> int:
    """Write to the object that replaces standard error in this process."""
    if sys.stderr:  # it was closed when the process started
        sys.stderr.write(part.decode(errors="replace"))
        sys.stderr.flush()
    return len(part)
