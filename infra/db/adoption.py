"""Databases of the 0.x releases go on with the migrations of 1.0."""

from dataclasses import replace

from infra.db.migration_files import MIGRATIONS, Migration, MigrationError

# Databases of the 0.x releases that had this migration go on; it was their last one.
LAST_OF_0 = "12_20261129083000_images_removed.py"
UPGRADE_FROM_0 = MIGRATIONS / "sql" / "upgrade_from_0.sql"
# What the upgrade adds whole.
ADDED_SINCE_0 = MIGRATIONS / "sql" / "catalogue.sql"


class SchemaTooOldError(MigrationError):
    """The database has migrations of an earlier release than this one can go on from."""


def adoption(known: list[str], initial: Migration) -> Migration | None:
    """Return what brings a database of 0.x to the initial migration; None for all others.

    Raises:
        SchemaTooOldError: the database is of a release before the last of 0.x.

    """
    if not known or initial.name in known:
        return None
    if LAST_OF_0 not in known:
        raise SchemaTooOldError(
            f"the database is at migration {known[-1]}, of an older release than the last 0.x: "
            f"run `enroll migrate` of the last 0.x release first, which ends with {LAST_OF_0}"
        )
    parts = [path.read_text("utf-8") for path in (UPGRADE_FROM_0, ADDED_SINCE_0)]
    return replace(initial, sql=";\n".join((*parts, "DELETE FROM aerich WHERE app = 'models';")))
