"""The image of this tree, built and run by podman, as far as the machine can do that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.image.__main__ import BASE, fetch_wheels
from tests.absent import is_absent

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {
    "CONTAINERS_CONF": str(ROOT / "tests" / "data" / "containers.conf"),
    "CONTAINER_ENGINE": "podman",
}
LOCKED = ("--security-opt=no-new-privileges", "--cap-drop=all", "--read-only")
LIMITS = ("--memory=512m", "--pids-limit=200", "--network=host")
# The folders that podman makes writable by default are not; the table is strictest.
HARDENED = (*LOCKED, "--read-only-tmpfs=false", *LIMITS)


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman; with `check`, a failure shows its output."""
    ran = subprocess.run(
        ("podman", *arguments), env=ENVIRONMENT, check=False, capture_output=True, text=True
    )
    assert not check or ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
    return ran


def need_podman() -> None:
    """Skip or fail the test if podman, runc or the base image is missing."""
    for program, package in {"podman": "podman", "runc": "runc"}.items():
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            is_absent(program, package)
    if podman("image", "exists", BASE, check=False).returncode:
        is_absent(f"image {BASE}", "mmdebstrap && make image-base")


def build(folder: Path) -> str:
    """Build the image without an index, from wheels that are downloaded first; return its name."""
    wheels = folder / "wheels"
    fetch_wheels(wheels)
    make = (sys.executable, "-m", "deploy.image", "image", "--base", BASE, "--wheels", str(wheels))
    ran = subprocess.run(
        make, cwd=ROOT, env=ENVIRONMENT, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
    return ran.stdout.split()[-1]


def build_nginx() -> str:
    """Build the image of nginx, which needs a mirror of Debian; return its name."""
    name, file = "course-enrollment-nginx:test", "deploy/image/nginx.Dockerfile"
    options = ("--network=host", "--format=docker", f"--build-arg=BASE={BASE}")
    podman("build", *options, "--file", str(ROOT / file), "--tag", name, str(ROOT))
    return name


@contextmanager
def container(image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a container for the length of the block; yield its name."""
    name = f"enroll-test-{uuid.uuid4().hex}"
    podman("run", "--detach", "--name", name, *HARDENED, *options, image, *command)
    try:
        yield name
    finally:
        podman("rm", "--force", "--volumes", "--time", "1", name, check=False)


def state(name: str) -> dict[str, Any]:
    """Return podman's record of a container's state."""
    shown: dict[str, Any] = json.loads(
        podman("inspect", "--format", "{{json .State}}", name).stdout
    )
    return shown


def logs(name: str) -> str:
    """Return what a container has written."""
    ran = podman("logs", name)
    return ran.stdout + ran.stderr
