"""`enroll keys`: the keys that sign tokens."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from tortoise.exceptions import BaseORMException

from cli.console import print_error, print_line, print_table
from infra import key_ring
from infra.db.engine import database
from infra.db.transactions import transaction
from infra.observability import logs
from infra.process import signals
from infra.settings import (
    Environment,
    Settings,
    SettingsError,
    Use,
    load_settings,
    require_database,
)
from services.audit import trail
from services.audit.trail import Action

LEEWAY_SECONDS = 60

app = typer.Typer(help="The keys that sign tokens.", no_args_is_help=True)


@app.command()
def rotate(
    *,
    leaked: Annotated[
        bool,
        typer.Option(
            help="Reject the old keys at once: all clients have to refresh or log in again."
        ),
    ] = False,
    this_machine_only: Annotated[
        bool,
        typer.Option(
            "--this-machine-only",
            help="There is no other instance; required in production.",
        ),
    ] = False,
) -> None:
    """Sign with a new key from now on; tokens of the old keys are valid until they expire."""
    settings = load_settings(uses=Use.TOKENS)
    if settings.environment is Environment.PRODUCTION and not this_machine_only:
        raise SettingsError(
            f"{key_ring.key_file(settings)} is local to this machine, so other instances would "
            "refuse tokens of the new key: they share keys by JWT_KEYS (docs/security.md, Tokens "
            "and keys). If there are none, add --this-machine-only"
        )
    keep = 0 if leaked else settings.token_lifetime_seconds + LEEWAY_SECONDS
    kid = key_ring.rotate(settings, keep_seconds=keep)
    signals.run(_audit(settings, kid, leaked=leaked))
    print_line(f"{kid} signs from now on, on this machine")


async def _audit(settings: Settings, kid: str, *, leaked: bool) -> None:
    """Write the audit entry; without a database the key is rotated all the same."""
    logs.configure_command(settings.log_level, settings.log_format, process="keys")
    try:
        async with database(require_database(settings), pool_size=1), transaction():
            await trail.record(Action.ROTATE_KEYS, kid, {"leaked": leaked})
    except (SettingsError, BaseORMException, OSError, TimeoutError) as error:
        print_error(f"the rotation is not in the audit log: {error}")


@app.command("list")
def list_keys() -> None:
    """List the keys by id, without their secrets."""
    now = datetime.now(UTC).timestamp()
    rows = []
    for number, key in enumerate(key_ring.KeyRing(load_settings(uses=Use.TOKENS)).keys):
        until = "always"
        if key.until is not None:
            until = f"until {datetime.fromtimestamp(key.until, UTC):%Y-%m-%d %H:%M:%SZ}"
        trusted = until if key.is_trusted(now) else "expired"
        rows.append((key.kid, "yes" if number == 0 else "no", trusted))
    print_table(("key", "signs", "trusted"), rows)
