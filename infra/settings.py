"""The settings of all processes; no other module reads the environment, `.env` or SECRETS_DIR."""

import os
from contextvars import ContextVar
from enum import Flag, StrEnum, auto
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from infra import plugins, tls
from infra.db import dsn
from infra.process import worker_groups

ENV_FILE = Path(".env")
DEFAULT_JWT_SECRET = SecretStr("development-only-secret-of-at-least-32-bytes")
DEFAULT_ADMIN_PASSWORD = SecretStr("admin!dev")
MIN_SECRET_BYTES = 32
_SECRET_WORDS = ("SECRET", "PASSWORD", "KEY", "SESSION", "AUTH", "URL", "HEADERS")
LISTS = frozenset({"cors_origins", "jwt_keys", "trusted_proxies", "rate_limit_exempt"})
MAX_TOKEN_SECONDS = 24 * 60 * 60
MAX_SESSION_SECONDS = 90 * 24 * 60 * 60
# Instances that differ in PORT alone have different ports for their metrics.
METRICS_PORT_OFFSET = 1000
MAX_PORT = 65_535
_WEB_PORTS = {"http": 80, "https": 443}
# Schemes without TLS, and their counterparts with TLS.
PLAIN_SCHEMES = {"redis": "rediss", "amqp": "amqps", "http": "https"}


class SettingsError(Exception):
    """The settings can't be used; the message has a line for each fault, with key and value."""


class Environment(StrEnum):
    """Where the service runs: production refuses the defaults of development."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Use(Flag):
    """The settings that a process uses; production checks only these."""

    HTTP = auto()
    TOKENS = auto()
    ADMIN = auto()
    DATABASE = auto()
    CACHE = auto()
    BROKER = auto()
    STORAGE = auto()
    FLOWER = auto()
    ALL = HTTP | TOKENS | ADMIN | DATABASE | CACHE | BROKER | STORAGE
    WORKER = DATABASE | CACHE | BROKER | STORAGE
    # What a worker of TASK_APP needs.
    QUEUE = DATABASE | BROKER


_uses: ContextVar[Use] = ContextVar("uses", default=Use.ALL)


class EnrollmentAccess(StrEnum):
    """Who can enrol: anyone can enrol any student, or logged-in users only themselves."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"


