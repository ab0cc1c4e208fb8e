"""Pins all dependencies with hashes and without download addresses; `make lock` runs it."""

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
PRODUCTION = ["--extra", "production"]
ALL = [*EMBEDDED, "--extra", "dev", "--extra", "loadtest"]


def main() -> None:
    """Write the locks; all have the versions of the tests' lock."""
    subprocess.run([*COMPILE, *ALL, "--output-file", "requirements-dev.lock"], cwd=ROOT, check=True)
    constrained = [*COMPILE, *EMBEDDED, "--constraint", "requirements-dev.lock"]
    subprocess.run([*constrained, "--output-file", "requirements.lock"], cwd=ROOT, check=True)
    production = [*COMPILE, *PRODUCTION, "--constraint", "requirements-dev.lock"]
    subprocess.run(
        [*production, "--output-file", "requirements-production.lock"], cwd=ROOT, check=True
    )
    bench = [*COMPILE, "--group", "bench", "--constraint", "requirements-dev.lock"]
    bench.remove("pyproject.toml")
    subprocess.run([*bench, "--output-file", "requirements-bench.lock"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
