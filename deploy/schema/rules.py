"""Rules for new migrations: what neither holds up nor breaks the release before.

They complete those of squawk, which does not see triggers, functions, backfills and time limits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import postgast
from postgast import pg_query_pb2 as pg

from deploy.schema.script import Script, Statement
from infra.db.migration_files import Phase

_TIME_LIMITS = {"lock_timeout", "statement_timeout", "transaction_timeout"}
_TRIGGER_SWITCHES = {
    pg.AT_EnableTrig, pg.AT_EnableAlwaysTrig, pg.AT_EnableReplicaTrig, pg.AT_EnableTrigAll,
    pg.AT_DisableTrig, pg.AT_DisableTrigAll, pg.AT_EnableTrigUser, pg.AT_DisableTrigUser,
}  # fmt: skip
_REMOVALS = {
    pg.AT_DropColumn: "drops a column",
    pg.AT_DropConstraint: "drops a constraint",
    pg.AT_SetNotNull: "forbids NULL",
    pg.AT_AlterColumnType: "changes a column's type",
}
_CHECKING = {pg.CONSTR_CHECK, pg.CONSTR_UNIQUE, pg.CONSTR_FOREIGN, pg.CONSTR_EXCLUSION}


@dataclass(frozen=True)
class Finding:
    """A rule that a migration breaks; `line` counts in its SQL, from 1."""

    rule: str
    message: str
    line: int = 1


Check = Callable[[Script, Statement], Iterator[str]]
RULES: dict[str, Check] = {}


def _rule(name: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        RULES[name] = check
        return check

    return register


def judge(script: Script) -> list[Finding]:
    """Return what the statements of a migration break of our rules."""
    found = [
        Finding(rule, message, statement.line)
        for statement in script.statements
        for rule, check in RULES.items()
        for message in check(script, statement)
    ]
    if script.migration.in_transaction and len(script.locked_tables) > 1:
        found.append(
            Finding(
                "locks-several-tables",
                f"it locks {', '.join(sorted(script.locked_tables))}: while it waits for one, "
                "others wait for those it has; make a migration of each",
            )
        )
    return found


@_rule("concurrently")
def _concurrently(script: Script, statement: Statement) -> Iterator[str]:
    """CONCURRENTLY runs outside a transaction, alone, and may be run again."""
    node = statement.node
    match node:
        case pg.IndexStmt(concurrent=True, if_not_exists=is_repeatable):
            is_ours = True
        case pg.DropStmt(concurrent=True, missing_ok=is_repeatable):
            is_ours = True
        case _:
            is_ours = is_repeatable = False
    if is_ours and script.migration.in_transaction:
        yield "CONCURRENTLY needs RUN_IN_TRANSACTION = False"
    if is_ours and not is_repeatable:
        yield "it may be run twice: add IF NOT EXISTS or IF EXISTS"
    if not script.migration.in_transaction and not (is_ours and len(script.statements) == 1):
        yield "outside a transaction a migration is one CREATE or DROP INDEX CONCURRENTLY"
    if isinstance(node, pg.IndexStmt) and not is_ours and _is_older(script, node):
        yield "an index of an older table is built CONCURRENTLY"


@_rule("trigger")
def _trigger(script: Script, statement: Statement) -> Iterator[str]:
    """A trigger also runs in the writes of the release before."""
    node = statement.node
    if isinstance(node, pg.CreateTrigStmt) and _is_older(script, node):
        yield f"the release before writes to {node.relation.relname}, and the trigger runs then"
    if isinstance(node, pg.DropStmt) and node.remove_type == pg.OBJECT_TRIGGER:
        yield "the release before relies on the trigger"
    if isinstance(node, (pg.CreateEventTrigStmt, pg.RuleStmt)):
        yield "the release before meets it"
    if any(each.subtype in _TRIGGER_SWITCHES for each in statement.commands()):
        yield "the release before relies on the triggers that are on"


@_rule("replaced-function")
def _replaced_function(_script: Script, statement: Statement) -> Iterator[str]:
    """A function that is replaced changes under the release before; a new one has a new name."""
    if isinstance(statement.node, pg.CreateFunctionStmt) and statement.node.replace:
        yield "the release before calls the function, too: give the new one a name of its own"


@_rule("rename")
def _rename(_script: Script, statement: Statement) -> Iterator[str]:
    """No moment suits both releases: tables, columns, indexes and constraints are known by name."""
    if statement.has(pg.RenameStmt, pg.AlterObjectSchemaStmt):
        yield "one of the two releases does not know the name: add another, drop this one later"


@_rule("backfill")
def _backfill(_script: Script, statement: Statement) -> Iterator[str]:
    """Rows change in a task (tasks/backfills.py), in batches, and not in one transaction."""
    changes = (pg.UpdateStmt, pg.DeleteStmt, pg.MergeStmt, pg.CopyStmt, pg.TruncateStmt)
    if statement.has(*changes) and not isinstance(statement.node, pg.CreateFunctionStmt):
        yield "it changes rows while it has locks: make it a backfill"
    node = statement.node
    is_copy = isinstance(node, pg.InsertStmt) and bool(node.select_stmt.select_stmt.from_clause)
    if is_copy or isinstance(node, pg.CreateTableAsStmt):
        yield "it copies rows while it has locks: make it a backfill"


@_rule("opaque")
def _opaque(_script: Script, statement: Statement) -> Iterator[str]:
    """No check can see what a block or a function does."""
    if isinstance(statement.node, (pg.DoStmt, pg.CallStmt, pg.SelectStmt)):
        yield "nothing can check what it does: write its statements out"


@_rule("time-limits")
def _time_limits(_script: Script, statement: Statement) -> Iterator[str]:
    """`enroll migrate` sets the limits, so that no migration forgets them."""
    if isinstance(statement.node, pg.VariableSetStmt) and statement.node.name in _TIME_LIMITS:
        yield f"`enroll migrate` sets {statement.node.name}"
    if isinstance(statement.node, pg.LockStmt):
        yield "it holds a lock for longer than its statements need"


@_rule("contract")
def _contract(script: Script, statement: Statement) -> Iterator[str]:
    """What the release before uses is removed after it has ended."""
    if script.migration.phase is Phase.CONTRACT:
        return
    if isinstance(statement.node, pg.DropStmt):
        yield "it drops what the release before may use: PHASE = 'contract'"
    for command in statement.commands():
        if removal := _REMOVALS.get(command.subtype):
            yield f"it {removal} that the release before may rely on: PHASE = 'contract'"


@_rule("tighter")
def _tighter(script: Script, statement: Statement) -> Iterator[str]:
    """A new constraint refuses what the release before writes; on a new column it can't."""
    node = statement.node
    if script.migration.phase is Phase.CONTRACT:
        return
    if isinstance(node, pg.IndexStmt) and node.unique:
        used = {each.index_elem.name for each in node.index_params}
        if _is_older(script, node) and _old(script, node, used):
            yield "the index refuses what the release before writes: PHASE = 'contract'"
    if not isinstance(node, pg.AlterTableStmt) or not _is_older(script, node):
        return
    for constraint in postgast.find_nodes(node, pg.Constraint):
        if constraint.contype in _CHECKING and _old(script, node, _columns(constraint)):
            name = constraint.conname or "the constraint"
            yield f"{name} refuses what the release before writes: PHASE = 'contract'"