class SslMode(StrEnum):
    """libpq's modes; only the last two verify the server."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


def _url(*schemes: str, group: str = "") -> AfterValidator:
    """Accept a URL only with one of these schemes, or with one of a package of the group."""

    def check(value: str | None) -> str | None:
        if value is None or urlsplit(value).scheme in schemes:
            return value
        if group and urlsplit(value).scheme in plugins.installed(group):
            return value
        expected = ", ".join(f"{scheme}://" for scheme in schemes)
        message = f"must be a URL that starts with {expected}"
        raise ValueError(message)

    return AfterValidator(check)


def _check_transport(value: str | None) -> str | None:
    if value is not None and not (urlsplit(value).scheme and "://" in value):
        message = "must be a URL that starts with a transport of kombu, such as redis:// or amqp://"
        raise ValueError(message)
    return value


def _check_tls(value: str | None) -> str | None:
    if value is not None:
        tls.check_options(value)
    return value


def _comma_list(value: str | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _check_groups(value: str) -> str:
    worker_groups.parse(value)
    return value


Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
DatabaseUrl = Annotated[str | None, _url("postgres", "postgresql")]
VerifiedTls = AfterValidator(_check_tls)
CacheUrl = Annotated[
    str | None, _url("redis", "rediss", "memory", group=plugins.CACHE), VerifiedTls
]
# The worker compares it with the transports of kombu.
BrokerUrl = Annotated[str | None, AfterValidator(_check_transport), VerifiedTls]
StorageUrl = Annotated[str | None, _url("s3", "file", "memory", group=plugins.STORAGE)]
Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Network, ...], NoDecode]
PerMinute = Annotated[int, Field(ge=1, le=100_000_000)]
WorkerQueues = Annotated[str, AfterValidator(_check_groups)]
ModuleName = Annotated[str | None, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
HttpUrl = Annotated[str | None, _url("http", "https")]


class Settings(BaseSettings):
    """All settings of the service; `.env.example` explains them to operators."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, env_file_encoding="utf-8"
    )

    environment: Environment = Environment.DEVELOPMENT
    debug: bool = False
    host: str = "127.0.0.1"
    port: Port = 8080
    flower_port: Port = 5555
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int | None, Field(ge=0, le=MAX_PORT)] = None
    worker_metrics_port: Annotated[int | None, Field(ge=0, le=MAX_PORT)] = None
    data_dir: Path = Path(".data")
    secrets_dir: Path | None = None
    flags_file: Path | None = None
    embedded_postgres_bin: Path | None = None
    embedded_redis_bin: Path | None = None
    embedded_weed_bin: Path | None = None
    observe: bool = False
    prometheus_port: Port = 9090
    alertmanager_port: Port = 9093
    traces_port: Port = 4318
    nginx_status_url: HttpUrl = None
    alert_webhook_url: HttpUrl = None
    skip_migration: bool = False
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    log_format: Annotated[str, Field(pattern="^(json|console)$")] = "json"
    otel_exporter_otlp_endpoint: HttpUrl = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1.0

    database_url: DatabaseUrl = Field(default=None, repr=False)
    database_pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    database_pool_wait_seconds: Annotated[float, Field(gt=0, le=60)] = 2
    api_instances: Annotated[int, Field(ge=1, le=10_000)] = 1
    worker_instances: Annotated[int, Field(ge=1, le=10_000)] = 1
    database_direct_url: DatabaseUrl = Field(default=None, repr=False)
    database_replica_url: DatabaseUrl = Field(default=None, repr=False)
    db_host: str | None = None
    db_port: Port = 5432
    db_user: str = "postgres"
    db_password: SecretStr = SecretStr("")
    db_name: str = "course_enrollment"
    db_sslmode: SslMode = SslMode.PREFER
    db_sslrootcert: str | None = None

    cache_url: CacheUrl = Field(default=None, repr=False)
    redis_host: str | None = None
    redis_port: Port = 6379
    redis_password: SecretStr = SecretStr("")
    redis_db: Annotated[int, Field(ge=0, le=15)] = 0
    cache_memory_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    stale_if_error_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    cache_warm_responses: Annotated[int, Field(ge=0, le=10_000)] = 300
    broker_url: BrokerUrl = Field(default=None, repr=False)
    broker_options: dict[str, Any] | None = Field(default=None, repr=False)
    cache_plaintext: bool = False
    cache_in_process: bool = False
    broker_plaintext: bool = False
    broker_in_process: bool = False

    storage_url: StorageUrl = None
    storage_public_url: HttpUrl = None
    image_memory_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    image_memory_seconds: Annotated[int, Field(ge=0)] = 300
    s3_bucket_name: str | None = None
    s3_endpoint_url: HttpUrl = None
    storage_plaintext: bool = False
    storage_in_process: bool = False
    aws_region: str = "ap-southeast-2"
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None

    jwt_secret: SecretStr = DEFAULT_JWT_SECRET
    jwt_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    token_lifetime_seconds: Annotated[int, Field(ge=60)] = 24 * 60 * 60
    refresh_lifetime_seconds: Annotated[int, Field(ge=60)] = 7 * 24 * 60 * 60
    session_lifetime_seconds: Annotated[int, Field(ge=60)] = 30 * 24 * 60 * 60
    admin_username: Annotated[str, Field(min_length=1, max_length=255)] = "admin"
    admin_password: SecretStr = DEFAULT_ADMIN_PASSWORD
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Networks = ()
    rate_limit_exempt: Networks = ()
    rate_limit_reads: PerMinute = 60_000
    rate_limit_writes: PerMinute = 6_000
    rate_limit_uploads: PerMinute = 600
    rate_limit_logins: PerMinute = 600
    enrollment_access: EnrollmentAccess = EnrollmentAccess.PUBLIC

    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 15
    response_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    keep_alive_seconds: Annotated[float, Field(gt=0, le=3600)] = 75
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
    api_workers: Annotated[int, Field(ge=1, le=64)] = 2
    worker_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    task_app: ModuleName = None
    worker_queues: WorkerQueues = "images:1 *:1"
    task_retention_days: Annotated[int, Field(ge=1, le=3650)] = 7
    worker_shutdown_seconds: Annotated[float, Field(ge=0, le=3600)] = 3
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 5 * 1024 * 1024
    max_image_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    flower_basic_auth: SecretStr | None = None

    backup_url: StorageUrl = None
    backup_key_file: Path | None = None
    backup_database_url: DatabaseUrl = Field(default=None, repr=False)
    backup_postgres_bin: Path | None = None
    backup_work_dir: Path | None = None
    backup_interval_hours: Annotated[int, Field(ge=0, le=24 * 7)] = 0
    backup_full_interval_hours: Annotated[int, Field(ge=1, le=24 * 31)] = 24
    backup_retention_days: Annotated[int, Field(ge=1, le=3650)] = 7

    @model_validator(mode="before")
    @classmethod
    def split_lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Parse the comma lists of the environment."""
        for name in LISTS & values.keys():
            values[name] = _comma_list(values[name])
        return values

    @model_validator(mode="after")
    def refuse_unsafe(self) -> Self:
        """Refuse unsafe defaults in production, malformed databases and inexact origins."""
        in_production = self.environment is Environment.PRODUCTION
        faults = self._unsafe() if in_production else []
        faults += self._malformed_databases()
        inexact = [origin for origin in self.cors_origins if not _is_origin(origin)]
        if inexact and not ("*" in "".join(inexact) and in_production):
            shown = ", ".join(map(repr, inexact))
            faults.append(f"CORS_ORIGINS must be exact, as https://app.example.org is: {shown}")
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _unsafe(self) -> list[str]:
        uses = _uses.get()
        secrets, keys = self.jwt_secret, self.jwt_keys
        rules = (
            (
                Use.TOKENS,
                "JWT_SECRET is the default one; set a random value of at least 32 bytes",
                secrets == DEFAULT_JWT_SECRET,
            ),
            (
                Use.TOKENS,
                f"JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes",
                _is_short(secrets),
            ),
            (
                Use.TOKENS,
                f"JWT_KEYS has a key shorter than {MIN_SECRET_BYTES} bytes",
                any(map(_is_short, keys)),
            ),
            (Use.TOKENS, "JWT_KEYS has the default key", DEFAULT_JWT_SECRET in keys),
            (
                Use.TOKENS,
                f"TOKEN_LIFETIME_SECONDS is longer than a day ({MAX_TOKEN_SECONDS})",
                self.token_lifetime_seconds > MAX_TOKEN_SECONDS,
            ),
            (
                Use.TOKENS,
                f"SESSION_LIFETIME_SECONDS is longer than 90 days ({MAX_SESSION_SECONDS})",
                self.session_lifetime_seconds > MAX_SESSION_SECONDS,
            ),
            (
                Use.TOKENS,
                "REFRESH_LIFETIME_SECONDS is longer than SESSION_LIFETIME_SECONDS",
                self.refresh_lifetime_seconds > self.session_lifetime_seconds,
            ),
            (
                Use.ADMIN,
                "ADMIN_PASSWORD is the default one",
                self.admin_password == DEFAULT_ADMIN_PASSWORD,
            ),
            (
                Use.HTTP,
                "CORS_ORIGINS has a wildcard; name each origin",
                any("*" in origin for origin in self.cors_origins),
            ),
            (
                Use.HTTP,
                "TRUSTED_PROXIES includes all addresses; name your proxies",
                _includes_all_addresses(self.trusted_proxies),
            ),
            (
                Use.HTTP,
                "RATE_LIMIT_EXEMPT includes all addresses",
                _includes_all_addresses(self.rate_limit_exempt),
            ),
            (Use.HTTP, "DEBUG is on", self.debug),
            (Use.DATABASE, "DATABASE_URL or DB_HOST is missing", self.database is None),
            (Use.CACHE, "CACHE_URL or REDIS_HOST is missing", self.cache is None),
            (Use.BROKER, "BROKER_URL is missing, and REDIS_HOST", self.broker is None),
            (Use.STORAGE, "STORAGE_URL or S3_BUCKET_NAME is missing", self.storage is None),
            (
                Use.FLOWER,
                "FLOWER_BASIC_AUTH is missing; Flower can stop workers",
                self.flower_basic_auth is None,
            ),
            *(
                (
                    Use.DATABASE,
                    f"{name} must have sslmode=verify-full or verify-ca",
                    not _verifies_tls(url),
                )
                for name, url in self._databases().items()
            ),
        )
        return [fault for use, fault, broken in rules if broken and use in uses] + [
            fault for use, fault in self._unprotected() if use in uses
        ]

    def _unprotected(self) -> list[tuple[Use, str]]:
        """Return the faults of servers that are reached without TLS or are in the process."""
        storage = self.storage
        if storage and storage.startswith("s3:") and self.s3_endpoint_url:
            storage = self.s3_endpoint_url
        parts = {
            "CACHE": ("CACHE_URL" if self.cache_url else "REDIS_HOST", self.cache),
            "BROKER": ("BROKER_URL" if self.broker_url else "REDIS_HOST", self.broker),
            "STORAGE": ("S3_ENDPOINT_URL" if storage != self.storage else "STORAGE_URL", storage),
        }
        faults = []
        for part, (key, url) in parts.items():
            scheme = urlsplit(url or "").scheme
            if scheme in PLAIN_SCHEMES and not getattr(self, f"{part.lower()}_plaintext"):
                fault = (
                    f"{key} is plain {scheme}://; use {PLAIN_SCHEMES[scheme]}://, or accept it "
                    f"with {part}_PLAINTEXT=true"
                )
                faults.append((Use[part], fault))
            if scheme == "memory" and not getattr(self, f"{part.lower()}_in_process"):
                fault = (
                    f"{key} is memory://, separate in each process; name a server, or accept it "
                    f"with {part}_IN_PROCESS=true"
                )
                faults.append((Use[part], fault))
        return faults

    def _databases(self) -> dict[str, str]:
        """Return the URLs of databases by their settings."""
        urls = {
            "DATABASE_URL": self.database,
            "DATABASE_DIRECT_URL": self.database_direct_url,
            "DATABASE_REPLICA_URL": self.database_replica_url,
            "BACKUP_DATABASE_URL": self.backup_database_url,
        }
        return {name: url for name, url in urls.items() if url is not None}

    def _malformed_databases(self) -> list[str]:
        faults = []
        for name, url in self._databases().items():
            is_composed = name == "DATABASE_URL" and self.database_url is None
            shown = "DB_HOST, DB_SSLMODE, DB_SSLROOTCERT" if is_composed else name
            try:
                address = dsn.parse(url)
            except ValueError as error:
                faults.append(f"{shown}: {error}")
                continue
            if name != "DATABASE_REPLICA_URL" and not address.is_writable:
                faults.append(
                    f"{shown}: target_session_attrs must be primary or read-write, for what "
                    f"writes (it is {address.target!r})"
                )
            if address.is_pooled and url == (self.database_direct_url or self.database):
                reason = "LISTEN, locks, COPY and migrations need a session"
                faults.append(f"DATABASE_DIRECT_URL must name PostgreSQL, not a pooler: {reason}")
        return faults

    @cached_property
    def metrics_at(self) -> int | None:
        """The port of the metrics: METRICS_PORT, or one derived from PORT; None if it is 0."""
        if self.metrics_port is None:
            return default_metrics_port(self.port)
        return self.metrics_port or None

    @property
    def database(self) -> str | None:
        """The primary's URL: DATABASE_URL, or one composed from the DB_ settings.

        If DATABASE_DIRECT_URL is set too, the URL is that of a pooler and is marked as such.
        """
        url = self._database_from_parts() if self.database_url is None else self.database_url
        if url is None or self.database_direct_url is None:
            return url
        return f"{url}{'&' if urlsplit(url).query else '?'}{dsn.POOLER}=true"

    def _database_from_parts(self) -> str | None:
        if not self.db_host:
            return None
        password = quote(self.db_password.get_secret_value(), safe="")
        account = f"{quote(self.db_user, safe='')}:{password}"
        names = [name.strip() for name in self.db_host.split(",")]
        shown = [f"[{name}]" if ":" in name else name for name in names]
        hosts = ",".join(f"{name}:{self.db_port}" for name in shown)
        location = f"{hosts}/{quote(self.db_name, safe='')}"
        root = f"&sslrootcert={quote(self.db_sslrootcert)}" if self.db_sslrootcert else ""
        return f"postgresql://{account}@{location}?sslmode={self.db_sslmode}{root}"

    @cached_property
    def cache(self) -> str | None:
        """The cache's URL: CACHE_URL, or one composed from the REDIS_ settings."""
        return self.cache_url or self._redis

    @cached_property
    def broker(self) -> str | None:
        """The broker's URL: BROKER_URL, or one composed from the REDIS_ settings."""
        return self.broker_url or self._redis

    @property
    def _redis(self) -> str | None:
        if not self.redis_host:
            return None
        password = quote(self.redis_password.get_secret_value(), safe="")
        account = f":{password}@" if password else ""
        return f"redis://{account}{self.redis_host}:{self.redis_port}/{self.redis_db}"

    @cached_property
    def flags_at(self) -> Path:
        """The file of the last known good feature flags: FLAGS_FILE, or one in DATA_DIR."""
        return self.flags_file or self.data_dir / "flags.json"

    @cached_property
    def backup_folder(self) -> Path:
        """The folder in which backups are made ready: BACKUP_WORK_DIR, or one in DATA_DIR."""
        return self.backup_work_dir or self.data_dir / "backup"

    @cached_property
    def limits(self) -> str | None:
        """The Redis of rate limits and sessions: preferably the broker, because it never evicts."""
        urls = (self.broker, self.cache)
        return next((url for url in urls if url and url.startswith("redis")), None)

    @cached_property
    def storage(self) -> str | None:
        """The image store's URL: STORAGE_URL, or the bucket of S3_BUCKET_NAME."""
        if self.storage_url or not self.s3_bucket_name:
            return self.storage_url
        return f"s3://{self.s3_bucket_name}"


