"""Who was shown which value of a flag, recorded once for each version of the flag."""

from infra.observability import logs, metrics
from infra.observability.events import Event

# Subjects that a process remembers; one that it has forgotten is recorded again.
MOST = 50_000

log = logs.get_logger(__name__)


class Exposures:
    """The exposures that this process has recorded."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # Hashes: whole keys would take several times the memory.
        self._recorded: dict[int, None] = {}

    def record(self, flag: str, subject: str, version: int, variant: str) -> None:
        """Log and count that a subject was shown a variant of a flag, the first time."""
        key = hash((flag, subject, version))
        if key in self._recorded:
            return
        if len(self._recorded) >= self._most:
            del self._recorded[next(iter(self._recorded))]
        self._recorded[key] = None
        metrics.flag_exposures.inc(labels=(flag, variant))
        log.info(
            Event.FLAG_EXPOSED, flag=flag, subject=subject, variant=variant, flag_version=version
        )
