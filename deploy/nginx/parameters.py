"""What differs between installations of nginx: one environment variable a parameter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from deploy.nginx import checks
from deploy.nginx.checks import ParameterError

PREFIX = "NGINX_"
MODULES = Path("/usr/lib/nginx/modules")
BROTLI_MODULE = "ngx_http_brotli_filter_module.so"


def _one(check: Callable[[str], Any], default: Any) -> Any:
    return field(default=default, metadata={"check": check, "is_list": False})


def _list(check: Callable[[str], Any], *default: str) -> Any:
    return field(default=default, metadata={"check": check, "is_list": True})


@dataclass(frozen=True)
class Parameters:
    """The parameters; lists are written with commas. `origin` alone has no default."""

    # Where clients reach the API. Its host is the name of the certificate.
    origin: str = _one(checks.https_origin, "")
    # The instances of the API. Each trusts this nginx by its TRUSTED_PROXIES.
    upstreams: tuple[str, ...] = _list(checks.address, "127.0.0.1:8080")
    http_listen: tuple[str, ...] = _list(checks.address, "80", "[::]:80")
    https_listen: tuple[str, ...] = _list(checks.address, "443", "[::]:443")
    # False behind a load balancer that terminates TLS: HTTP is served and nothing redirected.
    tls: bool = _one(checks.boolean, default=True)
    tls_protocols: str = _one(checks.one_of("TLSv1.2 TLSv1.3", "TLSv1.3"), "TLSv1.2 TLSv1.3")
    # The certificate with its chain and its key, in one file so that both change at once.
    certificate: str = _one(checks.path, "/etc/enroll/tls.pem")
    # The challenges of Let's Encrypt.
    webroot: str = _one(checks.path, "/var/www/acme")
    # Proxies in front of this one; their X-Forwarded-For names the client.
    trusted_proxies: tuple[str, ...] = _list(checks.network)
    # Who may read /status; the exporter does so at `status_listen`.
    operators: tuple[str, ...] = _list(checks.network, "127.0.0.1", "::1")
    status_listen: str = _one(checks.address, "127.0.0.1:8090")
    # The front ends, as in CORS_ORIGINS of the API: they can read nginx's own errors.
    cors_origins: tuple[str, ...] = _list(checks.origin)
    # Requests a second of an address, and how many more may come at once.
    limit_rate: int = _one(checks.number, 2000)
    limit_burst: int = _one(checks.number, 4000)
    limit_exempt: tuple[str, ...] = _list(checks.network)
    # Above the API's own limit, whose errors are more exact.
    max_body_megabytes: int = _one(checks.number, 8)
    # How long an image is shown after its removal, and the size of the cache.
    media_seconds: int = _one(checks.number, 300)
    media_megabytes: int = _one(checks.number, 1024)
    # Debian's libnginx-mod-http-brotli-filter, which is used where it is installed.
    brotli: bool = _one(checks.boolean, default=(MODULES / BROTLI_MODULE).exists())
    # The rendered files, the cache and temporary files, the logs, the pid.
    folder: str = _one(checks.path, "/etc/enroll/nginx")
    state: str = _one(checks.path, "/var/lib/nginx")
    logs: str = _one(checks.path, "/var/log/nginx")
    pid: str = _one(checks.path, "/run/nginx.pid")
    user: str = _one(checks.word, "www-data")
    # How a renewed certificate is taken; empty: nginx on this host gets a signal.
    reload: str = _one(checks.command, "")

    @property
    def name(self) -> str:
        """The host of the origin."""
        return urlsplit(self.origin).hostname or ""

    @property
    def config(self) -> Path:
        """The file that nginx is started with."""
        return Path(self.folder) / "nginx.conf"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the parameters from variables with the prefix `NGINX_`.

        Raises:
            ParameterError: one is unknown, missing or unusable; the message names it.

        """
        known = {f"{PREFIX}{each.name.upper()}": each for each in fields(cls)}
        given = {name: text for name, text in environment.items() if name in known}
        if unknown := sorted(
            name for name in environment if name.startswith(PREFIX) and name not in known
        ):
            raise ParameterError(f"{unknown[0]} is no parameter; there are {', '.join(known)}")
        if not given.get(f"{PREFIX}ORIGIN"):
            raise ParameterError(f"{PREFIX}ORIGIN must be set, such as https://api.example.org")
        values = {
            known[name].name: _parsed(name, text, known[name]) for name, text in given.items()
        }
        return cls(**values)


def _parsed(name: str, text: str, parameter: Any) -> Any:
    check, is_list = parameter.metadata["check"], parameter.metadata["is_list"]
    parts = [part.strip() for part in text.split(",")] if is_list else [text.strip()]
    try:
        values = tuple(check(part) for part in parts if part or not is_list)
    except ParameterError as error:
        raise ParameterError(f"{name}: {text!r} {error}") from None
    return values if is_list else values[0]
