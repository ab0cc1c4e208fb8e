"""The connections of pools, which have no state of their own."""

from typing import Any, NoReturn

from infra.db import hosts
from infra.db.statistics import count_statement
from infra.errors import SelfDescribed


class SessionStateRefused(SelfDescribed, RuntimeError):
    """A connection of the pool has no state of its own: use `direct_connection`"""


class Session(hosts.Connection):
    """A connection of the pool, which is not reset when it is released.

    asyncpg would spend a round trip on the session's locks, listeners and settings. A pooled
    connection has none: `direct_connection` is for those. An open transaction is rolled back.
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise SessionStateRefused

    # A pooler gives the next transaction another session.
    add_listener = prepare = cursor = set_type_codec = _refuse
    copy_from_query = copy_from_table = copy_records_to_table = copy_to_table = _refuse

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_query_logger(count_statement)

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  asyncpg's signature
        """Roll back an open transaction; `command_timeout` bounds it."""
        await self._reset()


class SessionBehindPooler(Session):
    """A connection of the pool to PgBouncer, which ends if the client of a cancellation leaves.

    So a cancellation goes on when its connection is closed; `command_timeout` bounds it. See
    https://github.com/pgbouncer/pgbouncer/issues/801.
    """

    def _clean_tasks(self) -> None:
        """Leave the cancellations running."""
