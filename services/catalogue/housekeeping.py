"""Removal of staged bytes and objects left by failures; idempotent, and safe during uploads."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.sql import rows
from infra.queue.fragments import replayable
from infra.storage import Storage
from models import Upload
from services.catalogue import images
from services.task_names import TaskName

COURSES_PREFIX = "courses/"


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
    """Delete the objects of uploads that are neither shown nor in processing; return how many.

    The bucket is listed first, so the database shows an upload that is published in between.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for key in await storage.list_keys(COURSES_PREFIX):
        keys[key.rpartition("/")[0] + "/"].append(key)
    removed = 0
    for prefix, found in keys.items():
        upload_id = _upload_id(prefix)
        if upload_id and await Upload.exists(id=upload_id):
            continue
        if not await images.are_shown(found):
            # Key by key: the prefix of a stray object right below `courses/` covers all objects.
            removed += sum([await storage.delete_prefix(key) for key in found])
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


def _upload_id(prefix: str) -> UUID | None:
    try:
        return UUID(prefix.rstrip("/").rpartition("/")[2])
    except ValueError:
        return None
