"""What `aerich migrate` reads, by `[tool.aerich]` of pyproject.toml."""

from infra.database import tortoise_config
from infra.settings import load_settings, require_database

TORTOISE_ORM = tortoise_config(require_database(load_settings()), pool_size=1)