@_rule("scan")
def _scan(script: Script, statement: Statement) -> Iterator[str]:
    """A constraint of a new column is checked row by row, while others can't use the table."""
    node = statement.node
    if isinstance(node, pg.AlterTableStmt) and _is_older(script, node):
        for column in postgast.find_nodes(node, pg.ColumnDef):
            if any(each.constraint.contype in _CHECKING for each in column.constraints):
                yield (
                    f"{column.colname}: add its constraint NOT VALID, and validate it by the next "
                    "migration"
                )


def _is_older(script: Script, node: pg.AlterTableStmt | pg.CreateTrigStmt | pg.IndexStmt) -> bool:
    """Return whether the statement's table is older than the migration."""
    return node.relation.relname not in script.new_tables


def _columns(constraint: pg.Constraint) -> set[str]:
    names = {part.string.sval for part in (*constraint.keys, *constraint.fk_attrs)}
    references = postgast.find_nodes(constraint.raw_expr, pg.ColumnRef)
    return names | {each.fields[-1].string.sval for each in references}


def _old(script: Script, node: pg.IndexStmt | pg.AlterTableStmt, columns: set[str]) -> bool:
    """Return whether a column is one that the release before writes."""
    table = node.relation.relname
    added = {column for owner, column in script.new_columns if owner == table}
    return bool(columns - added)
