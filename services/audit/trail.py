"""The audit log: actor, action, target, address and request of each act.

An entry commits in the transaction of its act. Denied requests have no transaction and may come a
thousand times a second: `services.audit.denied` records them.
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
from infra.observability.events import Event
from models import AuditEntry, Outcome, User
from services.errors import Code

# The trigger of the table refuses to delete entries of the last 365 days.
KEPT_DAYS = 400
# The name of the detail that is an email.
STUDENT = "student"

log = logs.get_logger("audit")
security = logs.get_logger("security")


class Action(StrEnum):
    """The acts that are recorded; a test asserts that the code records each."""

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
    PAUSE_SCHEDULE = "schedules.pause"
    RESUME_SCHEDULE = "schedules.resume"
    SET_SCHEDULE = "schedules.set"
    PAUSE_QUEUE = "queues.pause"
    RESUME_QUEUE = "queues.resume"
    LIMIT_QUEUE = "queues.limit"
    UNLIMIT_QUEUE = "queues.unlimit"
    ADD_USER = "users.add"
    CHANGE_PASSWORD = "users.passwd"  # noqa: S105  an act, not a secret
    DISABLE_USER = "users.disable"
    ENABLE_USER = "users.enable"
    ROTATE_KEYS = "keys.rotate"
    SET_FLAG = "flags.set"
    KILL_FLAG = "flags.kill"
    DELETE_FLAG = "flags.delete"


_ACCOUNT = frozenset(
    {
        Action.ADD_USER,
        Action.CHANGE_PASSWORD,
        Action.DISABLE_USER,
        Action.ENABLE_USER,
        Action.END_SESSION,
        Action.ROTATE_KEYS,
    }
)
_REFUSALS: dict[str, Event] = {
    Code.INVALID_CREDENTIALS: Event.LOGIN_REFUSED,
    Code.MISSING_TOKEN: Event.TOKEN_REFUSED,
    Code.INVALID_TOKEN: Event.TOKEN_REFUSED,
    Code.TOKEN_EXPIRED: Event.TOKEN_REFUSED,
    Code.FORBIDDEN: Event.ACCESS_REFUSED,
    Code.RATE_LIMITED: Event.RATE_LIMITED,
}


@dataclass(frozen=True)
class Actor:
    """The username, the account's id and the address of the caller."""

    name: str | None = None
    id: UUID | None = None
    address: str | None = None


UNKNOWN = Actor()
_has_table = True
_actor: ContextVar[Actor] = ContextVar("actor", default=UNKNOWN)


def set_actor(actor: Actor) -> None:
    """Set the actor of all records of this request or command from now on."""
    _actor.set(actor)


def keep_in_log_only() -> None:
    """Write no entry of this process to the table: an application's database has none."""
    global _has_table  # noqa: PLW0603  the process's
    _has_table = False


async def record(
    action: Action,
    target: object = None,
    details: dict[str, Any] | None = None,
    *,
    by: User | None = None,
) -> None:
    """Record an act in the running transaction; it must hold no secret.

    The actor is `by`, or else the one of `set_actor`.
    """
    actor = _actor.get()
    if by is not None:
        actor = replace(actor, name=by.username, id=by.id)
    entry = entry_of(
        action=action,
        outcome=Outcome.DONE,
        actor=actor.name,
        actor_id=actor.id,
        target=None if target is None else str(target),
        address=actor.address,
        request_id=logs.request_id(),
        details=details,
    )
    if _has_table:
        await entry.save(force_create=True)
    after_commit(partial(_log_after_commit, entry))


async def _log_after_commit(entry: AuditEntry) -> None:
    log_entry(entry)


def log_entry(entry: AuditEntry) -> None:
    """Write an entry to the log; a student's email is in the table only.

    A refusal and a change of an account are lines of the logger `security`, too.
    """
    details = {key: value for key, value in (entry.details or {}).items() if key != STUDENT}
    about = {
        "action": entry.action,
        "outcome": entry.outcome.value,
        "actor": entry.actor,
        "target": entry.target,
        "address": entry.address,
        "request_id": entry.request_id,
        "count": entry.count,
        "details": details or None,
    }
    log.info(Event.AUDIT, **about)
    if entry.outcome is Outcome.REFUSED:
        event = _REFUSALS.get(details.get("code", ""), Event.CALLS_REFUSED)
        security.info(event, **about)
    elif entry.action in _ACCOUNT:
        security.info(Event.ACCOUNT_CHANGED, **about)


def entry_of(**fields: Any) -> AuditEntry:
    """Return an entry whose untrusted texts fit the table."""
    return AuditEntry(**{name: cut(name, value) for name, value in fields.items()})


def cut(field: str, value: Any) -> Any:
    """Return a field's value, a text cut to the column and without what PostgreSQL can't store."""
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
    """Delete the entries that have expired; return how many."""
    return await batches.delete("audit_log", "at < now() - make_interval(days => $1)", KEPT_DAYS)
