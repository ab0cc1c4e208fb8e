"""Runs the end-to-end tests of the release before on this release's expanded schema.

The checkout of that release gets this release's migrations, without those that contract: its tests
then create their databases by them.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from infra.db.migration_files import MIGRATIONS, Phase, load

ROOT = Path(__file__).parents[2]
ALL_TESTS = ("tests/e2e",)
_SET_UP = ".venv/dev.installed"


class NoPreviousReleaseError(Exception):
    """There is no such release in this clone; the message says what to do."""


def previous_commit(revision: str | None, root: Path = ROOT) -> str:
    """Return the commit of a revision; without one, that of the newest tag of a release.

    Raises:
        NoPreviousReleaseError: the clone does not have it.

    """
    if revision is None:
        revision = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v*")
        if not revision:
            raise NoPreviousReleaseError(
                "no tag of a release is in this clone: name a revision, as in "
                "`make test-previous REV=HEAD~20`, or fetch the tags"
            )
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise NoPreviousReleaseError(
            f"{revision} is not in this clone; `git fetch --unshallow` completes a shallow one"
        )
    return commit


def before_newest_migration(root: Path = ROOT) -> str:
    """Return the commit before the one that added the newest migration.

    Raises:
        NoPreviousReleaseError: the clone does not have it.

    """
    newest = max(load(), key=lambda each: int(each.name.partition("_")[0]))
    path = (MIGRATIONS / "models" / newest.name).relative_to(ROOT)
    added = _git(root, "log", "--diff-filter=A", "--format=%H", "-1", "--", str(path))
    if not added:
        raise NoPreviousReleaseError(f"{path} is not committed")
    return previous_commit(f"{added}^", root)


def check(
    commit: str, tests: Sequence[str] = ALL_TESTS, *, shares_environment: bool = False
) -> int:
    """Run tests of a commit on this release's expanded schema; return pytest's exit code.

    They run in an environment of that commit's lock, or faster with the running one's packages.
    """
    with tempfile.TemporaryDirectory(prefix="previous-") as made:
        folder = Path(made)
        _check_out(commit, folder)
        _expand(folder)
        if shares_environment:
            _share_packages(folder)
        else:
            make = ("make", f"PYTHON={sys.executable}", _SET_UP)
            if code := subprocess.run(make, cwd=folder, check=False).returncode:
                return code
        # Without what a running pytest tells its own processes.
        environment = {key: os.environ[key] for key in os.environ if not key.startswith("PYTEST_")}
        python = str(folder / ".venv/bin/python")
        command = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def _check_out(commit: str, folder: Path) -> None:
    command = ("git", "archive", "--format=tar", commit)
    archive = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _expand(folder: Path, ours: Path = MIGRATIONS / "models") -> None:
    """Give a checkout the migrations that it does not have, without those that contract."""
    models = folder / "migrations" / "models"
    own = {path.name for path in models.glob("[0-9]*_*.py")}
    shutil.copytree(MIGRATIONS / "sql", folder / "migrations" / "sql", dirs_exist_ok=True)
    for each in load(ours):
        if each.phase is Phase.EXPAND and each.name not in own:
            shutil.copy(ours / each.name, models)


def _share_packages(folder: Path) -> None:
    """Make an environment of the running one's packages and the folder's code.

    Each process of the folder gets them, an isolated one too, that has no PYTHONPATH.
    """
    venv.create(folder / ".venv", symlinks=True)
    at = {"base": str(folder / ".venv"), "platbase": str(folder / ".venv")}
    own = Path(sysconfig.get_path("purelib", "venv", vars=at))
    # A path that is named there is not searched for further .pth files, which name this checkout.
    (own / "shared.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n", "utf-8")


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints; nothing if it fails."""
    done = subprocess.run(
        ("git", *arguments), cwd=root, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else ""
