"""`enroll users`: manages accounts and lists sessions."""

import sys
from collections.abc import Callable, Coroutine
from operator import itemgetter
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from cli.console import print_json, print_line, print_table
from cli.database import run_with_database
from cli.options import AsJson, Limit, PageNumber, UsageError
from infra import rate_limits
from infra.aio.shield import finish
from infra.observability import logs
from infra.process import signals
from infra.session_list import SessionList
from infra.settings import (
    DEFAULT_ADMIN_PASSWORD,
    Environment,
    Use,
    load_settings,
)
from models import Role
from services.auth import accounts

T = TypeVar("T")

app = typer.Typer(help="Manage accounts and list sessions.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="The account's name.")]


@app.command()
def add(
    username: Username,
    role: Annotated[Role, typer.Option(help="Its permissions.")] = Role.STUDENT,
) -> None:
    """Create an account; the password comes from a prompt or from standard input."""
    password = _password()
    run_with_database("users", lambda: accounts.add(username, password, role))
    print_line(f"{username} may log in, as {role.value}")


@app.command()
def passwd(username: Username) -> None:
    """Change the password of an account, and end its sessions."""
    password = _password()
    _end(lambda: accounts.set_password(username, password), f"{username} has a new password")


@app.command()
def disable(
    username: Username,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Disable even the last admin, without confirmation.")
    ] = False,
) -> None:
    """Disable an account, and end its sessions within a second."""
    done = f"{username} may not log in any more"
    try:
        _end(lambda: accounts.disable(username, even_last_admin=yes), done)
    except accounts.LastAdmin as error:
        if not sys.stdin.isatty():
            raise UsageError(f"{error.message}; --yes disables it anyway") from None
        typer.confirm(f"{error.message}. Disable {username} anyway?", abort=True)
        _end(lambda: accounts.disable(username, even_last_admin=True), done)


@app.command()
def enable(username: Username) -> None:
    """Let a disabled account log in again."""
    refused = DEFAULT_ADMIN_PASSWORD.get_secret_value() if _is_production() else None
    run_with_database("users", lambda: accounts.enable(username, refused_password=refused))
    print_line(f"{username} may log in")


@app.command("list")
def list_users(limit: Limit = 1000, page: PageNumber = 1, *, as_json: AsJson = False) -> None:
    """List the accounts."""
    found = [
        {
            "username": account.user.username,
            "role": account.user.role.value,
            "created_at": f"{account.user.created_at:%Y-%m-%dT%H:%M:%SZ}",
            "disabled": account.user.disabled_at is not None,
            "sessions": account.sessions,
        }
        for account in run_with_database(
            "users", lambda: accounts.accounts(limit, (page - 1) * limit)
        )
    ]
    _show(found, ("username", "role", "created_at", "disabled", "sessions"), as_json=as_json)


@app.command()
def sessions(limit: Limit = 1000, page: PageNumber = 1, *, as_json: AsJson = False) -> None:
    """List the sessions of the last day from Redis."""
    found = signals.run(_with_list(SessionList.all))
    rows = [{"id": session_id, **about} for session_id, about in found.items()]
    rows.sort(key=itemgetter("at", "id"), reverse=True)
    shown = rows[(page - 1) * limit : page * limit]
    _show(shown, ("id", "username", "role", "address", "at"), as_json=as_json)


def _password() -> str:
    """Return the password of a prompt, or one line of standard input; never an argument.

    Raises:
        KnownPassword: it is the default one, and this is production.

    """
    if sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\n")
    if password == DEFAULT_ADMIN_PASSWORD.get_secret_value() and _is_production():
        raise accounts.KnownPassword
    return password


def _is_production() -> bool:
    return load_settings(uses=Use.DATABASE).environment is Environment.PRODUCTION


def _end(work: Callable[[], Coroutine[Any, Any, list[UUID]]], done: str) -> None:
    async def end_and_unlist() -> list[UUID]:
        ended = await work()
        await _with_list(lambda listed: listed.drop(ended))
        return ended

    ended = run_with_database("users", lambda: finish(end_and_unlist()))
    print_line(f"{done}; sessions ended: {len(ended)}")


async def _with_list(work: Callable[[SessionList], Coroutine[Any, Any, T]]) -> T:
    settings = load_settings(uses=Use.DATABASE)
    logs.configure(settings.log_level, settings.log_format, process="users")
    if settings.limits is None:
        return await work(SessionList(None))
    async with rate_limits.connect(settings.limits) as redis:
        return await work(SessionList(redis))


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    cells = [[row.get(column, "") for column in columns] for row in rows]
    print_table(columns, cells, dispensable=("address", "sessions", "created_at", "at", "role"))
