"""Scheduled housekeeping tasks; all are idempotent."""

from datetime import UTC, datetime, timedelta

from infra.db import engine
from infra.observability.events import Event
from infra.settings import require_direct_database
from services.audit import trail
from services.auth import sessions
from services.catalogue import feed, housekeeping
from services.enrollments import idempotency
from services.flags import uses
from services.task_names import TaskName
from tasks.registry import TaskContext, task

DAY_SECONDS = 24 * 60 * 60


@task(TaskName.PRUNE_UPLOADS, queue="maintenance", every=3600)
async def prune_uploads(context: TaskContext) -> None:
    """Delete the staged bytes that no task may use any more."""
    removed = await housekeeping.prune_uploads(_retained_since(context))
    context.log.info(Event.UPLOADS_PRUNED, uploads=removed)


@task(TaskName.PRUNE_SESSIONS, queue="maintenance", every=3600)
async def prune_sessions(context: TaskContext) -> None:
    """Delete sessions and refresh tokens that have ended."""
    removed = await sessions.prune()
    context.log.info(Event.SESSIONS_PRUNED, sessions=removed)


@task(TaskName.PRUNE_IDEMPOTENT_RESPONSES, queue="maintenance", timeout=600, every=3600)
async def prune_idempotent_responses(context: TaskContext) -> None:
    """Delete the expired responses to requests with an Idempotency-Key."""
    removed = await idempotency.prune()
    context.log.info(Event.IDEMPOTENT_RESPONSES_PRUNED, responses=removed)


@task(TaskName.PRUNE_CHANGES, queue="maintenance", every=300)
async def prune_changes(context: TaskContext) -> None:
    """Delete the changes of the catalogue that every process has read."""
    removed = await feed.prune()
    context.log.info(Event.CHANGES_PRUNED, changes=removed)


@task(TaskName.PRUNE_AUDIT_LOG, queue="maintenance", timeout=600, every=DAY_SECONDS)
async def prune_audit_log(context: TaskContext) -> None:
    """Delete the audit log's entries of more than a year ago."""
    removed = await trail.prune()
    context.log.info(Event.AUDIT_LOG_PRUNED, entries=removed)


@task(TaskName.REMOVE_ORPHANS, queue="maintenance", timeout=1800, every=DAY_SECONDS)
async def remove_orphans(context: TaskContext) -> None:
    """Delete the stored objects that belong to no course."""
    removed = await housekeeping.remove_orphans(context.storage)
    context.log.info(Event.ORPHANS_REMOVED, objects=removed)


@task(TaskName.REPORT_STALE_FLAGS, queue="maintenance", every=DAY_SECONDS)
async def report_stale_flags(context: TaskContext) -> None:
    """Log the feature flags that nobody has evaluated for 30 days."""
    stale = await uses.report_stale()
    context.log.info(Event.STALE_FLAGS_REPORTED, flags=len(stale))


@task(TaskName.ANALYZE, queue="maintenance", timeout=600, every=DAY_SECONDS)
async def analyze(context: TaskContext) -> None:
    """Refresh the planner's statistics, which a day of enrolments changes."""
    await engine.analyze(require_direct_database(context.settings))
    context.log.info(Event.DATABASE_ANALYZED)


def _retained_since(context: TaskContext) -> datetime:
    return datetime.now(UTC) - timedelta(days=context.settings.task_retention_days)
