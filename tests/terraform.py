"""A copy of deploy/terraform in which Terraform runs, without a network where a mirror is set.

A machine without the registry names a folder of providers as Terraform itself asks for it: by
`TF_CLI_CONFIG_FILE`, or by `TF_CLI_ARGS_init=-plugin-dir=…`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.absent import is_absent

SOURCE = Path(__file__).parents[1] / "deploy" / "terraform"
INSTALL = "see hashicorp's instructions for"


def terraform(folder, *arguments, environment=None):
    """Run Terraform in a folder; return the completed process with its output as text."""
    return subprocess.run(
        ("terraform", *arguments),
        cwd=folder,
        env=os.environ | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"} | (environment or {}),
        check=False,
        capture_output=True,
        text=True,
    )


def initialised(folder, *options):
    """Copy the configuration and run `init`; without Terraform or its provider skip or fail."""
    if shutil.which("terraform") is None:
        is_absent("terraform", "terraform", INSTALL)
    copy = folder / "terraform"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".terraform"))
    done = terraform(copy, "init", "-backend=false", "-input=false", "-no-color", *options)
    if done.returncode != 0 and "provider" in done.stderr:
        is_absent("provider of AWS for terraform", "hashicorp/aws", INSTALL)
    assert done.returncode == 0, done.stderr
    return copy


def events(done):
    """Return the lines of a run with `-json`."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def faults(done):
    """Return the errors of a run with `-json`: a failed assertion is its message."""
    shown = (event["diagnostic"] for event in events(done) if event["type"] == "diagnostic")
    return [
        f"{each['summary']}: {each.get('detail', '')}"
        for each in shown
        if each["severity"] == "error"
    ]
