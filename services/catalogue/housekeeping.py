"""Removal of staged bytes and objects left by failures; idempotent, and safe during uploads."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from infra.db.sql import rows
from infra.queue.fragments import replayable
from infra.storage import Storage
from models import Upload
from services.catalogue import images
from services.task_names import TaskName

COURSES_PREFIX = "courses/"
# Longer than backups are kept by default: a database that is restored from one, and another service
# of the same bucket, don't know the latest objects.
ORPHANED_AFTER = timedelta(days=30)


async def prune_uploads(ended_before: datetime) -> int:
    """Delete staged bytes that no task may use any more; return how many.

    The bytes of a failed or cancelled task stay until `ended_before`: an operator may retry it.
    """
    deleted = await rows(
        f"""
        DELETE FROM uploads
        WHERE NOT EXISTS (
            SELECT FROM ({replayable("$1", "$2")}) AS task
            WHERE task.args->>'upload_id' = uploads.id::text)
        RETURNING id
        """,  # noqa: S608  a constant
        TaskName.PROCESS_IMAGE.value,
        ended_before,
    )
    return len(deleted)


async def remove_orphans(storage: Storage) -> int:
    """Delete the objects of old uploads that are neither shown nor in processing; return how many.

    The bucket is listed first, so the database shows an upload that is published in between.
    Objects whose key names no upload were not stored by this service, and stay.
    """
    uploads: dict[UUID, list[str]] = defaultdict(list)
    for key in await storage.list_keys(COURSES_PREFIX):
        if (upload_id := _upload_id(key)) and _is_old(upload_id):
            uploads[upload_id].append(key)
    removed = 0
    for upload_id, keys in uploads.items():
        if not (await Upload.exists(id=upload_id) or await images.are_shown(keys)):
            removed += sum([await storage.delete_prefix(key) for key in keys])
    return removed


@dataclass(frozen=True)
class FaultyObject:
    """An object that a course shows and the store lacks, or has in another size (bytes)."""

    key: str
    size: int
    stored_size: int | None


async def check_objects(storage: Storage) -> tuple[int, list[FaultyObject]]:
    """Compare the images that the database names with the store's listing.

    Returns the number of images and those that are missing or have another size, by key.
    """
    named = await _named_objects()
    stored = await storage.list_sizes(COURSES_PREFIX)
    suspects = {key: size for key, size in named.items() if stored.get(key) != size}
    # Removed while the bucket was listed: they are no fault.
    still_named = await _named_objects() if suspects else {}
    return len(named), [
        FaultyObject(key, size, stored.get(key))
        for key, size in sorted(suspects.items())
        if still_named.get(key) == size
    ]


async def _named_objects() -> dict[str, int]:
    found = await rows("SELECT key, bytes FROM image_variants")
    return {row["key"]: row["bytes"] for row in found}


def _upload_id(key: str) -> UUID | None:
    """Return the upload in a key of the form `courses/<course>/<upload>/<file>`."""
    try:
        return UUID(key.split("/")[2])
    except (IndexError, ValueError):
        return None


def _is_old(upload_id: UUID) -> bool:
    """Return whether an id of UUID version 7, which begins with milliseconds, is an old one."""
    created_at = datetime.fromtimestamp((upload_id.int >> 80) / 1000, UTC)
    return created_at < datetime.now(UTC) - ORPHANED_AFTER
