"""The commands that have a module of their own, each imported when it is used."""

from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

_MODULES = (
    *("tasks", "schedule", "backfills", "queues", "workers", "workflows", "users", "keys"),
    *("slo", "flags", "migrate", "release", "backup", "restore", "audit", "trace"),
)


class CommandGroup(TyperGroup):
    """The commands of `enroll`: one starts without the imports of all others."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for an unknown name all are imported, to suggest similar ones."""
        if cmd_name in _MODULES:
            self._import(cmd_name)
        elif cmd_name not in self.commands:
            self.list_commands(ctx)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        for name in _MODULES:
            self._import(name)
        return super().list_commands(ctx)

    def _import(self, name: str) -> None:
        if name not in self.commands:
            command = get_command(import_module(f"{__package__}.{name}").app)
            command.name = name
            self.commands[name] = command
