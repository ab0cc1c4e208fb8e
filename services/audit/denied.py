"""Refusals, counted and written down once a second: no flood of them is a flood of writes."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from infra.db.engine import UNUSABLE, is_away
from infra.observability import logs
from models import AuditEntry, Outcome
from services.audit import trail
from services.audit.trail import Action

FLUSH_SECONDS = 1.0
# Entries a second and process; what is over is counted in one more.
MAX_KINDS = 20

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Denial:
    """What was refused to whom, and by which of our codes."""

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
    """The refusals of one process that are not written down yet."""

    def __init__(self) -> None:
        self._tallies: dict[Denial, _Tally] = {}

    def add(self, refusal: Denial, request_id: str | None) -> None:
        """Count a refusal; of several alike the first one's request is named."""
        if refusal not in self._tallies and len(self._tallies) >= MAX_KINDS:
            refusal = Denial(Action.REQUEST, "MANY")
            request_id = None
        tally = self._tallies.get(refusal)
        if tally is None:
            self._tallies[refusal] = _Tally(request_id)
        else:
            tally.count += 1

    async def keep_writing(self) -> None:
        """Write them down again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write them down in one statement; while the database is away, only to the log.

        An entry that the database refuses is left out, and the others are written one by one.
        """
        taken, self._tallies = self._tallies, {}
        if not taken:
            return
        entries = [_entry(refusal, tally) for refusal, tally in taken.items()]
        for entry in entries:
            trail.say(entry)
        try:
            await AuditEntry.bulk_create(entries)
        except UNUSABLE as error:
            if is_away(error):
                log.warning("refusals_not_written", error=str(error), entries=len(entries))
            else:
                await _write_one_by_one(entries)
        except Exception:
            # Ended, nothing would be written any more, and nobody would know why.
            log.exception("refusals_failed", entries=len(entries))
            await _write_one_by_one(entries)


async def _write_one_by_one(entries: list[AuditEntry]) -> None:
    """Write what can be written: one bad entry costs none of the others."""
    for entry in entries:
        try:
            await entry.save(force_create=True)
        except Exception as error:  # noqa: BLE001  whatever it is, the next entry may be good
            log.warning("refusal_not_written", action=entry.action, error=str(error))
            if is_away(error):
                return


def _entry(refusal: Denial, tally: _Tally) -> AuditEntry:
    return trail.entry_of(
        action=refusal.action,
        outcome=Outcome.REFUSED,
        actor=refusal.actor,
        actor_id=refusal.actor_id,
        target=refusal.target,
        address=refusal.address,
        request_id=tally.request_id,
        count=tally.count,
        details={"code": refusal.code},
    )
