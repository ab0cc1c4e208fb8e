"""The migrations of this release as data: aerich's files, which only have SQL."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from runpy import run_path
from typing import Any

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class MigrationError(Exception):
    """The database can't be migrated; the message says why, and what to do."""


class Phase(StrEnum):
    """When a migration may run.

    `expand` runs while processes of the release before still serve. `contract` removes what only
    they used, after they have ended.
    """

    EXPAND = "expand"
    CONTRACT = "contract"


class Tables(StrEnum):
    """Which tables a database has; the value is the name of the application in aerich's table.

    `QUEUE` is for a project of its own: it has the tasks, and none of the courses.
    """

    ALL = "models"
    QUEUE = "queue"


@dataclass(frozen=True)
class Migration:
    """A migration; `name` is its file's, `state` aerich's compressed description of the models.

    aerich compares the models with the state of the last migration, so earlier ones have none.
    `requires` is a query for one boolean: a contracting migration waits until it is true. `exempt`
    has the rules of `deploy.schema` that it may break, with the reasons. `queue_sql` is what it
    does to a database that has the queue only; None is nothing.
    """

    name: str
    phase: Phase
    in_transaction: bool
    sql: str
    state: str | None
    requires: str | None
    exempt: dict[str, str]
    queue_sql: str | None = None


def load(folder: Path = MIGRATIONS / "models") -> list[Migration]:
    """Return the migrations of a folder in their order.

    Raises:
        MigrationError: a file is not one.

    """
    migrations = [_read(path) for path in _files(folder)]
    if migrations and migrations[-1].state is None:
        raise MigrationError(f"{migrations[-1].name} has no MODELS_STATE")
    return migrations


def required(folder: Path = MIGRATIONS / "models") -> str:
    """Return the migration that a database must have for this release: the last one that expands.

    Databases get the migrations in their order, so it has those before it, too.
    """
    return last_expanding(load(folder))


def last_expanding(migrations: list[Migration]) -> str:
    """Return the name of the last migration that expands."""
    return next(each.name for each in reversed(migrations) if each.phase is Phase.EXPAND)


def of_queue(migrations: list[Migration]) -> list[Migration]:
    """Return what the migrations do to a database that has the queue only."""
    return [replace(each, sql=sql) for each in migrations if (sql := each.queue_sql) is not None]


def due(pending: list[Migration], phase: Phase | None) -> list[Migration]:
    """Return those of the pending migrations that a phase applies; None is all of them.

    Raises:
        MigrationError: a migration of the other phase has to be applied before.

    """
    if phase is None:
        return pending
    chosen = list(takewhile(lambda each: each.phase is phase, pending))
    later = pending[len(chosen) :]
    is_blocked = any(each.phase is phase for each in later)
    if phase is Phase.EXPAND and is_blocked:
        raise MigrationError(
            f"{later[0].name} contracts the schema for an earlier release and is not applied: "
            "end the processes of older releases, then run `enroll migrate --phase contract`"
        )
    if phase is Phase.CONTRACT and is_blocked and not chosen:
        raise MigrationError(
            f"{later[0].name} is not applied: run `enroll migrate --phase expand` first"
        )
    return chosen


def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("[0-9]*_*.py"), key=lambda path: int(path.name.partition("_")[0]))


def _read(path: Path) -> Migration:
    content = run_path(str(path))
    if "upgrade" not in content:
        raise MigrationError(f"{path.name} has no upgrade")
    phase = content.get("PHASE", Phase.EXPAND)
    if phase not in set(Phase):
        raise MigrationError(f"{path.name}: PHASE must be expand or contract (it is {phase!r})")
    return Migration(
        path.name,
        Phase(phase),
        content.get("RUN_IN_TRANSACTION", True),
        _sql(path, content["upgrade"]),
        content.get("MODELS_STATE"),
        content.get("REQUIRES"),
        content.get("EXEMPT", {}),
        _sql(path, content["upgrade_queue"]) if "upgrade_queue" in content else None,
    )


def _sql(path: Path, upgrade: Callable[[None], Coroutine[Any, Any, str]]) -> str:
    """Return the SQL of a migration; it gets no connection, so that it can be read and checked."""
    running = upgrade(None)
    try:
        running.send(None)
    except StopIteration as returned:
        return str(returned.value)
    running.close()
    raise MigrationError(f"{path.name}: `upgrade` must return SQL and await nothing")
