"""Packages of tasks, installed for a test into a folder of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).with_name("example_package")
GROUP = "course_enrollment.tasks"


def pip_install(source: Path, target: Path) -> None:
    """Build and install a package without a network."""
    # setuptools builds beside the source, which is in the repository.
    copy = shutil.copytree(source, target.with_name(f"{target.name}.source"))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    subprocess.run([*pip, *options, "--target", str(target), str(copy)], check=True)


def write_package(target: Path, name: str, code: str, points: dict[str, str] | None = None) -> None:
    """Put a package of one module into the folder, as an installer does.

    `points` has entry points, `name = module:object`, by group; without, the module has tasks.
    """
    points = points or {GROUP: f"{name}-tasks = {name}"}
    target.mkdir(exist_ok=True)
    (target / f"{name}.py").write_text(code, encoding="utf-8")
    metadata = target / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = (f"[{group}]\n{point}\n" for group, point in points.items())
    (metadata / "entry_points.txt").write_text("".join(lines))
