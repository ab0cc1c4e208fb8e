"""The parameters of connections to PostgreSQL, from a URL in the form of libpq."""

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

CONNECT_TIMEOUT_SECONDS = 5
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING_SSL_MODES = frozenset({"verify-ca", "verify-full"})
SYSTEM = "system"
# A parameter of the URL's query: a pooler gives each transaction another session (PgBouncer's
# `pool_mode = transaction`), so no state of a session can be used.
POOLER = "pgbouncer"
# The server's limits, for statements whose client is gone: the clients' own limits are shorter.
STATEMENT_TIMEOUT = "35s"
IDLE_TIMEOUT = "30s"
BOUNDED = {
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
}
# For COPY and migrations, whose statements may take any time.
UNBOUNDED = {"idle_in_transaction_session_timeout": IDLE_TIMEOUT}


@dataclass(frozen=True)
class Dsn:
    """A parsed database URL."""

    text: str
    ssl: ssl.SSLContext | None
    verifies: bool
    is_pooled: bool

    def parameters(self, session: dict[str, str]) -> dict[str, Any]:
        """Return the parameters for asyncpg; `session` are settings of the server's session.

        A pooler supports neither those nor named prepared statements.
        """
        shared = {"dsn": self.text, "ssl": self.ssl, "timeout": CONNECT_TIMEOUT_SECONDS}
        if self.is_pooled:
            return {**shared, "statement_cache_size": 0}
        return {**shared, "server_settings": session}


@lru_cache(maxsize=16)
def parse(url: str) -> Dsn:
    """Parse a URL.

    `sslmode` and `sslrootcert` mean what they mean to libpq; `sslrootcert` defaults to the system's
    certificates.

    Raises:
        ValueError: the URL is malformed; the message contains no secret.

    """
    parts = urlsplit(url)
    for host in parts.netloc.rpartition("@")[2].split(","):
        _check_port(host)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    is_pooled = _flag(query.pop(POOLER, "false"))
    root = query.get("sslrootcert")
    mode = query.get("sslmode", "verify-full" if root == SYSTEM else "prefer")
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of: {', '.join(SSL_MODES)} (it is {mode!r})")
    if root == SYSTEM and mode != "verify-full":
        raise ValueError(f"sslrootcert=system needs sslmode=verify-full (it is {mode!r})")
    verifies = mode in VERIFYING_SSL_MODES
    context = None
    if root and root != SYSTEM:
        _check_certificates(root)
    elif verifies:
        context = _system_context(mode, query)
    text = parts._replace(query=urlencode(query)).geturl()
    return Dsn(text, context, verifies, is_pooled)


def _system_context(mode: str, query: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = mode == "verify-full"
    if certificate := query.get("sslcert"):
        context.load_cert_chain(certificate, query.get("sslkey"))
    return context


def _check_port(host: str) -> None:
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port must be a number from 1 to 65535")


def _check_certificates(path: str) -> None:
    try:
        ssl.create_default_context(cafile=Path(path).expanduser())
    except OSError as error:
        reason = error.strerror or "no certificate"
        raise ValueError(f"sslrootcert {path!r} can't be read: {reason}") from None


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{POOLER} must be true or false (it is {text!r})")
    return text == "true"
