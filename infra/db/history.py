"""The latest changes of the database in a process's memory, in the order of their commits."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

# The most changes that a process keeps, or reads in one poll.
MOST_CHANGES = 5000


class Change(NamedTuple):
    """A committed change of one subject, and the version of its transaction.

    A `listed` change may outdate any list; other changes outdate only lists that show the subject.
    """

    version: int
    subject: str
    listed: bool


class Step(NamedTuple):
    """A row of the change log: a change, and the version before its version."""

    previous: int
    change: Change


class History:
    """The latest changes, without a gap up to `version`.

    Each version names the previous one. A log that does not continue from `version` has a gap, or
    its database has lost its latest transactions.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all changes; the next poll starts from its own version."""
        self.version: int | None = None
        self._versions: set[int] = set()
        # Some changes since earlier versions have been dropped.
        self._oldest = 0
        # Versions that writers have noted and no poll has read yet.
        self._unconfirmed: set[int] = set()
        # The newest noted version, and whether the last poll has found an older one.
        self._newest, self._is_behind = 0, False
        self._log: deque[Change] = deque()
        # The version of the latest change of each subject, and of the latest listed change.
        self._changed: dict[str, int] = {}
        self._listed = 0
        # The version of the latest unlisted change of each subject.
        self._touched: dict[str, int] = {}

    def follow(self, version: int, steps: Sequence[Step]) -> list[Change] | None:
        """Apply the steps since the last poll, oldest first, up to the database's version.

        Returns:
            The changes; None: there is a gap, so the earlier history is void.

        """
        base = version
        if len(steps) >= MOST_CHANGES:
            # The limit of the poll may have cut changes of the oldest version.
            base = steps[0].change.version
            steps = [step for step in steps if step.change.version > base]
        elif steps:
            base = steps[0].previous
        # A noted commit with an unknown outcome may have failed, so one poll behind it is allowed.
        was_behind, self._is_behind = self._is_behind, version < self._newest
        read = {step.change.version for step in steps}
        # A failover has lost it, or its commit has failed.
        is_lost = any(each <= version and each not in read for each in self._unconfirmed)
        is_gapless = base == self.version and not (is_lost or (was_behind and self._is_behind))
        if not is_gapless:
            self.reset()
            self._versions.add(base)
            self._listed = base
        self.version = version
        self._unconfirmed = {each for each in self._unconfirmed if each > version}
        changes = [step.change for step in steps]
        for change in changes:
            self._add(change)
        return changes if is_gapless else None

    def note(self, change: Change) -> None:
        """Add a change that its writer reports, also if earlier ones are missing."""
        if change.version > (self.version or 0):
            self._unconfirmed.add(change.version)
        self._add(change)

    def _add(self, change: Change) -> None:
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

    def covers(self, version: int) -> bool:
        """Return whether the history has this version and all changes since."""
        return version >= self._oldest and version in self._versions

    def floor(self, subject: str | None) -> int:
        """Return the version of the latest change of a subject; None: of all lists."""
        return self._listed if subject is None else self._changed.get(subject, 0)

    def is_outdated(self, version: int, subject: str | None, body: bytes) -> bool:
        """Return whether a known change outdates a body that was read under a version."""
        if version < self.floor(subject):
            return True
        return subject is None and any(
            touched > version and shown.encode() in body for shown, touched in self._touched.items()
        )
