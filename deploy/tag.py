"""Releases the checked-out commit; `make release` runs it.

pyproject.toml has the version, and CHANGELOG.md its notes. The tag comes last, after the checks of
the tree, a green CI run of this commit, and the build of the packages.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

BRANCH = "main"
EXIT_REFUSED = 1


class ReleaseRefusedError(Exception):
    """The release can't be made; the message says why."""


def main() -> int:
    """Release, or print why that is refused."""
    parser = argparse.ArgumentParser(prog="release", description="Build and tag a release.")
    parser.add_argument("--dry-run", action="store_true", help="check and build; no CI, no tag")
    try:
        release(Path.cwd(), dry_run=parser.parse_args().dry_run)
    except ReleaseRefusedError as error:
        sys.stderr.write(f"release: {error}\n")
        return EXIT_REFUSED
    return 0


def release(root: Path, *, dry_run: bool) -> None:
    """Check, build and tag the release of a checkout.

    Raises:
        ReleaseRefusedError: something is missing; nothing was tagged.

    """
    version = read_version(root)
    tag = f"v{version}"
    notes = read_notes(root, version)
    _check_git(root, tag)
    if not dry_run:
        _run_or_refuse(root, ".ci/run", refusal="CI is not green on this commit")
    _run_or_refuse(root, "make", "build", refusal="the packages can't be built")
    _check_git(root, tag)
    built = sorted(path.name for path in (root / "dist").glob(f"*-{version}*"))
    if not any(name.endswith(".whl") for name in built):
        raise ReleaseRefusedError(f"make build left no wheel of {version} in dist/")
    _print_line(f"{tag}: built {', '.join(built)}")
    if dry_run:
        _print_line(
            f"{tag}: a dry run, CI was not run and nothing is tagged; the notes are:\n{notes}"
        )
        return
    # Git would remove the headings of the notes as comments.
    _git(root, "tag", "--annotate", "--cleanup=verbatim", tag, "--message", f"{tag}\n\n{notes}\n")
    _print_line(f"{tag}: tagged; git push origin {tag} publishes it")


def read_version(root: Path) -> str:
    """Return the version of pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


def read_notes(root: Path, version: str) -> str:
    """Return the notes of a version from CHANGELOG.md.

    Raises:
        ReleaseRefusedError: there are none.

    """
    text = (root / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(version)}(?:\s[^\n]*)?\n"
    match = re.search(rf"{heading}(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if match is None or not match[1].strip():
        raise ReleaseRefusedError(f"CHANGELOG.md has no notes of {version}")
    return match[1].strip()


def _check_git(root: Path, tag: str) -> None:
    if changes := _git(root, "status", "--porcelain"):
        raise ReleaseRefusedError(f"the tree is not clean:\n{changes}")
    if (branch := _git(root, "branch", "--show-current")) != BRANCH:
        raise ReleaseRefusedError(f"releases are made on {BRANCH}, this is {branch or 'no branch'}")
    if _git(root, "tag", "--list", tag):
        raise ReleaseRefusedError(f"{tag} exists; change the version in pyproject.toml")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ReleaseRefusedError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _run_or_refuse(root: Path, *command: str, refusal: str) -> None:
    _print_line(f"running {' '.join(command)}")
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        raise ReleaseRefusedError(refusal)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