def default_metrics_port(port: int) -> int:
    """Return the port of the metrics for an API port, if METRICS_PORT is not set."""
    above = port + METRICS_PORT_OFFSET
    return above if above <= MAX_PORT else port - METRICS_PORT_OFFSET


def _is_short(secret: SecretStr) -> bool:
    return len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES


def _includes_all_addresses(networks: tuple[Network, ...]) -> bool:
    return any(network.prefixlen == 0 for network in networks)


def embedded_env_file(data_dir: Path) -> Path:
    """Return the file with the servers of a running `make run`, for commands in other shells."""
    return data_dir / "run" / "service.env"


def load_settings(
    *, uses: Use = Use.ALL, use_running_servers: bool = True, **overrides: Any
) -> Settings:
    """Read the environment and `.env`; servers that neither names are those of `make run`.

    Without `use_running_servers` they stay unset.

    Raises:
        SettingsError: a value or a file is malformed, or production would use an unsafe default.

    """
    token = _uses.set(uses)
    try:
        _check_file(ENV_FILE)
        settings = _read(overrides)
        use_running_servers &= settings.environment is Environment.DEVELOPMENT
        if use_running_servers and (servers := _running_servers(settings)):
            settings = _read({**servers, **overrides})
    except ValidationError as error:
        raise SettingsError(
            "\n".join([*_fault_lines(error), *_further_faults(error, overrides)])
        ) from None
    finally:
        _uses.reset(token)
    return settings


