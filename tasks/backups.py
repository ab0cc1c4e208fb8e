"""The scheduled backup of the database; off unless BACKUP_INTERVAL_HOURS is set."""

from datetime import UTC, datetime, timedelta

from infra.backup import base_backup, retention
from infra.backup.errors import BackupRefused
from infra.observability import task_metrics
from infra.observability.events import Event
from services.catalogue import housekeeping
from services.task_names import TaskName
from tasks.registry import TaskContext, task

HOUR = 3600
# Runs begin late by the queue's wait: one that is nearly due is made now, not an hour later.
SLACK = timedelta(minutes=5)


@task(
    TaskName.BACK_UP,
    queue="maintenance",
    max_attempts=3,
    timeout=12 * HOUR,
    permanent=(BackupRefused,),
    every=HOUR,
)
async def back_up(context: TaskContext) -> None:
    """Make a backup if the newest one is too old, delete old ones, and look for all images."""
    settings = context.settings
    interval = timedelta(hours=settings.backup_interval_hours)
    if not interval:
        return
    newest = await base_backup.newest(settings)
    task_metrics.backup_interval.set(interval.total_seconds())
    task_metrics.newest_backup.set(newest.timestamp() if newest else 0)
    if newest and datetime.now(UTC) - newest < interval - SLACK:
        return
    backup = await base_backup.create(settings)
    task_metrics.newest_backup.set(backup.ended_at.timestamp())
    seconds = (backup.ended_at - backup.started_at).total_seconds()
    context.log.info(
        Event.BACKUP_MADE, backup=backup.id, kind=backup.kind, bytes=backup.size, seconds=seconds
    )
    context.log.info(Event.BACKUPS_PRUNED, backups=await retention.prune(settings))
    await _check_objects(context)


async def _check_objects(context: TaskContext) -> None:
    checked, faulty = await housekeeping.check_objects(context.storage)
    for each in faulty:
        context.log.error(
            Event.OBJECT_FAULTY, key=each.key, bytes=each.size, stored_bytes=each.stored_size
        )
    context.log.info(Event.OBJECTS_CHECKED, objects=checked, faulty=len(faulty))
