"""`enroll users`: who may log in, and who is."""

import sys
from collections.abc import Callable, Coroutine
from operator import itemgetter
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from cli.console import print_json, print_table, say
from cli.paging import Limit, PageNumber
from infra import rate_limits
from infra.aio.shield import finish
from infra.db.engine import database
from infra.observability import logs
from infra.process import signals
from infra.session_list import SessionList
from infra.settings import (
    DEFAULT_ADMIN_PASSWORD,
    Environment,
    Use,
    load_settings,
    require_database,
)
from models import Role
from services.auth import accounts

T = TypeVar("T")

# Typer keeps its copy of click private; the parent of this public error is click's.
_UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(help="Who may log in, and who is.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="The account's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command()
def add(
    username: Username,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.STUDENT,
) -> None:
    """Create an account; its password is asked for, or read from standard input."""
    password = _password()
    _run(lambda: accounts.add(username, password, role))
    say(f"{username} may log in, as {role.value}")


@app.command()
def passwd(username: Username) -> None:
    """Give an account another password, and end its sessions."""
    password = _password()
    _end(lambda: accounts.set_password(username, password), f"{username} has another password")


@app.command()
def disable(
    username: Username,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Disable the last admin, too, without a question.")
    ] = False,
) -> None:
    """Let an account log in no more, and end its sessions within a second."""
    done = f"{username} may not log in any more"
    try:
        _end(lambda: accounts.disable(username, even_last_admin=yes), done)
    except accounts.LastAdmin as error:
        if not sys.stdin.isatty():
            raise _UsageError(f"{error.message}; --yes disables it anyway") from None
        typer.confirm(f"{error.message}. Disable {username} anyway?", abort=True)
        _end(lambda: accounts.disable(username, even_last_admin=True), done)


@app.command()
def enable(username: Username) -> None:
    """Let a disabled account log in again."""
    refused = DEFAULT_ADMIN_PASSWORD.get_secret_value() if _is_production() else None
    _run(lambda: accounts.enable(username, refused_password=refused))
    say(f"{username} may log in")


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
        for account in _run(lambda: accounts.accounts(limit, (page - 1) * limit))
    ]
    _show(found, ("username", "role", "created_at", "disabled", "sessions"), as_json=as_json)


@app.command()
def sessions(limit: Limit = 1000, page: PageNumber = 1, *, as_json: AsJson = False) -> None:
    """List who logged in or refreshed within a day, as Redis has it."""
    found = signals.run(_with_list(SessionList.all))
    rows = [{"id": session_id, **about} for session_id, about in found.items()]
    rows.sort(key=itemgetter("at", "id"), reverse=True)
    shown = rows[(page - 1) * limit : page * limit]
    _show(shown, ("id", "username", "role", "address", "at"), as_json=as_json)


def _password() -> str:
    """Ask for a password twice, or read one line of standard input; never an argument.

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

    ended = _run(lambda: finish(end_and_unlist()))
    say(f"{done}; sessions ended: {len(ended)}")


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


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    settings = load_settings(uses=Use.DATABASE)
    logs.configure_command(settings.log_level, settings.log_format, process="users")

    async def connected() -> T:
        async with database(require_database(settings), pool_size=1):
            return await work()

    return signals.run(connected())
