"""Folders of migrations for tests: those of this release, and more."""

import shutil
from pathlib import Path

from infra.db.migration_files import MIGRATIONS, load

FIRST = 900


def copy_migrations(folder: Path) -> Path:
    """Copy the migrations of this release into a folder; return it."""
    return Path(shutil.copytree(MIGRATIONS / "models", folder / "migrations"))


def add_migration(folder: Path, sql: str, **declared: object) -> str:
    """Add a migration after all others; return its name. `declared` are its module's constants."""
    number = max(FIRST, *(int(path.name.partition("_")[0]) + 1 for path in folder.glob("[0-9]*")))
    path = folder / f"{number}_20261129000000_test.py"
    constants = {"RUN_IN_TRANSACTION": True, "MODELS_STATE": load()[-1].state} | declared
    lines = [f"{name} = {value!r}" for name, value in constants.items()]
    lines += ["async def upgrade(db):", f"    return {sql!r}"]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path.name