class _SecretsDir(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    secrets_dir: Path | None = None


def _read(overrides: dict[str, Any]) -> Settings:
    """Read the settings; those of the environment and `.env` win over files of SECRETS_DIR."""
    folder = _SecretsDir(_env_file=ENV_FILE).secrets_dir
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"SECRETS_DIR: {folder} is no folder")
    try:
        return Settings(_env_file=ENV_FILE, _secrets_dir=folder, **overrides)
    except SourceError as error:
        cause = error.__cause__ or error
        fault = str(cause)
        if isinstance(cause, OSError):
            fault = f"{cause.filename or folder} can't be used: {cause.strerror}"
        raise SettingsError(f"SECRETS_DIR: {fault}") from None


class _LogFormat(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore")

    log_format: str = ""


def are_json_logs_set() -> bool:
    """Return whether LOG_FORMAT is set to JSON, even if other settings can't be used."""
    file: Path | None = ENV_FILE
    try:
        _check_file(ENV_FILE)
    except SettingsError:
        file = None
    return _LogFormat(_env_file=file).log_format == "json"


def _check_file(path: Path) -> None:
    """Refuse a settings file that exists and can't be read completely."""
    try:
        with path.open(encoding="utf-8") as file:
            broken = next((each for each in parse_stream(file) if each.error), None)
    except (FileNotFoundError, NotADirectoryError):
        return
    except UnicodeDecodeError:
        raise SettingsError(f"{path} can't be used: it is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path} can't be used: {error.strerror}") from None
    if broken:
        text = broken.original.string  # includes the empty lines before it
        line = broken.original.line + text.count("\n", 0, len(text) - len(text.lstrip()))
        raise SettingsError(f"{path} can't be used: line {line} is not NAME=value")


def _further_faults(error: ValidationError, overrides: dict[str, Any]) -> list[str]:
    """Return the faults by rules over several values, which Pydantic skips for malformed ones."""
    malformed = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
    if not malformed:
        return []
    defaults = {name: Settings.model_fields[name].default for name in malformed}
    try:
        _read(overrides | defaults)
    except ValidationError as more:
        known = tuple(name.upper() for name in malformed)
        return [line for line in _fault_lines(more) if not line.startswith(known)]
    return []


def _running_servers(settings: Settings) -> dict[str, str | None]:
    """Return the settings of the servers of `make run` that replace unset ones."""
    urls = {
        "DATABASE_URL": settings.database,
        "CACHE_URL": settings.cache,
        "BROKER_URL": settings.broker,
        "STORAGE_URL": settings.storage,
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otel_exporter_otlp_endpoint,
    }
    keys = [key for key, url in urls.items() if url is None]
    file = embedded_env_file(settings.data_dir)
    if not keys or not os.access(file, os.R_OK):  # no `make run`, or that of another user
        return {}
    try:
        _check_file(file)
    except SettingsError as error:
        raise SettingsError(f"{error}; restart `make run` to rewrite it") from None
    running = dotenv_values(file)
    if settings.storage is None:
        keys += [key for key in running if key.startswith(("S3_", "AWS_", "STORAGE_"))]
    return {key.lower(): running[key] or None for key in keys if key in running}


def require_database(settings: Settings) -> str:
    """Return the database's URL.

    Raises:
        SettingsError: none is set, and no `make run` is running.

    """
    if settings.database is None:
        raise SettingsError("DATABASE_URL or DB_HOST is missing, and no `make run` is running")
    return settings.database


def require_direct_database(settings: Settings) -> str:
    """Return the URL for LISTEN, session locks, COPY and migrations, never that of a pooler.

    Raises:
        SettingsError: no database is set, and no `make run` is running.

    """
    return settings.database_direct_url or require_database(settings)


def _fault_lines(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            lines += message.splitlines()
            continue
        key = str(fault["loc"][0]).upper()
        # A URL may contain a password.
        secret = any(word in key for word in _SECRET_WORDS)
        shown = "" if secret else f" (it is {fault['input']!r})"
        lines.append(f"{key}: {message[0].lower()}{message[1:]}{shown}")
    return lines


def _is_origin(text: str) -> bool:
    """Return whether a browser sends origins of this form; a wildcard is for development only."""
    if text == "*":
        return True
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        text == f"{parts.scheme}://{parts.netloc}"
        and text.isascii()
        and text == text.lower()
        and parts.scheme in _WEB_PORTS
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "*" not in parts.netloc
        and not parts.netloc.endswith(":")
        and port != _WEB_PORTS[parts.scheme]
    )


def _verifies_tls(url: str) -> bool:
    try:
        return dsn.parse(url).verifies
    except ValueError:
        return False
