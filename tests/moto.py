"""moto's server: AWS's APIs in memory. It takes calls that AWS would refuse."""

import contextlib
import os
import shutil
import subprocess
import time
from http.client import HTTPConnection

from tests.absent import is_absent
from tests.factories import WAIT_SECONDS, free_ports

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "ap-southeast-2",
    "AWS_REGION": "ap-southeast-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def moto_server():
    """Run the server; yield the environment in which SDKs and Terraform use it."""
    program = shutil.which("moto_server")
    if program is None:
        is_absent("moto_server", "'moto[server]'", "pipx install")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        (program, "-H", "127.0.0.1", "-p", str(port)),
        env=os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        yield CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def _wait(port):
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with (
            contextlib.suppress(OSError),
            contextlib.closing(HTTPConnection("127.0.0.1", port)) as c,
        ):
            c.request("GET", "/moto-api/data.json")
            if c.getresponse().status == 200:
                return
        assert time.monotonic() < deadline, "moto_server did not start"
        time.sleep(0.1)
