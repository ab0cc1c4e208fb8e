"""Indexes that Tortoise can't express: operator classes, sort order, partial uniqueness."""

import re

from tortoise import Model
from tortoise.backends.base.schema_generator import BaseSchemaGenerator
from tortoise.indexes import Index

_COLUMN = re.compile(r"[(,] *([a-z]\w*)")


class SqlIndex(Index):
    """An index by the SQL after `ON table`: `SqlIndex("name", "(a DESC, b) WHERE c")`."""

    def __init__(self, name: str, body: str, *, unique: bool = False) -> None:
        keys = re.split("INCLUDE|WHERE", body)[0]
        super().__init__(fields=_COLUMN.findall(keys), name=name)
        self.body = body
        self.unique = unique
        self.extra = body

    def get_sql(
        self,
        schema_generator: BaseSchemaGenerator,  # noqa: ARG002  Tortoise's signature
        model: type[Model],
        safe: bool,  # noqa: FBT001  Tortoise's signature
    ) -> str:
        """Return the CREATE INDEX statement."""
        unique = "UNIQUE " if self.unique else ""
        exists = "IF NOT EXISTS " if safe else ""
        return (
            f'CREATE {unique}INDEX {exists}"{self.name}" ON "{model._meta.db_table}" {self.body};'  # noqa: SLF001  Tortoise names it so
        )
