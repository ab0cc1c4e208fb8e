"""Make a release of the commit that is checked out; `make release` runs it.

The version is that of pyproject.toml, and CHANGELOG.md says what is in it. The tag is made last:
the tree is clean, CI is green on this commit, and the packages are built.
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
    """Release, or say in one sentence why not."""
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
    notes = notes_of(root, version)
    _check_git(root, tag)
    if not dry_run:
        _must(root, ".ci/run", of="CI is not green on this commit")
    _must(root, "make", "build", of="the packages can't be built")
    _check_git(root, tag)
    built = sorted(path.name for path in (root / "dist").glob(f"*-{version}*"))
    if not any(name.endswith(".whl") for name in built):
        raise ReleaseRefusedError(f"make build left no wheel of {version} in dist/")
    _say(f"{tag}: built {', '.join(built)}")
    if dry_run:
        _say(f"{tag}: a dry run, CI was not run and nothing is tagged; the notes are:\n{notes}")
        return
    # The headings of the notes begin with the character of git's comments.
    _git(root, "tag", "--annotate", "--cleanup=verbatim", tag, "--message", f"{tag}\n\n{notes}\n")
    _say(f"{tag}: tagged; git push origin {tag} publishes it")


def read_version(root: Path) -> str:
    """Return the version of pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


def notes_of(root: Path, version: str) -> str:
    """Return what CHANGELOG.md says of a version.

    Raises:
        ReleaseRefusedError: it says nothing.

    """
    text = (root / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(version)}(?:\s[^\n]*)?\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseRefusedError(f"CHANGELOG.md says nothing of {version}")
    return found[1].strip()


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


def _must(root: Path, *command: str, of: str) -> None:
    _say(f"running {' '.join(command)}")
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        raise ReleaseRefusedError(of)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
