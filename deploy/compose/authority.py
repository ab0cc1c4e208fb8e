"""Certificates of a private authority, made by openssl, for TLS between the containers."""

import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from deploy.containers import NoContainersError

DAYS = 3650
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# The machine's configuration would add extensions.
_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"
_AUTHORITY = ("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign")
_SERVER = ("basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid")


def issue(folder: Path, name: str, hosts: Iterable[str]) -> None:
    """Write `NAME.pem` and `NAME.key` unless they are there for these hosts.

    The authority is `authority.pem`; its key stays in the folder for further certificates.

    Raises:
        NoContainersError: openssl is absent or fails.

    """
    names = ",".join(map(_name, hosts))
    known = folder / f"{name}.hosts"
    if known.exists() and known.read_text("utf-8") == names:
        return
    (folder / "openssl.cnf").write_text(_CONFIG, "utf-8")
    authority = folder / "authority"
    if not authority.with_suffix(".pem").exists():
        _request(authority, _AUTHORITY)
    signer = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key")
    _request(folder / name, (*_SERVER, f"subjectAltName={names}"), *signer)
    known.write_text(names, "utf-8")


def _name(host: str) -> str:
    try:
        return f"IP:{ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


def _request(target: Path, extensions: Iterable[str], *signer: str) -> None:
    config = target.with_name("openssl.cnf")
    made = ["openssl", "req", "-x509", "-config", str(config), "-subj", f"/CN={target.name}"]
    for extension in (*extensions, "subjectKeyIdentifier=hash"):
        made += ["-addext", extension]
    files = ("-keyout", f"{target}.key", "-out", f"{target}.pem", "-days", str(DAYS))
    try:
        subprocess.run((*made, *_NEW_KEY, *files, *signer), check=True, capture_output=True)
    except FileNotFoundError:
        raise NoContainersError("there is no openssl, which makes the certificates") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise NoContainersError(f"openssl makes no certificate: {reason}") from None
