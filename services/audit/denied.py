"""Denied requests, counted and written once a second: a flood of them is no flood of writes."""

from dataclasses import dataclass
from uuid import UUID

from infra.aio.periodic import periodic
from infra.db.engine import UNUSABLE, is_unavailable
from infra.observability import logs
from infra.observability.events import Event
from models import AuditEntry, Outcome
from services.audit import trail
from services.audit.trail import Action

FLUSH_SECONDS = 1.0
# Kinds a flush and process; one more entry counts the rest.
MAX_KINDS = 20

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Denial:
    """A denied request: action, error code, caller and target."""

    action: Action
    code: str
    actor: str | None = None
    actor_id: UUID | None = None
    target: str | None = None
    address: str | None = None


@dataclass
class _Tally:
    request_id: str | None
    count: int = 1


class DeniedAudit:
    """The denials of one process that are not written yet."""

    def __init__(self) -> None:
        self._tallies: dict[Denial, _Tally] = {}

    def add(self, denial: Denial, request_id: str | None) -> None:
        """Count a denial; of equal ones the entry has the first one's request id."""
        if denial not in self._tallies and len(self._tallies) >= MAX_KINDS:
            denial = Denial(Action.REQUEST, "MANY")
            request_id = None
        tally = self._tallies.get(denial)
        if tally is None:
            self._tallies[denial] = _Tally(request_id)
        else:
            tally.count += 1

    async def run(self) -> None:
        """Flush each second until cancelled."""
        await periodic(FLUSH_SECONDS, self.flush)

    async def flush(self) -> None:
        """Write the denials by one statement; while the database is down, to the log only.

        If the database refuses an entry, the others are written one by one.
        """
        taken, self._tallies = self._tallies, {}
        if not taken:
            return
        entries = [_entry(denial, tally) for denial, tally in taken.items()]
        for entry in entries:
            trail.log_entry(entry)
        try:
            await AuditEntry.bulk_create(entries)
        except UNUSABLE as error:
            if is_unavailable(error):
                log.warning(Event.DENIALS_NOT_WRITTEN, error=str(error), entries=len(entries))
            else:
                await _write_one_by_one(entries)
        except Exception:
            # An error here would end the loop that flushes.
            log.exception(Event.DENIALS_FAILED, entries=len(entries))
            await _write_one_by_one(entries)


async def _write_one_by_one(entries: list[AuditEntry]) -> None:
    """Write each entry by itself, so that a bad one costs none of the others."""
    for entry in entries:
        try:
            await entry.save(force_create=True)
        except Exception as error:  # noqa: BLE001  the next entry may be valid
            log.warning(Event.DENIAL_NOT_WRITTEN, action=entry.action, error=str(error))
            if is_unavailable(error):
                return


def _entry(denial: Denial, tally: _Tally) -> AuditEntry:
    about = vars(denial) | {"details": {"code": denial.code}}
    del about["code"]
    return trail.entry_of(outcome=Outcome.REFUSED, **about, **vars(tally))
