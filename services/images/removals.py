"""Which images were removed, as every process knows it: none is served from memory after that."""

from collections.abc import Callable
from typing import Any

from infra.db.feed import Subscriber
from infra.queue.fragments import of_name
from infra.storage.object_cache import MAX_REMOVED
from services.task_names import TaskName

# A removal is a task, inserted in the transaction that stops showing the image. The interval is
# longer than any such transaction: it may commit behind a later one.
_REMOVED = f"SELECT args->>'prefix' AS prefix FROM ({of_name(TaskName.REMOVE_IMAGES)}) AS task"  # noqa: S608  constants only
_LATEST = _REMOVED + " WHERE created_at > now() - interval '1 minute'"
_ALL = _REMOVED + " ORDER BY created_at DESC LIMIT $1"


class RemovedImages(Subscriber):
    """Tells `remove` the key prefix of each removed image, several times (`infra.db.feed`)."""

    def __init__(self, remove: Callable[[str], None]) -> None:
        self._remove = remove

    async def poll(self, connection: Any, *, is_first: bool) -> None:
        """Read what was removed lately, or all that is known."""
        asked = (_ALL, MAX_REMOVED) if is_first else (_LATEST,)
        # The oldest first, for those are forgotten first.
        for row in reversed(await connection.fetch(*asked, timeout=10)):
            self._remove(row["prefix"])
