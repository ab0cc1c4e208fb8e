"""Starts and stops all containers: `make docker-up`, `make docker-down`."""

import argparse
import os
import ssl
import subprocess
import sys
import time
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from deploy.compose.prepare import FOLDER, ORIGIN, prepare
from deploy.containers import PODMAN, NoContainersError, compose, engine

FILE = Path(__file__).parents[1] / "compose.yaml"
READY_SECONDS = 300.0
POLL_SECONDS, ANSWER_SECONDS = 2.0, 10.0
HTTP_OK = 200
EXIT_FAILED = 1


def main() -> int:
    """Run what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose", description=__doc__)
    parser.add_argument("what", choices=("up", "down", "config"))
    parser.add_argument("--logs", action="store_true", help="with Elasticsearch, Kibana, Filebeat")
    arguments = parser.parse_args()
    try:
        name = engine()
        command = [*compose(name), "--file", str(FILE)]
        if name == PODMAN:
            os.environ.setdefault("CONTAINER_LOGS", _podman_logs())
        if arguments.logs or arguments.what == "down":
            command += ["--profile", "logs"]
        run(command, arguments.what)
    except (NoContainersError, OSError) as error:
        sys.stderr.write(f"compose: {error}\n")
        return EXIT_FAILED
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"compose: {error.cmd[0]} failed\n")
        return EXIT_FAILED
    return 0


def run(command: list[str], what: str) -> None:
    """Start, stop, or show the containers of a compose command.

    Raises:
        NoContainersError: openssl is missing, or the service is not ready in time.
        CalledProcessError: the command failed.

    """
    if what != "up":
        subprocess.run((*command, what), check=True)
        return
    prepare(os.environ)
    subprocess.run((*command, "up", "--detach", "--build"), check=True)
    origin = os.environ.get("ORIGIN") or ORIGIN
    _wait_until_ready(origin)
    sys.stdout.write(
        f"everything is up: {origin}/swagger/index.html\n"
        f"passwords are files of {FOLDER / 'secrets'}; {FOLDER / 'tls' / 'authority.pem'} "
        "is the authority of the certificates\n"
    )


def _podman_logs() -> str:
    """Return the folder of the containers' logs, which Filebeat reads."""
    shown = (PODMAN, "info", "--format", "{{.Store.GraphRoot}}")
    ran = subprocess.run(shown, check=True, capture_output=True, text=True)
    return f"{ran.stdout.strip()}/overlay-containers"


def _wait_until_ready(origin: str) -> None:
    context = ssl.create_default_context(cafile=str(FOLDER / "tls" / "authority.pem"))
    address = urlsplit(origin).netloc
    deadline = time.monotonic() + READY_SECONDS
    fault: object = None
    while time.monotonic() < deadline:
        connection = HTTPSConnection(address, timeout=ANSWER_SECONDS, context=context)
        try:
            connection.request("GET", "/health/ready")
            fault = connection.getresponse().status
        except (OSError, HTTPException) as error:
            fault = error
        finally:
            connection.close()
        if fault == HTTP_OK:
            return
        time.sleep(POLL_SECONDS)
    raise NoContainersError(f"{origin} is not ready after {READY_SECONDS:g} s: {fault}")


if __name__ == "__main__":
    sys.exit(main())
