"""The changes of the database that a process knows of, in the order of their commits."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

# Of older changes, and of more since the last poll, a process knows nothing.
MOST_CHANGES = 5000


class Change(NamedTuple):
    """A committed change of one thing, and the version that its transaction made.

    One that is `listed` can change any list; any other changes only lists that show the thing.
    """

    version: int
    subject: str
    listed: bool


class Step(NamedTuple):
    """A row of the change log: a change, and the version before its own."""

    previous: int
    change: Change


class History:
    """The latest changes, without a gap up to `version`.

    Each version names the one before it. A log that does not go on from `version` has a gap, or is
    that of a database which lost its latest transactions.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Know nothing; the next poll begins anew."""
        self.version: int | None = None
        self._versions: set[int] = set()
        # Of versions before it not all changes are known.
        self._oldest = 0
        # The newest version noted, and whether the last poll has not found it.
        self._newest, self._is_behind = 0, False
        self._log: deque[Change] = deque()
        # The version of the latest change of each thing, and of the latest one of all lists.
        self._changed: dict[str, int] = {}
        self._listed = 0
        # The same of changes that are not listed.
        self._touched: dict[str, int] = {}

    def follow(self, version: int, steps: Sequence[Step]) -> list[Change] | None:
        """Take the steps since the last poll, oldest first, up to the database's version.

        Returns:
            The changes; None: there is a gap, and nothing known before counts.

        """
        base = version
        if len(steps) >= MOST_CHANGES:
            # The oldest version may lack some of its changes.
            base = steps[0].change.version
            steps = [step for step in steps if step.change.version > base]
        elif steps:
            base = steps[0].previous
        # A commit whose outcome was unknown may have been noted, and did not happen.
        was_behind, self._is_behind = self._is_behind, version < self._newest
        is_gapless = base == self.version and not (was_behind and self._is_behind)
        if not is_gapless:
            self.reset()
            self._versions.add(base)
            self._listed = base
        self.version = version
        changes = [step.change for step in steps]
        for change in changes:
            self.note(change)
        return changes if is_gapless else None

    def note(self, change: Change) -> None:
        """Take a change, whatever is known of those before it."""
        version, subject, listed = change
        self._versions.add(version)
        self._newest = max(version, self._newest)
        self._log.append(change)
        self._changed[subject] = max(version, self._changed.get(subject, 0))
        if listed:
            self._listed = max(version, self._listed)
        else:
            self._touched[subject] = max(version, self._touched.get(subject, 0))
        while len(self._log) > MOST_CHANGES:
            self._drop(self._log.popleft())

    def _drop(self, change: Change) -> None:
        version, subject, _ = change
        self._versions.discard(version)
        self._oldest = max(version, self._oldest)
        for known in (self._changed, self._touched):
            if known.get(subject) == version:
                del known[subject]

    def knows(self, version: int) -> bool:
        """Return whether the version is one of this history's, with all changes since."""
        return version >= self._oldest and version in self._versions

    def floor(self, subject: str | None) -> int:
        """Return the version of the latest change of a thing; None: of all lists."""
        return self._listed if subject is None else self._changed.get(subject, 0)

    def is_outdated(self, version: int, subject: str | None, body: bytes) -> bool:
        """Return whether a known change made old what was read under a version."""
        if version < self.floor(subject):
            return True
        return subject is None and any(
            touched > version and shown.encode() in body for shown, touched in self._touched.items()
        )
