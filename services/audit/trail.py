"""The audit log: who did what to what, from where, in which request.

An entry is inserted in the transaction of what it tells, so there is neither without the other.
Refusals have no transaction, and whoever is refused may come a thousand times a second: see
`services.audit.denied`.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from infra.db import batches
from infra.db.transactions import after_commit
from infra.observability import logs
from models import AuditEntry, Outcome, User

# The table's trigger lets entries go after 365 days.
KEPT_DAYS = 400
EVENT = "audit"
# The detail that is an email.
STUDENT = "student"

log = logs.get_logger(EVENT)


class Action(StrEnum):
    """What is noted; a test asserts that each is, somewhere in the code."""

    LOGIN = "auth.login"
    LOGOUT = "auth.logout"
    END_SESSION = "auth.end_session"
    REQUEST = "request"
    CREATE_COURSE = "courses.create"
    UPDATE_COURSE = "courses.update"
    REPLACE_IMAGE = "courses.replace_image"
    REMOVE_IMAGE = "courses.remove_image"
    DELETE_COURSE = "courses.delete"
    CREATE_ENROLLMENT = "enrollments.create"
    DROP_STUDENT = "enrollments.drop"
    DELETE_ENROLLMENT = "enrollments.delete"
    RETRY_TASK = "tasks.retry"
    CANCEL_TASK = "tasks.cancel"
    DROP_TASK = "tasks.drop"
    ADD_USER = "users.add"
    CHANGE_PASSWORD = "users.passwd"  # noqa: S105  an act, not a secret
    DISABLE_USER = "users.disable"
    ENABLE_USER = "users.enable"
    ROTATE_KEYS = "keys.rotate"


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where: a username, its id, an address."""

    actor: str | None = None
    actor_id: UUID | None = None
    address: str | None = None


NOBODY = Actor()
_who: ContextVar[Actor] = ContextVar("who", default=NOBODY)


def set_actor(who: Actor) -> None:
    """Say who does what is recorded from now on in this request or command."""
    _who.set(who)


async def record(
    action: Action,
    target: object = None,
    details: dict[str, Any] | None = None,
    *,
    by: User | None = None,
) -> None:
    """Note what was done, in the running transaction; no secret may be in it.

    It was done `by` who was just found out, or by whom `set_actor` named.
    """
    who = _who.get()
    if by is not None:
        who = replace(who, actor=by.username, actor_id=by.id)
    entry = entry_of(
        action=action,
        outcome=Outcome.DONE,
        actor=who.actor,
        actor_id=who.actor_id,
        target=None if target is None else str(target),
        address=who.address,
        request_id=logs.request_id(),
        details=details,
    )
    await entry.save(force_create=True)
    after_commit(partial(_say_after_commit, entry))


async def _say_after_commit(entry: AuditEntry) -> None:
    say(entry)


def say(entry: AuditEntry) -> None:
    """Write an entry to the log, too, but for the student: that is in the table alone."""
    details = {key: value for key, value in (entry.details or {}).items() if key != STUDENT}
    log.info(
        EVENT,
        action=entry.action,
        outcome=entry.outcome.value,
        actor=entry.actor,
        target=entry.target,
        address=entry.address,
        request_id=entry.request_id,
        count=entry.count,
        details=details or None,
    )


def entry_of(**fields: Any) -> AuditEntry:
    """Return an entry with its texts, which come from outside, as the table takes them."""
    return AuditEntry(**{name: cut(name, value) for name, value in fields.items()})


def cut(field: str, value: Any) -> Any:
    """Return a value of a field of the table, its text without what PostgreSQL can't store."""
    if not isinstance(value, str) or isinstance(value, StrEnum):
        return value
    whole = value.replace("\0", "").encode(errors="replace").decode()
    column = AuditEntry._meta.fields_map[field]  # noqa: SLF001  Tortoise names it so
    return whole[: getattr(column, "max_length", None)]


async def page(
    limit: int,
    *,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    offset: int = 0,
) -> Sequence[AuditEntry]:
    """Return at most `limit` entries that match after the `offset` newest, the newest first.

    The action `courses` means all of its kinds.
    """
    chosen = AuditEntry.all()
    if actor is not None:
        chosen = chosen.filter(actor=actor)
    if action is not None:
        chosen = chosen.filter(action__in=[each for each in Action if _is_within(each, action)])
    if since is not None:
        chosen = chosen.filter(at__gte=since)
    return await chosen.order_by("-at", "-id").offset(offset).limit(limit)


def _is_within(action: Action, given: str) -> bool:
    return action == given or action.startswith(f"{given}.")


async def prune() -> int:
    """Forget the entries that were kept long enough; return how many."""
    return await batches.delete("audit_log", "at < now() - make_interval(days => $1)", KEPT_DAYS)
