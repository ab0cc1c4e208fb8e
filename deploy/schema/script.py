"""The statements of a migration, as PostgreSQL's own parser reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pg

from infra.db.migration_files import Migration


@dataclass(frozen=True)
class Statement:
    """A statement and the line of its SQL on which it starts."""

    node: Message
    line: int

    def commands(self) -> list[pg.AlterTableCmd]:
        """Return the parts of an ALTER TABLE."""
        return list(postgast.find_nodes(self.node, pg.AlterTableCmd))

    def has(self, *kinds: type[Message]) -> bool:
        """Return whether the statement or a part of it is of these classes."""
        return any(isinstance(part, kinds) for _, part in postgast.walk(self.node))


class Script:
    """A migration with its statements parsed."""

    def __init__(self, migration: Migration) -> None:
        self.migration = migration

    @cached_property
    def statements(self) -> list[Statement]:
        """The statements.

        Raises:
            postgast.PgQueryError: PostgreSQL could not parse them.

        """
        # The parser's positions count bytes.
        sql = self.migration.sql.encode()

        def line(start: int) -> int:
            blank = len(sql[start:]) - len(sql[start:].lstrip())
            return sql[: start + blank].count(b"\n") + 1

        return [
            Statement(postgast.unwrap_node(raw.stmt), line(raw.stmt_location))
            for raw in postgast.parse(self.migration.sql).stmts
        ]

    @cached_property
    def new_tables(self) -> set[str]:
        """The tables that the migration creates: no release before uses them."""
        nodes = (each.node for each in self.statements)
        return {each.relation.relname for each in nodes if isinstance(each, pg.CreateStmt)}

    @cached_property
    def new_columns(self) -> set[tuple[str, str]]:
        """The columns that it adds to older tables, as (table, column)."""
        return {
            (each.node.relation.relname, column.colname)
            for each in self.statements
            if isinstance(each.node, pg.AlterTableStmt)
            for column in postgast.find_nodes(each.node, pg.ColumnDef)
        }

    @cached_property
    def locked_tables(self) -> set[str]:
        """The older tables whose writers or readers have to wait while it runs."""
        locked = (name for each in self.statements for name in _locked_by(each.node))
        return set(locked) - self.new_tables


def dropped_table(node: Message) -> list[str]:
    """Return the names of the tables that a DROP locks: its own, or those of its triggers."""
    if not isinstance(node, pg.DropStmt):
        return []
    if node.remove_type not in {pg.OBJECT_TABLE, pg.OBJECT_TRIGGER}:
        return []
    is_trigger = node.remove_type == pg.OBJECT_TRIGGER
    names = [[part.string.sval for part in each.list.items] for each in node.objects]
    return [name[-2] if is_trigger else name[-1] for name in names]


def _locked_by(node: Message) -> Iterator[str]:
    yield from dropped_table(node)
    match node:
        case pg.AlterTableStmt() | pg.CreateTrigStmt() | pg.IndexStmt(concurrent=False):
            yield node.relation.relname
        case pg.RenameStmt() if node.relation.relname:
            yield node.relation.relname
    # A foreign key locks the other table, too.
    for constraint in postgast.find_nodes(node, pg.Constraint):
        if constraint.pktable.relname:
            yield constraint.pktable.relname
