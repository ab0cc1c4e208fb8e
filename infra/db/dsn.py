"""The parameters of connections to PostgreSQL, from a URL in the form of libpq."""

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

CONNECT_TIMEOUT_SECONDS = 5
TARGET = "target_session_attrs"
TARGETS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
# What a writer can use; `any` is a pooler's, which follows the primary itself.
WRITABLE_TARGETS = frozenset({"read-write", "primary"})
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
    target: str

    @property
    def has_several_hosts(self) -> bool:
        """Whether the URL names more than one server."""
        return len(each_host(self.text)) > 1

    @property
    def is_writable(self) -> bool:
        """Whether its connections lead to the primary only, as far as the URL says."""
        if self.target == "any":
            return self.is_pooled or not self.has_several_hosts
        return self.target in WRITABLE_TARGETS

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
    certificates. Several hosts, each with a port of its own, have `target_session_attrs=primary` if
    the query has none and they are not poolers.

    Raises:
        ValueError: the URL is malformed; the message contains no secret.

    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    hosts = _hosts(parts, query)
    is_pooled = _flag(query.pop(POOLER, "false"))
    if len(hosts) > 1 and not is_pooled:
        query.setdefault(TARGET, "primary")
    target = query.get(TARGET, "any")
    if target not in TARGETS:
        raise ValueError(f"{TARGET} must be one of: {', '.join(TARGETS)} (it is {target!r})")
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
    return Dsn(text, context, verifies, is_pooled, target)


@lru_cache(maxsize=16)
def each_host(text: str) -> dict[str, str]:
    """Return the URL of each host of a URL, by host and port, in their order."""
    parts = urlsplit(text)
    account, at, hosts = parts.netloc.rpartition("@")
    return {
        host: parts._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")
    }


def each_server(url: str) -> dict[str, str]:
    """Return the URL of each host, of whatever role the server is."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != TARGET]
    return each_host(parts._replace(query=urlencode(query)).geturl())


def _hosts(parts: SplitResult, query: dict[str, str]) -> list[str]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    for host in hosts:
        if not host and len(hosts) > 1:
            raise ValueError("one of its hosts has no name")
        _check_port(host)
    if "," in query.get("host", ""):
        raise ValueError("several hosts stand before the path: //one:5432,two:5432/name")
    return hosts


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
