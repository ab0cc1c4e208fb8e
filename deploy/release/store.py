"""The folder of a release: its state, which a killed controller leaves, and the lock of one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from deploy.release.state import State
from infra.errors import DeclaredError
from infra.process.private_files import PRIVATE_FOLDER, write_private_file

_STATES: TypeAdapter[State] = TypeAdapter(State)


class Busy(DeclaredError):
    """Another controller runs this release"""


class StateBroken(DeclaredError):
    """The state of the release can't be read"""


class Store:
    """A folder on a file system of this host: the lock excludes controllers of this host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._state = self.folder / "state.json"
        self._lock = self.folder / "lock"
        self._abort = self.folder / "abort"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only controller during the block; the kernel ends it with the process.

        Raises:
            Busy: there is one; the message names its process.

        """
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        # Never removed: a lock on a replaced file would exclude no other process.
        with self._lock.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._lock.read_text(encoding="utf-8") or "?"
                raise Busy(f"process {holder} controls the release of {self.folder}") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def read(self) -> State | None:
        """Return the state; None without one.

        Raises:
            StateBroken: the file has no state.

        """
        return read(self._state) if self._state.exists() else None

    def write(self, state: State) -> None:
        """Keep a state; a crash leaves the former or this one."""
        write(self._state, state)

    def want_abort(self) -> None:
        """Ask the controller that runs to abort."""
        self._abort.touch()

    def is_abort_wanted(self) -> bool:
        """Whether an operator asks for it."""
        return self._abort.exists()

    def forget_abort(self) -> None:
        """Remove the wish, as a new release begins."""
        self._abort.unlink(missing_ok=True)


def read(path: Path) -> State:
    """Read a state.

    Raises:
        StateBroken: the file has no state.

    """
    try:
        return _STATES.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StateBroken(f"{path} is no state of a release: {error}") from None


def write(path: Path, state: State) -> None:
    """Write a state atomically."""
    write_private_file(path, _STATES.dump_json(state, indent=1).decode())
