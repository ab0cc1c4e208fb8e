"""Finds what runs containers: docker or podman, whichever is there.

It needs the standard library only, as do its callers: they run before anything is installed.
"""

import os
import subprocess
from collections.abc import Sequence

Command = tuple[str, ...]

DOCKER, PODMAN = "docker", "podman"
# Docker's command line without a running daemon can't build or run anything.
ENGINES: tuple[tuple[str, Command], ...] = (
    (DOCKER, (DOCKER, "info")),
    (PODMAN, (PODMAN, "info")),
)
COMPOSES: dict[str, tuple[Command, ...]] = {
    DOCKER: ((DOCKER, "compose"), ("docker-compose",)),
    PODMAN: (("podman-compose",), (PODMAN, "compose")),
}
CHOICE = "CONTAINER_ENGINE"
PROBE_SECONDS = 30


class NoContainersError(Exception):
    """Nothing here runs containers; the message says what to install."""


def engine() -> str:
    """Return `docker` or `podman`; CONTAINER_ENGINE chooses where both work.

    Raises:
        NoContainersError: neither works here.

    """
    chosen = os.environ.get(CHOICE)
    for name, probe in ENGINES:
        if chosen in {None, "", name} and _works(probe):
            return name
    if chosen:
        raise NoContainersError(f"{CHOICE}: {chosen} does not work here")
    raise NoContainersError(
        "neither docker nor podman works here: `docker info` and `podman info` both fail; "
        "install podman, or install docker and start its daemon"
    )


def compose(name: str) -> Command:
    """Return the command that runs compose files on an engine.

    Raises:
        NoContainersError: there is none.

    """
    for command in COMPOSES[name]:
        if _works((*command, "version")):
            return command
    names = " or ".join(" ".join(command) for command in COMPOSES[name])
    raise NoContainersError(f"{name} is here without compose: install {names}")


def _works(command: Sequence[str]) -> bool:
    try:
        ran = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0
