"""The units for hosts without containers: systemd accepts them, and little of a host is exposed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compose.prepare import WORKERS
from infra.settings import Settings
from tests.absent import is_absent

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ("enroll-api.service", "enroll-migrate.service", "enroll-flower.service")
WORKER_UNITS = tuple(f"enroll-worker@{queue}.service" for queue in WORKERS)
ENROLL = "/usr/local/lib/course-enrollment/bin/enroll"
# In tenths, of ten.
MOST_EXPOSURE = 20


@pytest.fixture
def units(tmp_path):
    """The units, with the command of this environment, for systemd checks that it is there."""
    if shutil.which("systemd-analyze") is None:
        is_absent("systemd-analyze", "systemd")
    copied = shutil.copytree(FOLDER, tmp_path / "units")
    for unit in copied.glob("*.service"):
        text = unit.read_text("utf-8")
        unit.write_text(text.replace(ENROLL, str(Path(sys.executable).with_name("enroll"))))
    return copied


def analyze(units, *arguments):
    command = ("systemd-analyze", *arguments)
    environment = {"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("unit", [*UNITS, *WORKER_UNITS])
def test_systemd_accepts_the_unit(units, unit):
    ran = analyze(units, "verify", "--man=no", unit)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("unit", [*UNITS, WORKER_UNITS[0]])
def test_little_of_the_host_is_exposed(units, unit):
    ran = analyze(units, "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit)
    assert ran.returncode == 0, ran.stdout


def test_each_unit_of_the_folder_is_checked():
    names = {path.name for path in FOLDER.glob("*.service")}
    assert names == {*UNITS, "enroll-worker@.service"}


def test_secrets_and_variables_are_settings():
    for unit in FOLDER.rglob("*"):
        if unit.is_file():
            text = unit.read_text("utf-8")
            named = re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE)
            named += re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)
            assert {name.lower() for name in named} <= Settings.model_fields.keys(), unit.name
