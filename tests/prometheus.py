"""Debian's Prometheus and Alertmanager, with their tools."""

import shutil
import subprocess
from pathlib import Path

from tests.absent import is_absent

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy" / "observe" / "rules"
_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
}


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped or fails."""
    found = shutil.which(name)
    if found is None:
        is_absent(name, _PACKAGES[name])
    return found


def run(name: str, *arguments: object) -> str:
    """Run a tool and return its output; it must succeed."""
    done = subprocess.run(
        [program(name), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
