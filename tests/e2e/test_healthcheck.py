"""The image's health check, a program of its own: 0 if an address answers 200."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "deploy" / "image" / "healthcheck.py"


def check(*arguments, **environment):
    command = (sys.executable, "-IS", PROGRAM, *arguments)
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_by_default_it_asks_whether_the_api_is_ready(service):
    port = service.base_url.rpartition(":")[2]
    assert check(PORT=port).returncode == 0
    assert check(f"{service.base_url}/health/live").returncode == 0


@pytest.mark.parametrize(
    ("path", "fault"),
    [("/nowhere", "status 404"), ("/metrics", "status 404")],
)
def test_any_other_status_is_a_fault(service, path, fault):
    ran = check(f"{service.base_url}{path}")
    assert ran.returncode == 1
    assert ran.stderr.endswith(f"{path}: {fault}\n")


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("http://127.0.0.1:1/", "Connection refused"),
        ("https://127.0.0.1/", "no address that starts with http://"),
        ("http:///x", "no address that starts with http://"),
    ],
)
def test_an_address_without_an_answer_is_a_fault(address, fault):
    ran = check(address)
    assert (ran.returncode, ran.stderr) == (1, ran.stderr)
    assert fault in ran.stderr
    assert "Traceback" not in ran.stderr
