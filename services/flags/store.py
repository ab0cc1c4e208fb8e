"""The definitions in the database: read by admins, and changed in audited transactions.

A trigger gives each change a version and notifies all processes: `migrations/sql/flags.sql`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.db.sql import rows
from infra.db.transactions import transaction
from models import AuditEntry, FeatureFlag, FeatureFlagUse
from services.audit import trail
from services.audit.trail import Action
from services.errors import Changed, NotFound
from services.flags.definitions import FlagDefinition, feature_of
from services.flags.registry import FLAGS, Flag

STALE_AFTER = timedelta(days=30)
ACTIONS = (Action.SET_FLAG, Action.KILL_FLAG, Action.DELETE_FLAG)

# Evaluated on the version of the locked flag; 0 is that of a flag without a definition.
Condition = Callable[[int], bool]


class FlagNotFound(NotFound):
    """The requested flag does not exist"""


class FlagChanged(Changed):
    """The flag is not the version that If-Match names; read it again"""


@dataclass(frozen=True)
class StoredFlag:
    """A flag as operators see it: its declaration, definition and last evaluation."""

    name: str
    declared: Flag | None
    definition: dict[str, Any] | None
    version: int
    updated_at: datetime | None
    last_evaluated_at: datetime | None
    is_stale: bool

    @property
    def state(self) -> str:
        """The definition in short."""
        return state_of(self.definition)


def state_of(definition: dict[str, Any] | None) -> str:
    """Return a definition in short."""
    if definition is None:
        return "default"
    if not definition["enabled"]:
        return "off"
    shares = [
        f"{each.get('parameters', {}).get('rollout', '100')} %"
        + (" of some" if each.get("constraints") else "")
        for each in definition["strategies"]
    ]
    return f"on for {', '.join(shares)}" if shares and "100 %" not in shares else "on"


async def list_flags() -> list[StoredFlag]:
    """Return the flags that the code declares or the database defines, by name."""
    defined = {row.name: row for row in await FeatureFlag.all()}
    used = {row.name: row for row in await FeatureFlagUse.all()}
    return [_stored(name, defined.get(name), used.get(name)) for name in sorted({*FLAGS, *defined})]


async def get_flag(name: str) -> StoredFlag:
    """Return a flag.

    Raises:
        FlagNotFound: the code declares none of this name, and the database defines none.

    """
    defined = await FeatureFlag.get_or_none(name=name)
    if defined is None and name not in FLAGS:
        raise FlagNotFound
    return _stored(name, defined, await FeatureFlagUse.get_or_none(name=name))


def _stored(name: str, defined: FeatureFlag | None, use: FeatureFlagUse | None) -> StoredFlag:
    known_since = (use.last_evaluated_at or use.declared_at) if use else None
    is_new = name in FLAGS and known_since is None
    return StoredFlag(
        name,
        FLAGS.get(name),
        defined.definition if defined else None,
        defined.version if defined else 0,
        defined.updated_at if defined else None,
        use.last_evaluated_at if use else None,
        is_stale=not is_new and (known_since is None or known_since < _stale_before()),
    )


def _stale_before() -> datetime:
    return datetime.now(UTC) - STALE_AFTER


async def set_flag(
    name: str, definition: FlagDefinition, condition: Condition | None = None
) -> StoredFlag:
    """Define a flag; all processes follow within a second.

    Raises:
        FlagNotFound: the code declares no flag of this name.
        FlagChanged: the condition is false.
        Invalid: the definition does not fit the flag.

    """
    if name not in FLAGS:
        raise FlagNotFound
    feature = feature_of(FLAGS[name], definition)
    async with transaction():
        before = await _locked(name, condition)
        await _write(name, before, feature, Action.SET_FLAG)
    return await get_flag(name)


async def kill_flag(name: str) -> StoredFlag:
    """Turn a flag off for all, and keep the rest of its definition.

    Raises:
        FlagNotFound: the code declares no flag of this name.

    """
    if name not in FLAGS:
        raise FlagNotFound
    async with transaction():
        before = await _locked(name)
        kept = before.definition if before else {"name": name, "strategies": [], "variants": []}
        await _write(name, before, kept | {"enabled": False}, Action.KILL_FLAG)
    return await get_flag(name)


async def delete_flag(name: str, condition: Condition | None = None) -> None:
    """Delete a flag's definition: the flag has its default again.

    Raises:
        FlagNotFound: the flag has no definition.
        FlagChanged: the condition is false.

    """
    async with transaction():
        before = await _locked(name, condition)
        if before is None:
            raise FlagNotFound
        await before.delete()
        await trail.record(Action.DELETE_FLAG, name, {"before": before.definition, "after": None})


async def _locked(name: str, condition: Condition | None = None) -> FeatureFlag | None:
    """Lock all definitions, so that versions are in the order of commits; return the flag's."""
    await rows("SELECT version FROM feature_flag_state FOR UPDATE")
    found = await FeatureFlag.get_or_none(name=name)
    if condition is not None and not condition(found.version if found else 0):
        raise FlagChanged
    return found


async def _write(
    name: str, before: FeatureFlag | None, feature: dict[str, Any], action: Action
) -> None:
    if before is None:
        await FeatureFlag.create(name=name, definition=feature)
    else:
        await FeatureFlag.filter(name=name).update(definition=feature)
    change = {"before": before.definition if before else None, "after": feature}
    await trail.record(action, name, change)


async def history(name: str, limit: int, offset: int = 0) -> tuple[list[AuditEntry], int]:
    """Return the changes of a flag after the `offset` newest, the newest first, and their number.

    Raises:
        FlagNotFound: there is no flag of this name, and never was one.

    """
    changes = AuditEntry.filter(action__in=ACTIONS, target=name)
    total = await changes.count()
    if not total and name not in FLAGS:
        raise FlagNotFound
    # An id is made under the lock; `at` is when the transaction began, which may be another order.
    return await changes.order_by("-id").offset(offset).limit(limit), total
