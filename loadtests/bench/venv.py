"""The other systems, installed for the benchmark only: the service's environment stays clean."""

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

from loadtests.bench.results import ROOT

LOCK = ROOT / "requirements-bench.lock"
VENV = ROOT / ".venv-bench"


@cache
def bench_python() -> Path:
    """Return the Python that has what the lock says; installs it when it has not."""
    python = VENV / "bin" / "python"
    installed = VENV / "lock.sha256"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        (VENV / ".gitignore").write_text("*\n")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        installed.write_text(wanted)
    return python
