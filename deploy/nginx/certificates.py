"""The certificate: one for the first start, then Let's Encrypt's, by certbot.

nginx reads the chain and the key from one file, so that a reload never sees two that do not match.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.nginx.parameters import Parameters

ROOT = Path(__file__).parents[2]
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
_OWNER_ONLY = 0o600
_BOOTSTRAP = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    *("-nodes", "-days", "1"),
)


class CertificateError(Exception):
    """The certificate can't be made or used; nginx goes on with the former one."""


def bootstrap(parameters: Parameters) -> None:
    """Make a self-signed certificate if there is none, so that nginx can start for the challenge.

    Raises:
        CertificateError: openssl is absent or fails.

    """
    certificate = Path(parameters.certificate)
    if certificate.exists():
        return
    made = [*_BOOTSTRAP, "-subj", f"/CN={parameters.name}"]
    made += ["-addext", f"subjectAltName=DNS:{parameters.name}", "-keyout", "-", "-out", "-"]
    _replace(certificate, _run(made))


def issue(parameters: Parameters, email: str, *, server: str, options: list[str]) -> None:
    """Let certbot get the certificate; nginx must serve the challenges at port 80 of the name.

    Certbot keeps the options and the hook, and `certbot renew` needs none of them again.

    Raises:
        CertificateError: certbot is absent, or the certificate was not issued.

    """
    # Certbot refuses a hook that does not begin with a program.
    hook = shlex.join(["env", f"--chdir={ROOT}", sys.executable, "-m", __package__, "install"])
    command = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", email]
    command += ["--server", server, "--webroot", "--webroot-path", parameters.webroot]
    command += ["--domain", parameters.name, "--key-type", "ecdsa"]
    command += ["--elliptic-curve", "secp256r1", "--deploy-hook", hook, *options]
    Path(parameters.webroot).mkdir(parents=True, exist_ok=True)
    _run(command)


def install(parameters: Parameters, lineage: Path) -> None:
    """Give nginx the certificate of a folder of certbot; its deploy hook calls this.

    Raises:
        CertificateError: nginx refuses it; the former one is kept.

    """
    certificate = Path(parameters.certificate)
    former = certificate.read_bytes() if certificate.exists() else None
    parts = [(lineage / name).read_bytes() for name in ("fullchain.pem", "privkey.pem")]
    _replace(certificate, b"".join(parts))
    if parameters.reload:
        _run(shlex.split(parameters.reload))
        return
    nginx = [_program("nginx"), "-c", str(parameters.config)]
    try:
        _run([*nginx, "-t"])
    except CertificateError:
        if former is not None:
            _replace(certificate, former)
        raise
    _run([*nginx, "-s", "reload"])


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
        file.write(content)
    new.replace(path)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise CertificateError(f"there is no {name} here")
    return found


def _run(command: list[str]) -> bytes:
    done = subprocess.run([_program(command[0]), *command[1:]], capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CertificateError(f"{command[0]} failed with {done.returncode}: {said}")
    return done.stdout
