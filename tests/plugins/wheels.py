"""The wheel as another project installs it: built from the sources, in a fresh environment."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
OFFLINE = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")


def build_wheel(folder: Path) -> Path:
    """Build the wheel in the folder, without a network, and return it."""
    # setuptools builds beside the source, which is in the repository.
    source = folder / "source"
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if name.startswith(("tests/", "loadtests/", "docs/")) or not (ROOT / name).exists():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", *OFFLINE, "--no-build-isolation")
    subprocess.run((*pip, "--wheel-dir", str(folder), str(source)), check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment; return the folder of its programs.

    The environment has this one's libraries, but not this repository: a path in a `.pth` file is
    one more folder to import from, whose own `.pth` files are not read.
    """
    venv.create(folder, with_pip=False)
    names = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=names))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install")
    subprocess.run((*pip, *OFFLINE, "--ignore-installed", str(wheel)), check=True)
    return folder / "bin"
