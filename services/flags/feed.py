"""How a process follows the flags: the database, else the last known good ones in a file."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from infra.db.engine import UNUSABLE
from infra.db.feed import Subscriber
from infra.db.sql import rows
from infra.observability import logs, metrics
from infra.observability.events import Event
from infra.process.private_files import data_folder, write_private_file
from services.flags import uses
from services.flags.evaluate import Feature, Flags
from services.flags.registry import FLAGS

POLL_TIMEOUT_SECONDS = 3.0
# How old the definitions of a process without a feed may be when it evaluates.
FRESH_SECONDS = 0.5
# How often a process writes which flags it has evaluated.
FLUSH_SECONDS = 60.0
# The definitions come only if the version is another one: a restored database may have an older.
_POLL = """
    SELECT state.version AS current, flag.name, flag.version, flag.definition::text AS definition
    FROM feature_flag_state AS state LEFT JOIN feature_flags AS flag ON state.version <> $1
"""

log = logs.get_logger(__name__)


class FlagFeed(Subscriber):
    """Keeps the flags of a process current (`infra.db.feed`), and the file, if there is one."""

    channel = "feature_flags"

    def __init__(self, flags: Flags, file: Path | None = None) -> None:
        self.flags = flags
        self._file = file
        self._polled_at = self._flushed_at = float("-inf")

    @property
    def age_seconds(self) -> float:
        """The time since the last successful poll."""
        return time.monotonic() - self._polled_at

    async def start(self) -> None:
        """Load the flags from the file, and then from the database if it answers."""
        source = "file" if self._load_file() else "defaults"
        await self.catch_up()
        if self._polled_at > 0:
            source = "database"
        log.info(Event.FLAGS_LOADED, source=source, flag_version=self.flags.version)

    async def stop(self) -> None:
        """Write which flags were evaluated last, if the database answers."""
        with suppress(*UNUSABLE):
            await self._flush(rows)

    async def poll(self, connection: Any, *, is_first: bool) -> None:  # noqa: ARG002  the protocol's
        """Read the definitions if their version is another one."""
        await self._poll(partial(connection.fetch, timeout=POLL_TIMEOUT_SECONDS))

    async def catch_up(self) -> None:
        """Bring the flags of a process without a feed up to date, if the database answers."""
        if self.age_seconds < FRESH_SECONDS:
            return
        try:
            async with asyncio.timeout(POLL_TIMEOUT_SECONDS):
                await self._poll(rows)
        except UNUSABLE as error:
            log.warning(Event.FLAGS_NOT_READ, error=str(error), flag_version=self.flags.version)

    async def _poll(self, fetch: Callable[..., Awaitable[Any]]) -> None:
        asked_at = time.monotonic()
        found = await fetch(_POLL, self.flags.version)
        current = found[0]["current"]
        if current != self.flags.version:
            features = [
                Feature(row["name"], row["version"], json.loads(row["definition"]))
                for row in found
                if row["name"] is not None
            ]
            self.flags.load(features, current)
            await asyncio.to_thread(self._write_file, features, current)
        self._polled_at = asked_at
        metrics.flags_age.reset()
        if asked_at > self._flushed_at + FLUSH_SECONDS:
            await self._flush(fetch)
            self._flushed_at = asked_at

    async def _flush(self, fetch: Callable[..., Awaitable[Any]]) -> None:
        evaluated, self.flags.evaluated = self.flags.evaluated, set()
        try:
            await fetch(uses.FLUSH, sorted(FLAGS), sorted(evaluated))
        except BaseException:
            self.flags.evaluated |= evaluated
            raise

    def _write_file(self, features: Sequence[Feature], version: int) -> None:
        if self._file is None:
            return
        kept = {"version": version, "features": [vars(each) for each in features]}
        try:
            if not self._file.parent.exists():
                data_folder(self._file.parent)
            write_private_file(self._file, json.dumps(kept))
        except OSError as error:
            log.warning(Event.FLAGS_NOT_KEPT, file=str(self._file), error=str(error))

    def _load_file(self) -> bool:
        """Load the last known good flags; return whether there are any."""
        if self._file is None:
            return False
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            self.flags.load([Feature(**each) for each in kept["features"]], int(kept["version"]))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning(Event.FLAGS_FILE_UNUSABLE, file=str(self._file), error=repr(error))
            return False
        return True
