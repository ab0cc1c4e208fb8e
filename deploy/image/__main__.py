"""Builds the image, its base and its bill of materials; `make image` and others run it."""

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.containers import PODMAN, NoContainersError, engine

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = "deploy/image/Dockerfile"
NAME = "course-enrollment"
BASE = f"{NAME}-base:bookworm"
SUITE = "bookworm"
# Without the hook and its package Debian merges /usr by a program that needs all of Perl.
PACKAGES = "ca-certificates,python3,python3-venv,tini,usr-is-merged"
MERGED = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
# What nobody reads in a container.
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
SBOM = "dist/image.cdx.json"
# A bill of materials needs no database of vulnerabilities.
OFFLINE = ("--offline-scan", "--skip-db-update", "--skip-java-db-update", "--scanners", "license")
EXIT_FAILED = 1


def main() -> int:
    """Build what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description=__doc__)
    parser.add_argument("what", choices=("image", "base", "sbom", "wheels"))
    parser.add_argument("--base", help="the image to build on (default: the Dockerfile's)")
    parser.add_argument(
        "--wheels",
        type=Path,
        help="a folder of wheels: to fetch, or with podman to build without an index",
    )
    arguments = parser.parse_args()
    try:
        match arguments.what:
            case "base":
                build_base()
            case "sbom":
                write_sbom(ROOT / SBOM)
            case "wheels" if arguments.wheels:
                fetch_wheels(arguments.wheels)
            case "wheels":
                parser.error("wheels needs --wheels")
            case _:
                build(arguments.base, arguments.wheels)
    except NoContainersError as error:
        sys.stderr.write(f"image: {error}\n")
        return EXIT_FAILED
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"image: {error.cmd[0]} failed\n")
        return EXIT_FAILED
    return 0


def build_base() -> None:
    """Make a root of Debian, and import it as BASE.

    Raises:
        NoContainersError: there is no engine, or no mmdebstrap.
        CalledProcessError: one of the programs failed.

    """
    name = engine()
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    make = [
        "mmdebstrap",
        "--variant=minbase",
        MERGED,
        f"--include={PACKAGES}",
        *excluded,
        SUITE,
        "-",
    ]
    try:
        made = subprocess.Popen(make, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise NoContainersError("there is no mmdebstrap: apt-get install mmdebstrap") from None
    subprocess.run((name, "import", "-", BASE), stdin=made.stdout, check=True)
    if made.wait():
        subprocess.run((name, "rmi", BASE), check=True)
        raise subprocess.CalledProcessError(made.returncode, make)


def build(base: str | None = None, wheels: Path | None = None) -> str:
    """Build the image and return its name with the version.

    Raises:
        NoContainersError: there is no engine.
        CalledProcessError: the build failed.

    """
    name, tag = engine(), image_name()
    values = {"VERSION": tag.rpartition(":")[2], "REVISION": _revision()}
    options = ["--format", "docker"] if name == PODMAN else []  # OCI's has no health check
    if base:
        values["BASE"] = base
    if wheels:
        values |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
        options += ["--volume", f"{wheels.resolve()}:/wheels:ro"]
    for key, value in values.items():
        options += ["--build-arg", f"{key}={value}"]
    command = (name, "build", "--network=host", *options, "--file", DOCKERFILE, "--tag", tag, ".")
    subprocess.run(command, cwd=ROOT, check=True)
    return tag


def fetch_wheels(folder: Path) -> None:
    """Download what the image installs, for a build that reaches no index.

    Raises:
        CalledProcessError: the download failed.

    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock.txt"
    text = (ROOT / "requirements-production.lock").read_text("utf-8")
    # The image's Python may need packages that this one does not.
    lock.write_text(re.sub(r" ;.*(?= \\$)", "", text, flags=re.MULTILINE), "utf-8")
    fetch = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")
    where = ("--requirement", str(lock), "--dest", str(folder))
    subprocess.run((sys.executable, "-m", "pip", *fetch, *where), check=True)


def write_sbom(target: Path) -> None:
    """Write what is in the image, Debian's packages and Python's, as a CycloneDX document.

    Raises:
        NoContainersError: there is no engine, or no trivy.
        CalledProcessError: one of the programs failed.

    """
    if shutil.which("trivy") is None:
        raise NoContainersError("there is no trivy, so the image has NO bill of materials")
    target.parent.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        archive = f"{folder}/image.tar"
        subprocess.run((engine(), "save", "--output", archive, image_name()), check=True)
        made = ("--format", "cyclonedx", "--output", str(target))
        subprocess.run(
            ("trivy", "image", "--quiet", *OFFLINE, *made, "--input", archive), check=True
        )


def image_name() -> str:
    """Return the name of this version's image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return f"{NAME}:{project['version']}"


def _revision() -> str:
    command = ("git", "rev-parse", "--short=12", "HEAD")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
