"""Output of the supervisor: a line for each step, then a table of addresses."""

import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.embedded import observers
from deploy.embedded.data_dir import DataDir
from deploy.embedded.plan import Addresses
from infra.settings import DEFAULT_ADMIN_PASSWORD, Environment, Settings
from infra.text import escape_lines

UP = "everything is up"
FILE_WIDTH = 160


class StatusConsole:
    """The terminal, or the file to which the output is redirected."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=FILE_WIDTH)
        self._started = time.monotonic()

    def line(self, text: str) -> None:
        """Print a line with the time since the start."""
        elapsed = time.monotonic() - self._started
        line = escape(escape_lines(text))
        with suppress(OSError):  # the disk is full, or the terminal is closed
            self._console.print(f"[dim]{elapsed:6.1f} s[/]  {line}", soft_wrap=True)

    def table(
        self,
        settings: Settings,
        embedded: dict[str, str],
        data_dir: DataDir,
        worker_metrics: Mapping[str, str],
    ) -> None:
        """Print the addresses of everything; the last ones are by the workers' names."""
        at = Addresses.of(settings)
        table = Table(title=UP, title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        rows = {
            "API": at.api,
            "API documentation": f"{at.api}/swagger/index.html",
            "Tasks console": f"{at.api}/console/tasks",
            "Front ends": f"from {_origins(settings)}",
            "Health": f"{at.api}/health",
            "Metrics": at.metrics,
            **{f"Metrics, {name}": address for name, address in worker_metrics.items()},
            **observers.pages(settings),
            "Flower": f"{at.flower} (login: {_flower_login(settings, data_dir)})",
            "PostgreSQL": _hide_password(embedded.get("DATABASE_URL") or settings.database),
            "Cache": _hide_password(embedded.get("CACHE_URL") or settings.cache),
            "Broker": _hide_password(embedded.get("BROKER_URL") or settings.broker),
            "Passwords": f"in {data_dir.env_file}",
            "Images": _images(settings, embedded),
            "Logs": str(data_dir.logs),
            "Admin login": f"{settings.admin_username} / {_admin_password(settings)}",
        }
        for name, value in rows.items():
            table.add_row(name, escape(value))
        with suppress(OSError):
            self._console.print(table)


def _origins(settings: Settings) -> str:
    """Return the origins whose pages may call the API."""
    listed = ", ".join(settings.cors_origins)
    if settings.environment is Environment.PRODUCTION:
        return listed or "nowhere: CORS_ORIGINS is empty"
    local = "any port of http(s)://localhost, 127.0.0.1 and [::1]"
    return f"{local}, {listed}" if listed else local


def _images(settings: Settings, embedded: dict[str, str]) -> str:
    storage = _hide_password(embedded.get("STORAGE_URL") or settings.storage)
    endpoint = embedded.get("S3_ENDPOINT_URL") or settings.s3_endpoint_url
    return f"{storage} at {endpoint}" if endpoint else storage


def _flower_login(settings: Settings, data_dir: DataDir) -> str:
    where = "as set" if settings.flower_basic_auth else f"in {data_dir.env_file}"
    return f"FLOWER_BASIC_AUTH {where}"


def _admin_password(settings: Settings) -> str:
    if settings.admin_password == DEFAULT_ADMIN_PASSWORD:
        return settings.admin_password.get_secret_value()
    return "as set in ADMIN_PASSWORD"


def _hide_password(url: str | None) -> str:
    """Return a URL without its password: terminals are shared and recorded."""
    parts = urlsplit(url or "")
    if parts.password is None:
        return url or ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
