"""What `aerich migrate` reads, by `[tool.aerich]` of pyproject.toml."""

from infra.db.migrations import migration_config
from infra.settings import load_settings, require_direct_database

TORTOISE_ORM = migration_config(require_direct_database(load_settings()))
