"""Pin every dependency with its hashes and without a download address; `make lock` runs it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml"),
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-annotate", "--no-header", "--no-strip-extras", "--quiet", "--upgrade"),
]
EMBEDDED = ["--extra", "embedded"]
ALL = [*EMBEDDED, "--extra", "dev", "--extra", "loadtest"]


def main() -> None:
    """Write the locks; the one of `make run` holds the versions of the one of the tests."""
    subprocess.run([*COMPILE, *ALL, "--output-file", "requirements-dev.lock"], cwd=ROOT, check=True)
    constrained = [*COMPILE, *EMBEDDED, "--constraint", "requirements-dev.lock"]
    subprocess.run([*constrained, "--output-file", "requirements.lock"], cwd=ROOT, check=True)
    beside = [*COMPILE, "--group", "bench", "--constraint", "requirements-dev.lock"]
    beside.remove("pyproject.toml")
    subprocess.run([*beside, "--output-file", "requirements-bench.lock"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
