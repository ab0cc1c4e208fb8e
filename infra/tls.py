"""TLS to Redis and RabbitMQ: always verified, with options in the query of the URL."""

import ssl
from urllib.parse import parse_qsl, urlsplit, urlunsplit

SCHEMES = frozenset({"rediss", "amqps"})
PREFIX = "ssl_"
MANAGEMENT_TLS_PORT = 15671
# By redis-py's names; other `ssl_` options could only weaken the verification.
FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


def check_options(url: str) -> None:
    """Check the TLS options in the query of a URL.

    Raises:
        ValueError: an option is unknown or disables verification, or the scheme has no TLS.

    """
    parts = urlsplit(url)
    options = {key: value for key, value in _query(url).items() if key.startswith(PREFIX)}
    refused = sorted(options.keys() - FILES - {"ssl_cert_reqs"})
    if options.get("ssl_cert_reqs", "required") != "required":
        refused.append("ssl_cert_reqs")
    if refused:
        message = f"may not have {', '.join(refused)}: TLS is always verified"
        raise ValueError(message)
    if options and parts.scheme not in SCHEMES:
        message = f"has TLS options, but {parts.scheme}:// is plain: use {parts.scheme}s://"
        raise ValueError(message)


def broker_tls(url: str) -> tuple[str, dict[str, object] | None]:
    """Return a broker's URL without its TLS options, and Celery's `broker_use_ssl`.

    Without it, kombu verifies neither rediss:// nor amqps://.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        return url, None
    files = {key: value for key, value in _query(url).items() if key in FILES}
    kept = "&".join(pair for pair in parts.query.split("&") if not pair.startswith(PREFIX))
    address = urlunsplit(parts._replace(query=kept))
    if parts.scheme == "rediss":
        return address, {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_check_hostname": True,
            **files,
        }
    return address, {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": parts.hostname,
        **{key.removeprefix(PREFIX): value for key, value in files.items()},
    }


def management_api(url: str) -> str | None:
    """Return the URL of the management API of an amqps:// RabbitMQ; Flower's default is HTTP."""
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return None
    account, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{account}{at}{host}:{MANAGEMENT_TLS_PORT}/api/"


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
