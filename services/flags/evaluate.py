"""The flags of a process, and their evaluation for a subject."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from infra.observability import logs
from infra.observability.events import Event
from services.flags.exposures import Exposures
from services.flags.provider import Evaluation, FlagClient
from services.flags.registry import FLAGS, Flag

# Evaluations that are remembered; an evaluation takes some fifty times as long as a look-up.
MOST_REMEMBERED = 10_000
# How long evaluations are remembered while a definition depends on the time.
TIMED_SECONDS = 1.0
_TIMED = "DATE_"
# The subject of a flag that is the same for all.
EVERYONE = "everyone"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Feature:
    """The definition of a flag and its version."""

    name: str
    version: int
    definition: dict[str, Any]


class Undeclared(LookupError):
    """A flag, its subject or a property is evaluated that `services.flags.registry` lacks"""


class Flags:
    """The definitions that this process has, and their evaluation; without one, the default."""

    def __init__(self) -> None:
        self.client = FlagClient()
        # The version of the set of definitions; 0 before any is loaded.
        self.version = 0
        # The names of the flags evaluated since `FlagUses` took them.
        self.evaluated: set[str] = set()
        self._versions: dict[str, int] = {}
        self._is_timed = False
        self._remembered: dict[tuple[object, ...], Evaluation] = {}
        self._forget_at = 0.0
        self._exposures = Exposures()

    def load(self, features: Sequence[Feature], version: int) -> None:
        """Replace all definitions at once; those that the engine refuses are left out."""
        refused = self.client.provider.load(
            [each.definition | {"name": each.name} for each in features]
        )
        if refused:
            log.error(Event.FLAG_DEFINITIONS_REFUSED, names=refused)
        self._versions = {each.name: each.version for each in features}
        self._is_timed = any(_TIMED in str(each.definition) for each in features)
        self._remembered = {}
        self.version = version

    def is_on(self, flag: Flag, subject: UUID | None = None, **properties: str) -> bool:
        """Return whether a flag is on for a subject, an id of what the flag declares.

        Raises:
            Undeclared: the registry has no such flag, subject or property.

        """
        return self.evaluate(flag, subject, **properties).is_on

    def evaluate(self, flag: Flag, subject: UUID | None = None, **properties: str) -> Evaluation:
        """Return a flag's value for a subject, with the variant.

        Raises:
            Undeclared: the registry has no such flag, subject or property.

        """
        self.evaluated.add(flag.name)
        if self._is_timed and time.monotonic() > self._forget_at:
            self._remembered.clear()
            self._forget_at = time.monotonic() + TIMED_SECONDS
        key = (flag.name, subject, *properties.items())
        found = self._remembered.get(key)
        if found is None:
            found = self._evaluated(flag, subject, properties)
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _evaluated(self, flag: Flag, subject: UUID | None, given: dict[str, str]) -> Evaluation:
        if FLAGS.get(flag.name) is not flag or (subject is None) != (flag.subject is None):
            raise Undeclared(f"{flag.name!r} of {subject}")
        if not given.keys() <= flag.properties:
            raise Undeclared(f"{flag.name!r} with {', '.join(given)}")
        whose = EVERYONE if subject is None else str(subject)
        found = self.client.evaluate(flag.name, whose, given, default=flag.default)
        if found.is_on and not found.is_default:
            version = self._versions[flag.name]
            self._exposures.record(flag.name, whose, version, found.variant or "on")
        return found
