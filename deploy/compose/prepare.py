"""What the containers read: secrets and certificates, made once, and rendered configuration.

All is in one folder that only its owner can enter. Its files are readable: each container's user
reads those that are mounted into it.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from deploy.compose.authority import issue

FOLDER = Path(__file__).with_name("run")
OBSERVE = Path(__file__).parents[1] / "observe"
ORIGIN = "https://localhost:8443"
DATABASE, BUCKET, OPERATOR = "course_enrollment", "media", "operator"
AUTHORITY = "/run/secrets/authority"
PRIVATE_FOLDER, OWN_FILE, READABLE_FOLDER, READABLE_FILE = 0o700, 0o600, 0o755, 0o644
SECRET_BYTES = 32
# Made once; all others follow from them.
RANDOM = (
    *("jwt_secret", "admin_password", "postgres_password", "cache_password", "broker_password"),
    *("aws_access_key_id", "aws_secret_access_key", "flower_password", "grafana_password"),
)
EXPORTERS = ("node-exporter", "postgres-exporter", "cache-exporter", "broker-exporter")
WORKERS = ("images", "cache", "maintenance", "default")
# The containers that Prometheus reads, by job.
TARGETS: dict[str, list[str]] = {
    "api": ["api-1:9080", "api-2:9080"],
    "worker": [f"worker-{queue}:9180" for queue in WORKERS],
    "flower": ["flower:5555"],
    "s3": ["s3:9327"],
    "node": ["node-exporter:9100"],
    "postgres": ["postgres-exporter:9187"],
    "redis-cache": ["cache-exporter:9121"],
    "redis-broker": ["broker-exporter:9121"],
    "nginx": ["nginx-exporter:9113"],
    "prometheus": ["127.0.0.1:9090"],
    "alertmanager": ["alertmanager:9093"],
}
EXPORTER_TLS = """tls_server_config:
  cert_file: /run/secrets/exporters_certificate
  key_file: /run/secrets/exporters_key
  client_ca_file: /run/secrets/authority
  client_auth_type: RequireAndVerifyClientCert
"""


def prepare(environment: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Make what is missing, and render the rest anew.

    Raises:
        NoContainersError: openssl is absent or fails.
        OSError: the folder can't be written.

    """
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)
    known = _secrets(folder / "secrets")
    _certificates(folder / "tls", urlsplit(environment.get("ORIGIN") or ORIGIN).hostname or "")
    for name, text in _derived(known).items():
        _write(folder / "secrets" / name, text)
    _prometheus(folder, known, environment.get("DOCS", ""))
    # An operator puts Alertmanager's secrets there; deploy/observe/alertmanager.yml names them.
    _readable(folder / "alertmanager")


def _secrets(folder: Path) -> dict[str, str]:
    _readable(folder)
    for name in RANDOM:
        if not (folder / name).exists():
            _write(folder / name, secrets.token_urlsafe(SECRET_BYTES))
    return {name: (folder / name).read_text("utf-8").strip() for name in RANDOM}


def _derived(known: Mapping[str, str]) -> dict[str, str]:
    """Return the files that follow from the secrets, by name."""
    tls = f"sslmode=verify-full&sslrootcert={AUTHORITY}"
    account = f"enroll:{known['postgres_password']}"
    redis = {name: known[f"{name}_password"] for name in ("cache", "broker")}
    keys = {
        "accessKey": known["aws_access_key_id"],
        "secretKey": known["aws_secret_access_key"],
    }
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    service = {"name": "service", "credentials": [keys], "actions": actions}
    return {
        "database_url": f"postgresql://{account}@postgres:5432/{DATABASE}?{tls}",
        **{
            f"{name}_url": f"rediss://:{password}@{name}:6379/0?ssl_ca_certs={AUTHORITY}"
            for name, password in redis.items()
        },
        **{f"{name}_conf": f"requirepass {password}\n" for name, password in redis.items()},
        "redis_passwords": json.dumps(
            {f"rediss://{name}:6379": password for name, password in redis.items()}
        ),
        "s3_identities": json.dumps({"identities": [service]}),
        "flower_basic_auth": f"{OPERATOR}:{known['flower_password']}",
        "exporters_web": EXPORTER_TLS,
    }


def _certificates(folder: Path, host: str) -> None:
    _readable(folder)
    for server in ("postgres", "cache", "broker"):
        issue(folder, server, [server])
    issue(folder, "exporters", EXPORTERS)
    issue(folder, "nginx", [host])
    both = "".join((folder / f"nginx.{end}").read_text("utf-8") for end in ("pem", "key"))
    _write(folder / "nginx.both.pem", both)
    for file in folder.iterdir():
        file.chmod(OWN_FILE if file.name == "authority.key" else READABLE_FILE)


def _prometheus(folder: Path, known: Mapping[str, str], docs: str) -> None:
    own = folder / "prometheus"
    _readable(own)
    for part in ("targets", "rules"):  # the rules of deploy/observe are mounted there
        _readable(own / part)
    template = Template((OBSERVE / "prometheus.yml").read_text("utf-8"))
    names = {"FLOWER_USER": OPERATOR, "DOCS": json.dumps(docs)}
    _write(own / "prometheus.yml", template.substitute(names))
    _write(own / "flower.password", known["flower_password"])
    # Alertmanager is reached inside of the containers' network only, and asks for none.
    _write(own / "alertmanager.password", "none")
    for job, addresses in TARGETS.items():
        _write(own / "targets" / f"{job}.json", json.dumps([{"targets": addresses}]))
    pairs = {"exporters.ca.pem": "authority.pem"}
    pairs |= {name: name for name in ("exporters.pem", "exporters.key")}
    for name, source in pairs.items():
        _write(own / name, (folder / "tls" / source).read_text("utf-8"))


def _readable(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(READABLE_FOLDER)


def _write(path: Path, text: str) -> None:
    # In place: a file that is mounted stays the one that its container reads.
    path.write_text(text, encoding="utf-8")
    path.chmod(READABLE_FILE)
