"""Scheduled housekeeping tasks; all are idempotent."""

from datetime import UTC, datetime, timedelta

from infra.db import engine
from infra.queue import operations
from infra.settings import require_direct_database
from services.audit import trail
from services.auth import sessions
from services.catalogue import feed, housekeeping
from services.enrollments import idempotency
from services.task_names import TaskName
from tasks.registry import TaskContext, task

DAY_SECONDS = 24 * 60 * 60


@task(TaskName.PRUNE_TASKS, queue="maintenance", timeout=600, every=3600)
async def prune_tasks(context: TaskContext) -> None:
    """Delete tasks that succeeded or were cancelled before the retention period."""
    removed = await operations.prune(_retained_since(context))
    context.log.info("tasks_pruned", tasks=removed)


@task(TaskName.PRUNE_UPLOADS, queue="maintenance", every=3600)
async def prune_uploads(context: TaskContext) -> None:
    """Delete the staged bytes that no task may use any more."""
    removed = await housekeeping.prune_uploads(_retained_since(context))
    context.log.info("uploads_pruned", uploads=removed)


@task(TaskName.PRUNE_SESSIONS, queue="maintenance", every=3600)
async def prune_sessions(context: TaskContext) -> None:
    """Delete sessions and refresh tokens that have ended."""
    removed = await sessions.prune()
    context.log.info("sessions_pruned", sessions=removed)


@task(TaskName.PRUNE_ANSWERS, queue="maintenance", timeout=600, every=3600)
async def prune_answers(context: TaskContext) -> None:
    """Delete the expired responses to requests with an Idempotency-Key."""
    removed = await idempotency.prune()
    context.log.info("answers_pruned", answers=removed)


@task(TaskName.PRUNE_CHANGES, queue="maintenance", every=300)
async def prune_changes(context: TaskContext) -> None:
    """Delete the changes of the catalogue that every process has read."""
    removed = await feed.prune()
    context.log.info("changes_pruned", changes=removed)


@task(TaskName.PRUNE_AUDIT_LOG, queue="maintenance", timeout=600, every=DAY_SECONDS)
async def prune_audit_log(context: TaskContext) -> None:
    """Delete the audit log's entries of more than a year ago."""
    removed = await trail.prune()
    context.log.info("audit_log_pruned", entries=removed)


@task(TaskName.REMOVE_ORPHANS, queue="maintenance", timeout=1800, every=DAY_SECONDS)
async def remove_orphans(context: TaskContext) -> None:
    """Delete the stored objects that belong to no course."""
    removed = await housekeeping.remove_orphans(context.storage)
    context.log.info("orphans_removed", objects=removed)


@task(TaskName.ANALYZE, queue="maintenance", timeout=600, every=DAY_SECONDS)
async def analyze(context: TaskContext) -> None:
    """Refresh the planner's statistics, which a day of enrolments changes."""
    await engine.analyze(require_direct_database(context.settings))
    context.log.info("database_analyzed")


def _retained_since(context: TaskContext) -> datetime:
    return datetime.now(UTC) - timedelta(days=context.settings.task_retention_days)
