"""Preparation before the service starts: checks, the schema, and the admin."""

from collections.abc import Callable

from infra.db.engine import database
from infra.db.migration_files import Phase
from infra.db.migrations import DEADLINE_SECONDS, migrate
from infra.key_ring import KeyRing
from infra.settings import (
    DEFAULT_ADMIN_PASSWORD,
    Environment,
    Settings,
    SettingsError,
    require_database,
    require_direct_database,
)
from infra.storage import StorageError, open_storage
from services.auth.accounts import admins_with_password, ensure_admin
from services.auth.passwords import PasswordRefused


def check(settings: Settings) -> None:
    """Check that the image store and the keys of the settings can be used.

    Raises:
        SettingsError: they can't; the message has a line for each fault.

    """
    openers: tuple[Callable[[Settings], object], ...] = (open_storage, KeyRing)
    faults = []
    for use in openers:
        try:
            use(settings)
        except (StorageError, SettingsError) as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))


async def set_up(
    settings: Settings, phase: Phase | None, deadline_seconds: float = DEADLINE_SECONDS
) -> list[str]:
    """Migrate unless SKIP_MIGRATION, create the admin; return the migrations applied.

    Raises:
        SettingsError: ADMIN_PASSWORD can't be hashed.
        MigrationError: the migrations of the phase (None: of both) can't be applied.

    """
    url = require_database(settings)
    direct_url = require_direct_database(settings)
    applied = []
    if not settings.skip_migration:
        applied = await migrate(direct_url, phase, deadline_seconds=deadline_seconds)
    async with database(url, pool_size=1):
        try:
            await ensure_admin(settings.admin_username, settings.admin_password.get_secret_value())
        except PasswordRefused as error:
            raise SettingsError(f"ADMIN_PASSWORD: {error}") from None
    return applied


async def refuse_default_password(settings: Settings) -> None:
    """Check in production that no stored admin has the default password.

    Raises:
        SettingsError: an admin who may log in has it.

    """
    if settings.environment is not Environment.PRODUCTION:
        return
    async with database(require_database(settings), pool_size=1):
        names = await admins_with_password(DEFAULT_ADMIN_PASSWORD.get_secret_value())
    if names:
        raise SettingsError(
            f"the stored password of {', '.join(map(repr, names))} is the public default; "
            "change it with `enroll users passwd NAME`"
        )
