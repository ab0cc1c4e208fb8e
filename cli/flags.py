"""`enroll flags`: shows and changes the feature flags."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_table
from cli.database import run_with_database
from cli.options import AsJson, Limit, PageNumber, UsageError
from models import AuditEntry
from services.errors import Invalid
from services.fields import validated
from services.flags import store
from services.flags.definitions import FlagDefinition, StrategyName
from services.flags.store import StoredFlag

COLUMNS = ("flag", "state", "default", "owner", "evaluated", "description")
DISPENSABLE = ("description", "owner", "default", "evaluated")
HISTORY_COLUMNS = ("at", "actor", "action", "before", "after")

app = typer.Typer(help="Show and change the feature flags.", no_args_is_help=True)

FlagName = Annotated[str, typer.Argument(help="The flag's name.")]


@app.command("list")
def list_flags(*, as_json: AsJson = False) -> None:
    """List the flags: what is on, and which nobody has evaluated for 30 days."""
    flags = run_with_database("flags", store.list_flags)
    if as_json:
        print_json([_fields(flag) for flag in flags])
    else:
        print_table(COLUMNS, map(_row, flags), dispensable=DISPENSABLE)


@app.command()
def show(name: FlagName, *, as_json: AsJson = False) -> None:
    """Show a flag with its definition."""
    fields = _fields(run_with_database("flags", lambda: store.get_flag(name)))
    if as_json:
        print_json(fields)
        return
    definition = fields.pop("definition")
    for key, value in fields.items():
        print_line(f"{key + ':':<18} {'' if value is None else value}")
    print_json(definition)


@app.command("set")
def set_flag(
    name: FlagName,
    *,
    on: Annotated[bool, typer.Option("--on", help="Turn it on, as far as it is defined.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Turn it off, and keep the rest.")] = False,
    percent: Annotated[
        int | None, typer.Option(min=0, max=100, help="Turn it on for so many of 100 subjects.")
    ] = None,
    file: Annotated[
        str,
        typer.Option(help="A file of the definition, in JSON; - is stdin."),
    ] = "",
) -> None:
    """Define a flag; all processes follow within a second."""
    if [on, off, percent is not None, bool(file)].count(True) != 1:
        raise UsageError("give one of --on, --off, --percent and --file")
    document = _read(file) if file else None

    async def change() -> tuple[StoredFlag, StoredFlag]:
        before = await store.get_flag(name)
        changed = document or _changed(before, is_on=not off, percent=percent)
        definition = _parsed(changed)
        after = await store.set_flag(name, definition, lambda version: version == before.version)
        return before, after

    before, after = run_with_database("flags", change)
    print_line(f"{name}: {before.state} -> {after.state}")


@app.command()
def kill(name: FlagName) -> None:
    """Turn a flag off for all, within a second."""
    run_with_database("flags", lambda: store.kill_flag(name))
    print_line(f"{name} is off; `enroll flags set {name} --on` turns it on as before")


@app.command()
def reset(name: FlagName) -> None:
    """Delete a flag's definition: it has its default again."""
    run_with_database("flags", lambda: store.delete_flag(name))
    print_line(f"{name} has its default")


@app.command()
def history(
    name: FlagName, limit: Limit = 50, page: PageNumber = 1, *, as_json: AsJson = False
) -> None:
    """Show who changed a flag, and how; the latest change first."""
    offset = (page - 1) * limit
    changes, _ = run_with_database("flags", lambda: store.history(name, limit, offset))
    if as_json:
        print_json([_change(entry) for entry in changes])
    else:
        print_table(HISTORY_COLUMNS, map(_history_row, changes))


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"--file {file}: {error}") from None
    if not isinstance(document, dict):
        raise UsageError(f"--file {file}: must have a JSON object")
    return document


def _parsed(document: dict[str, Any]) -> FlagDefinition:
    try:
        return validated(FlagDefinition, document)
    except Invalid as error:
        lines = (f"{fault.field}: {fault.message}" for fault in error.faults)
        raise UsageError("\n".join(lines)) from None


def _changed(before: StoredFlag, *, is_on: bool, percent: int | None) -> dict[str, Any]:
    """Return the definition turned on or off, or with another percentage."""
    changed = (before.definition or {}) | {"enabled": is_on}
    if percent is None:
        return changed
    strategies = changed.get("strategies") or [{"name": StrategyName.ROLLOUT}]
    if len(strategies) > 1 or strategies[0]["name"] != StrategyName.ROLLOUT:
        raise UsageError(
            f"{before.name} is not a plain rollout: change its definition by --file "
            f"(`enroll flags show {before.name} --json` prints it)"
        )
    (rollout,) = strategies
    parameters = rollout.get("parameters", {}) | {"rollout": percent}
    return changed | {"strategies": [rollout | {"parameters": parameters}]}


def _fields(flag: StoredFlag) -> dict[str, Any]:
    fields = asdict(flag)
    declared = fields.pop("declared") or {}
    fields["state"] = flag.state
    return fields | {key: value for key, value in declared.items() if key != "properties"}


def _row(flag: StoredFlag) -> tuple[object, ...]:
    last = flag.last_evaluated_at
    evaluated = f"{last:%Y-%m-%d %H:%M}" if last else "never"
    declared = flag.declared
    return (
        flag.name,
        flag.state,
        ("on" if declared.default else "off") if declared else "not in the code",
        declared.owner if declared else "",
        f"{evaluated}, stale" if flag.is_stale else evaluated,
        declared.description if declared else "",
    )


def _change(entry: AuditEntry) -> dict[str, Any]:
    details = entry.details or {}
    shown = {"at": entry.at, "actor": entry.actor, "action": entry.action}
    return shown | {"before": details.get("before"), "after": details.get("after")}


def _history_row(entry: AuditEntry) -> tuple[object, ...]:
    details = entry.details or {}
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        entry.actor or "",
        entry.action,
        store.state_of(details.get("before")),
        store.state_of(details.get("after")),
    )
